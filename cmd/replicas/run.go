package main

import (
	"context"
	"crypto/rand"
	_ "embed" // for the Caddyfiles
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/process"
	"github.com/caddy-huma/caddy-huma/internal/redisserver"
)

//go:embed Caddyfile
var replicaCaddyfile string

//go:embed Caddyfile.front
var frontCaddyfile string

// run starts all processes, prints the instructions, and stops the processes when ctx is
// canceled.
func (o options) run(ctx context.Context, out io.Writer) error {
	if err := o.portsAreFree(ctx); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "replicas")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := writeSecrets(dir); err != nil {
		return err
	}
	d := &demo{options: o, dir: dir, out: out}
	defer d.stop()
	if err := d.startRedis(ctx); err != nil {
		return err
	}
	if d.caddy == "" {
		d.caddy = filepath.Join(dir, "caddy")
		d.printf("building Caddy …")
		if err := process.Build(ctx, d.caddy); err != nil {
			return err
		}
	}
	if err := d.startSites(ctx); err != nil {
		return err
	}
	d.printf("%s", d.instructions())
	d.watch(ctx)
	return nil
}

// portsAreFree returns an error if a process listens on one of the ports. Caddy does not
// report that: two of them can listen on the same port and share its requests.
func (o options) portsAreFree(ctx context.Context) error {
	flags := map[int]string{o.balancer: "-balancer", o.sandbox: "-sandbox"}
	for _, port := range o.replicas {
		flags[port] = "-replicas"
	}
	var errs []error
	for port, flag := range flags {
		var c net.ListenConfig
		l, err := c.Listen(ctx, "tcp", address(port))
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot listen on port %d; select another one with %s: %w", port, flag, err))
			continue
		}
		_ = l.Close() // the port is free
	}
	return errors.Join(errs...)
}

// writeSecrets writes the secret files of the replicas, which only this user can read.
func writeSecrets(dir string) error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "redis-key-1"), []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "huma-secret"), []byte("sandbox-secret\n"), 0o600),
	)
}

// demo has the running processes.
type demo struct {
	options
	dir       string
	redis     *redisserver.Server // nil: an existing one is used
	processes []runningProcess

	mu  sync.Mutex
	out io.Writer
}

// runningProcess is one of the processes.
type runningProcess struct {
	name    string
	address string // where it listens
	pid     int
	ended   <-chan struct{}
	stop    func() error
}

// printf prints a line. It is safe for concurrent use.
func (d *demo) printf(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.out, format+"\n", args...)
}

// startRedis starts a redis-server, unless an existing one is used.
func (d *demo) startRedis(ctx context.Context) error {
	if d.options.redis != "" {
		return nil
	}
	r, err := redisserver.Start(ctx, d.dir)
	if errors.Is(err, redisserver.ErrMissing) {
		return fmt.Errorf("%w: install it (%s), or use an existing Redis, such as -redis localhost:6379", redisserver.ErrMissing, redisserver.HowToInstall)
	}
	if err != nil {
		return err
	}
	d.redis, d.options.redis = r, r.Addr()
	d.processes = append(d.processes, runningProcess{"redis-server", r.Addr(), r.PID(), r.Ended(), func() error { r.Kill(); return nil }})
	return nil
}

// startSites starts the load balancer, the sandbox and the replicas, and waits until all
// replicas are connected to the store.
func (d *demo) startSites(ctx context.Context) error {
	var upstreams []string
	for _, port := range d.replicas {
		upstreams = append(upstreams, address(port))
	}
	front := fmt.Sprintf("http://localhost:%d, http://localhost:%d", d.balancer, d.sandbox)
	err := d.startCaddy(ctx, "load balancer, sandbox", front, d.balancer, frontCaddyfile, nil,
		"REPLICAS="+strings.Join(upstreams, " "), "SANDBOX="+strconv.Itoa(d.sandbox))
	if err != nil {
		return err
	}
	for i, port := range d.replicas {
		name := fmt.Sprint("replica ", i+1)
		log := newReplicaLog(func(line string) { d.printf("%s: %s", name, line) })
		err := d.startCaddy(ctx, name, fmt.Sprint("http://localhost:", port), port, replicaCaddyfile, log.line,
			fmt.Sprint("API=http://localhost:", d.sandbox), "REDIS="+d.options.redis, "SECRETS="+d.dir)
		if err != nil {
			return err
		}
		if err := log.waitConnected(ctx); err != nil {
			return fmt.Errorf("%s is not connected to Redis at %s: %w", name, d.options.redis, err)
		}
	}
	return nil
}

// startCaddy starts Caddy with a Caddyfile and environment variables, and waits until it
// listens on a port.
func (d *demo) startCaddy(ctx context.Context, name, at string, port int, caddyfile string, line func([]byte), env ...string) error {
	dir := filepath.Join(d.dir, strconv.Itoa(port))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	p, err := process.Start(ctx, process.Config{
		Binary: d.caddy, Dir: dir, Caddyfile: caddyfile, Sites: []string{address(port)}, Line: line,
		Env: append(env, "PORT="+strconv.Itoa(port)),
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	d.processes = append(d.processes, runningProcess{name, at, p.PID(), p.Ended(), p.Stop})
	return nil
}

// exitGrace is how long ctx may be canceled after the exit of a process that Ctrl-C has
// stopped, too.
const exitGrace = 500 * time.Millisecond

// watch reports processes that exit, until ctx is canceled.
func (d *demo) watch(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, p := range d.processes {
		wg.Go(func() {
			select {
			case <-p.ended:
				select {
				case <-ctx.Done(): // stopped by Ctrl-C, which all processes of the terminal get
					return
				case <-time.After(exitGrace):
				}
				d.printf("\n%s (process %d) exited; the other processes are still running. Press Ctrl-C to stop them.\n", p.name, p.pid)
			case <-ctx.Done():
			}
		})
	}
	<-ctx.Done()
	d.printf("\nstopping all processes …")
}

// stop stops all processes. Their errors are ignored.
func (d *demo) stop() {
	var wg sync.WaitGroup
	for _, p := range d.processes {
		wg.Go(func() { _ = p.stop() })
	}
	wg.Wait()
}

// address returns the host:port of a port.
func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
