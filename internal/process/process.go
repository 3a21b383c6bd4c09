// Package process builds and runs Caddy, or another server, as a child process, and
// measures its resource usage.
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
	// commandPackage is the package of the Caddy with the plugin.
	commandPackage = "github.com/caddy-huma/caddy-huma/cmd/caddy"

	// pollInterval is the time between two attempts to connect to a starting process. It
	// limits the precision of a measured start time.
	pollInterval = time.Millisecond

	startTimeout = 30 * time.Second
	stopTimeout  = 30 * time.Second
	adminTimeout = 30 * time.Second // of a request to the admin endpoint
)

// Build builds Caddy with the plugin to the file binary. The working directory must be in
// this module.
func Build(ctx context.Context, binary string) error {
	return BuildOf(ctx, binary, commandPackage)
}

// BuildOf is Build for another command. source is a package or a file. flags are flags of
// go build.
func BuildOf(ctx context.Context, binary, source string, flags ...string) error {
	args := append(append([]string{"build", "-o", binary}, flags...), source)
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", source, err, out)
	}
	return nil
}

// Binary returns the absolute path of the Caddy to run. If given is empty, it builds
// Caddy in dir.
func Binary(ctx context.Context, given, dir string, messages io.Writer) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	file := filepath.Join(dir, "caddy")
	fmt.Fprintln(messages, "building Caddy …")
	return file, Build(ctx, file)
}

// Machine describes the machine and the Go version, for reports.
func Machine() string {
	return fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}

// Config defines the process to run.
type Config struct {
	Binary    string   // path of the executable
	Dir       string   // working directory, also for the process's own files
	Caddyfile string   // the config of Caddy. Ignored if Args is set
	Args      []string // arguments of a server other than Caddy. Nil: it is Caddy
	Sites     []string // addresses (host:port) that Start waits for
	Admin     string   // address of the admin endpoint, for Reload and Metrics only

	// Line is called with each line of the log. It must not retain the line. Nil: no
	// call.
	Line func(line []byte)
}

// command returns the arguments of the process. It writes the Caddyfile if Args is nil.
func (cfg *Config) command() ([]string, error) {
	if cfg.Args != nil {
		return cfg.Args, nil
	}
	file := filepath.Join(cfg.Dir, "Caddyfile")
	return []string{"run", "--config", file, "--adapter", "caddyfile"}, os.WriteFile(file, []byte(cfg.Caddyfile), 0o600)
}

// Process is a running process. Create it with Start.
type Process struct {
	cfg   Config
	cmd   *exec.Cmd
	log   *lines
	admin *http.Client
	ended chan struct{}
	err   error // valid once ended is closed
}

// Start starts a process and waits until it listens on all sites. If it does not within
// 30 s, or exits, Start stops it and returns an error with the end of its log. ctx
// applies to Start only: the caller must call Stop.
func Start(ctx context.Context, cfg Config) (*Process, error) {
	args, err := cfg.command()
	if err != nil {
		return nil, err
	}
	p := &Process{
		cfg: cfg,
		// Without the cancellation of ctx, since Stop ends the process gracefully.
		cmd:   exec.CommandContext(context.WithoutCancel(ctx), cfg.Binary, args...),
		log:   &lines{each: cfg.Line},
		admin: &http.Client{Transport: &http.Transport{}},
		ended: make(chan struct{}),
	}
	p.cmd.Dir, p.cmd.Stderr = cfg.Dir, p.log
	p.cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+cfg.Dir, "XDG_CONFIG_HOME="+cfg.Dir, "HOME="+cfg.Dir)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	if err := p.waitListening(ctx); err != nil {
		_ = p.Stop()
		return nil, fmt.Errorf("%w; end of its log:\n%s", err, p.log.tail())
	}
	return p, nil
}

// waitListening waits until all sites accept connections.
func (p *Process) waitListening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, site := range p.cfg.Sites {
		if err := p.waitReachable(ctx, site); err != nil {
			return err
		}
	}
	return nil
}

// waitReachable waits until a site accepts connections.
func (p *Process) waitReachable(ctx context.Context, site string) error {
	var dialer net.Dialer
	for {
		if conn, err := dialer.DialContext(ctx, "tcp", site); err == nil {
			return conn.Close()
		}
		select {
		case <-time.After(pollInterval):
		case <-p.ended:
			return fmt.Errorf("%s exited: %w", p.name(), p.err)
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s: %w", p.name(), site, ctx.Err())
		}
	}
}

// name returns the name of the executable, for errors.
func (p *Process) name() string { return filepath.Base(p.cfg.Binary) }

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Admin returns the address of the admin endpoint.
func (p *Process) Admin() string { return p.cfg.Admin }

// Ended returns a channel that is closed when the process has exited.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Reload reloads the Caddyfile through the admin endpoint, even though it has not
// changed.
func (p *Process) Reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.cfg.Admin+"/load", strings.NewReader(p.cfg.Caddyfile))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	req.Header.Set("Cache-Control", "must-revalidate") // reload an unchanged config, too
	req.Close = true                                   // Caddy restarts the admin endpoint
	res, err := p.admin.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("reload: unexpected status %s: %s", res.Status, text)
	}
	return err
}

// Stop stops the process with SIGTERM and waits until it exits. It returns the error of
// exec.Cmd.Wait. After 30 s it kills the process and returns an error. Stop can be called
// again.
func (p *Process) Stop() error {
	defer p.admin.CloseIdleConnections()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		_ = p.cmd.Process.Kill() // SIGTERM is not supported, or the process has exited
	}
	select {
	case <-p.ended:
		return p.err
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("%s did not exit within %s; it was killed", p.name(), stopTimeout)
	}
}

// Kill kills the process, as a crash would, and waits for its exit. Further calls do
// nothing.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // an error means that it has exited
	<-p.ended
}

// lines is an io.Writer that splits a log into lines and keeps the last ones.
type lines struct {
	each func([]byte)
	rest []byte
	last [][]byte
}

// keptLines is the number of lines that are kept.
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

// tail returns the last lines. The process must have exited.
func (l *lines) tail() []byte { return bytes.Join(l.last, []byte("\n")) }
