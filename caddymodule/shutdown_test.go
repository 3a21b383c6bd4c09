package caddymodule_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// asCaddy is the environment variable with the config file. If it is set, this program
// runs Caddy, so that tests can send signals to it.
const asCaddy = "CADDY_HUMA_TEST_AS_CADDY"

// runCaddy runs a config until a signal ends the process.
func runCaddy(file string) {
	caddy.TrapSignals()
	config, err := os.ReadFile(file)
	if err == nil {
		err = loadConfig(config)
	}
	if err != nil {
		panic(err)
	}
	fmt.Println("running")
	select {}
}

// startProcess runs a config in another process, at the site's address. SIGTERM ends it.
func (s *site) startProcess(text string) *exec.Cmd {
	s.t.Helper()
	if runtime.GOOS == "windows" {
		s.t.Skip("no SIGTERM on this system")
	}
	s.move()
	config := writeFile(s.t, "caddy.json", string(s.adapt(text)))
	process := exec.CommandContext(s.t.Context(), os.Args[0])
	process.Env = append(os.Environ(), asCaddy+"="+config)
	out, err := process.StdoutPipe()
	must(s.t, err)
	must(s.t, process.Start())
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		s.t.Fatal(err)
	}
	return process
}

// TestL07_ExchangesFinishWhenTheProcessEnds checks that on SIGTERM waiting requests still
// get a token, and that the exchange of a client that has disconnected finishes too.
func TestL07_ExchangesFinishWhenTheProcessEnds(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		for _, user := range []string{"waits@x.example", "leaves@x.example"} {
			p.requireBothCalls(t, fake, user)
		}
		fake.SetFaults([]sandbox.Fault{{Delay: 250 * time.Millisecond}})
		s := serve(t, "") // for its address and its log file
		process := s.startProcess(p.site(fake, ""))

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		left, answered := make(chan struct{}), make(chan *response)
		go func() {
			defer close(left)
			if _, err := s.tryRequest(ctx, "GET", p.target(), as("leaves@x.example")); err == nil {
				t.Error("the request was not canceled")
			}
		}()
		go func() {
			a, err := s.tryRequest(context.Background(), "GET", p.target(), as("waits@x.example"))
			if err != nil {
				t.Error(err)
			}
			answered <- a
		}()
		eventually(t, 10*time.Second, "both exchanges run", func() bool { return fake.Calls().InFlight == 2 })
		cancel()
		<-left
		if err := process.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if a := <-answered; a != nil {
			a.token(t, p)
		}
		if err := process.Wait(); err != nil {
			t.Errorf("the process: %v", err)
		}
		p.wantCalls(t, fake, 2, 2)
		for _, c := range fake.Calls().Calls {
			if c.Op == p.second && c.Status != 200 && c.Status != 201 {
				t.Errorf("%s ended with %d", c.Op, c.Status)
			}
		}
	})
}
