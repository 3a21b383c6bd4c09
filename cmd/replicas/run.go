package main

import (
	"context"
	"crypto/rand"
	_ "embed" // the Caddyfiles
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

// run starts everything, tells what to do with it, and ends it with ctx.
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
	s := &demo{options: o, dir: dir, out: out}
	defer s.stop()
	if err := s.startRedis(ctx); err != nil {
		return err
	}
	if s.caddy == "" {
		s.caddy = filepath.Join(dir, "caddy")
		s.printf("building Caddy …")
		if err := process.Build(ctx, s.caddy); err != nil {
			return err
		}
	}
	if err := s.startSites(ctx); err != nil {
		return err
	}
	s.printf("%s", s.instructions())
	s.watch(ctx)
	return nil
}

// portsAreFree looks whether somebody else listens already. Two Caddys at one
// port would say nothing, and share its requests.
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
			errs = append(errs, fmt.Errorf("port %d cannot be used, choose another one with %s: %w", port, flag, err))
			continue
		}
		_ = l.Close() // it was only to see
	}
	return errors.Join(errs...)
}

// writeSecrets makes the secrets that the replicas read: files of which nobody
// else can read anything.
func writeSecrets(dir string) error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "redis-key-1"), []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "huma-secret"), []byte("sandbox-secret\n"), 0o600),
	)
}

// demo is what runs.
type demo struct {
	options
	dir       string
	redis     *redisserver.Server // nil: it is somebody else's
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

// printf prints something, for any goroutine.
func (s *demo) printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// startRedis starts a redis-server, unless there is one to be used.
func (s *demo) startRedis(ctx context.Context) error {
	if s.options.redis != "" {
		return nil
	}
	r, err := redisserver.Start(ctx, s.dir)
	if errors.Is(err, redisserver.ErrMissing) {
		return fmt.Errorf("%w: install it (%s), or write where one runs: -redis localhost:6379", redisserver.ErrMissing, redisserver.HowToInstall)
	}
	if err != nil {
		return err
	}
	s.redis, s.options.redis = r, r.Addr()
	s.processes = append(s.processes, runningProcess{"redis-server", r.Addr(), r.PID(), r.Ended(), func() error { r.Kill(); return nil }})
	return nil
}

// startSites starts the Caddys, and returns once all replicas use the store.
func (s *demo) startSites(ctx context.Context) error {
	var upstreams []string
	for _, port := range s.replicas {
		upstreams = append(upstreams, address(port))
	}
	front := fmt.Sprintf("http://localhost:%d, http://localhost:%d", s.balancer, s.sandbox)
	err := s.startCaddy(ctx, "balancer, and sandbox", front, s.balancer, frontCaddyfile, nil,
		"REPLICAS="+strings.Join(upstreams, " "), "SANDBOX="+strconv.Itoa(s.sandbox))
	if err != nil {
		return err
	}
	for i, port := range s.replicas {
		name := fmt.Sprint("replica ", i+1)
		log := newReplicaLog(func(line string) { s.printf("%s: %s", name, line) })
		err := s.startCaddy(ctx, name, fmt.Sprint("http://localhost:", port), port, replicaCaddyfile, log.line,
			fmt.Sprint("API=http://localhost:", s.sandbox), "REDIS="+s.options.redis, "SECRETS="+s.dir)
		if err != nil {
			return err
		}
		if err := log.waitConnected(ctx); err != nil {
			return fmt.Errorf("%s does not use the Redis at %s: %w", name, s.options.redis, err)
		}
	}
	return nil
}

func (s *demo) startCaddy(ctx context.Context, name, at string, port int, caddyfile string, line func([]byte), env ...string) error {
	dir := filepath.Join(s.dir, strconv.Itoa(port))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	p, err := process.Start(ctx, process.Config{
		Binary: s.caddy, Dir: dir, Caddyfile: caddyfile, Sites: []string{address(port)}, Line: line,
		Env: append(env, "PORT="+strconv.Itoa(port)),
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.processes = append(s.processes, runningProcess{name, at, p.PID(), p.Ended(), p.Stop})
	return nil
}

// exitGrace is how far apart it is noticed that several processes were told to end.
const exitGrace = 500 * time.Millisecond

// watch tells who has ended, until ctx does.
func (s *demo) watch(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, p := range s.processes {
		wg.Go(func() {
			select {
			case <-p.ended:
				select {
				case <-ctx.Done(): // as it was told to: Ctrl-C reaches all of them, and us perhaps last
					return
				case <-time.After(exitGrace):
				}
				s.printf("\n%s (process %d) has ended; the others go on. Ctrl-C ends them.\n", p.name, p.pid)
			case <-ctx.Done():
			}
		})
	}
	<-ctx.Done()
	s.printf("\nending everything …")
}

// stop ends what runs still. How a part ends that was told to is all the same.
func (s *demo) stop() {
	var wg sync.WaitGroup
	for _, p := range s.processes {
		wg.Go(func() { _ = p.stop() })
	}
	wg.Wait()
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
