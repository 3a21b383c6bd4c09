// Package process builds and runs a Caddy, or another server, as a user does, and
// tells what it uses of the machine.
package process

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	// commandPackage is the Caddy that is built: with the plugin.
	commandPackage = "github.com/caddy-huma/caddy-huma/cmd/caddy"

	// pollInterval is how often a port is tried that nobody listens on yet. It is
	// part of what is measured of a start.
	pollInterval = time.Millisecond

	startTime = 30 * time.Second
	stopTime  = 30 * time.Second
	adminTime = 30 * time.Second // of a request to the admin endpoint
)

// Build makes the binary from the module in whose directory this runs.
func Build(ctx context.Context, binary string) error {
	return BuildOf(ctx, binary, commandPackage)
}

// BuildOf is Build for another command: what is a package or a file. Flags are go
// build's. Default: none.
func BuildOf(ctx context.Context, binary, what string, flags ...string) error {
	args := append(append([]string{"build", "-o", binary}, flags...), what)
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", what, err, out)
	}
	return nil
}

// Binary is the file of the Caddy to run: the given one, or if there is none, one
// that it makes in dir.
func Binary(ctx context.Context, given, dir string, messages io.Writer) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	file := filepath.Join(dir, "caddy")
	fmt.Fprintln(messages, "building Caddy …")
	return file, Build(ctx, file)
}

// Machine says what figures were measured on.
func Machine() string {
	return fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}

// Config says which Caddy to run.
type Config struct {
	Binary    string
	Dir       string // where its files go
	Caddyfile string
	Args      []string // the arguments of what is no Caddy, and has no config
	Sites     []string // the addresses it listens on once it is up
	Admin     string   // the address of its admin endpoint; only for Reload and Metrics
	Env       []string // variables for it, as NAME=value, beside this process's

	// Line is given each line of its log. It must not keep the line.
	Line func(line []byte)
}

// command writes the Caddyfile, and returns the arguments.
func (cfg *Config) command() ([]string, error) {
	if cfg.Args != nil {
		return cfg.Args, nil
	}
	file := filepath.Join(cfg.Dir, "Caddyfile")
	return []string{"run", "--config", file, "--adapter", "caddyfile"}, os.WriteFile(file, []byte(cfg.Caddyfile), 0o600)
}

// Process is a running Caddy.
type Process struct {
	cfg   Config
	cmd   *exec.Cmd
	log   *lines
	admin *http.Client
	ended chan struct{}
	err   error // valid once ended is closed
}

// Start runs a Caddy and returns once it listens.
func Start(ctx context.Context, cfg Config) (*Process, error) {
	args, err := cfg.command()
	if err != nil {
		return nil, err
	}
	p := &Process{
		cfg: cfg,
		// Not with ctx: it is ended as a service manager does it.
		cmd:   exec.CommandContext(context.WithoutCancel(ctx), cfg.Binary, args...),
		log:   &lines{each: cfg.Line},
		admin: &http.Client{Transport: &http.Transport{}},
		ended: make(chan struct{}),
	}
	p.cmd.Dir, p.cmd.Stderr = cfg.Dir, p.log
	p.cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+cfg.Dir, "XDG_CONFIG_HOME="+cfg.Dir, "HOME="+cfg.Dir)
	p.cmd.Env = append(p.cmd.Env, cfg.Env...)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	if err := p.waitListening(ctx); err != nil {
		_ = p.Stop()
		return nil, fmt.Errorf("%w; the end of its log:\n%s", err, p.log.tail())
	}
	return p, nil
}

// waitListening waits until all sites can be reached.
func (p *Process) waitListening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for _, site := range p.cfg.Sites {
		if err := p.waitReachable(ctx, site); err != nil {
			return err
		}
	}
	return nil
}

func (p *Process) waitReachable(ctx context.Context, site string) error {
	var dialer net.Dialer
	for {
		if conn, err := dialer.DialContext(ctx, "tcp", site); err == nil {
			return conn.Close()
		}
		select {
		case <-time.After(pollInterval):
		case <-p.ended:
			return fmt.Errorf("%s has ended: %w", p.name(), p.err)
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen: %w", p.name(), ctx.Err())
		}
	}
}

// name is what errors call it.
func (p *Process) name() string { return filepath.Base(p.cfg.Binary) }

// PID is its process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Admin is the address of its admin endpoint.
func (p *Process) Admin() string { return p.cfg.Admin }

// Ended is closed when it has ended, for whatever reason.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Reload loads its Caddyfile again, as if it had changed.
func (p *Process) Reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, adminTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.cfg.Admin+"/load", strings.NewReader(p.cfg.Caddyfile))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	req.Header.Set("Cache-Control", "must-revalidate") // also if nothing has changed
	req.Close = true                                   // the admin endpoint is another one afterwards
	res, err := p.admin.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("reload: %s: %s", res.Status, text)
	}
	return err
}

// Stop ends it as a service manager does, and waits for its end.
func (p *Process) Stop() error {
	defer p.admin.CloseIdleConnections()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		_ = p.cmd.Process.Kill() // no such signal here, or it has ended
	}
	select {
	case <-p.ended:
		return p.err
	case <-time.After(stopTime):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("%s did not end within %s", p.name(), stopTime)
	}
}

// lines splits a log into lines and keeps the last of them.
type lines struct {
	each func([]byte)
	rest []byte
	last [][]byte
}

const keptLines = 20

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(b), nil
		}
		if l.each != nil {
			l.each(line)
		}
		l.last = append(l.last, bytes.Clone(line))
		l.last = l.last[max(0, len(l.last)-keptLines):]
		l.rest = append(l.rest[:0], rest...)
	}
}

// tail is the end of the log, once the process has ended.
func (l *lines) tail() []byte { return bytes.Join(l.last, []byte("\n")) }
