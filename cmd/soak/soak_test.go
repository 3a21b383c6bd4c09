package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/internal/process"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// binary builds Caddy once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	file := filepath.Join(buildDir, "caddy")
	return file, process.Build(context.Background(), file)
})

var buildDir string

func TestMain(m *testing.M) {
	var err error
	if buildDir, err = os.MkdirTemp("", "soak-test"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(buildDir)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// short are options for a short run, in which a second is a long time.
func short(t *testing.T, args ...string) options {
	t.Helper()
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	o, err := parse(append([]string{
		"-caddy", file, "-rate", "100", "-duration", "1500ms", "-users", "20", "-known", "0.5",
		"-fault-from", "500ms", "-fault-for", "500ms",
		"-set", "timeout 1s", "-set", "attempt_timeout 300ms", "-set", "breaker {\nopen 300ms\n}",
	}, args...), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	o.settle = 0
	return o
}

// TestRuns: whatever the service does, the promises are kept. Nothing here
// depends on how fast this machine is. The runs mostly wait, so all are made at
// once, however few cores there are.
func TestRuns(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, f := range faults {
		if f.ofStore {
			continue // TestFaultsOfTheStore
		}
		o, name := short(t, "-fault", f.name, "-callers-leave", "0.1", "-no-cache", "0.1"), f.name
		wg.Go(func() {
			report, err := soak(t.Context(), o, t.Output())
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			report.check(t)
			if name == "none" && report.Run.Accounts.GotToken == 0 {
				t.Error("none: nobody got a token")
			}
		})
	}
}

// TestFaultsOfTheStore: nobody who asks notices that the store has gone. The
// service is well, so nothing here may depend on short timeouts.
func TestFaultsOfTheStore(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	for _, f := range faults {
		if !f.ofStore {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			o := short(t, "-redis", "-fault", f.name, "-max-entries", "5", "-rate", "50", "-duration", "3s", "-fault-for", "2s")
			o.set = nil
			report, err := soak(t.Context(), o, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			report.check(t)
			s := report.Run.Store
			if s == nil || len(s.Served) != 3 || s.DownMs < 0 || s.Downs < 1 {
				t.Fatalf("the store: %+v", s)
			}
			for _, v := range s.Served {
				if v.Memory+v.Redis+v.Huma == 0 || v.Part == "fault" && v.Huma == 0 {
					t.Errorf("tokens came from %+v", v)
				}
			}
			for i, p := range report.Run.Phases {
				if p.Name != storePhaseNames[i] {
					t.Errorf("phase %d is %q", i, p.Name)
				}
			}
		})
	}
}

// TestNoRedis: it is said clearly that there is no redis-server.
func TestNoRedis(t *testing.T) {
	t.Setenv("PATH", "")
	var messages bytes.Buffer
	if code := command(t.Context(), []string{"-redis"}, io.Discard, &messages); code != exitFailed ||
		!strings.Contains(messages.String(), "-redis: redis-server is not installed") {
		t.Errorf("%d %s", code, &messages)
	}
}

// TestReloads: a run with reloads, and the same of respond.
func TestReloads(t *testing.T) {
	t.Parallel()
	report, err := soak(t.Context(), short(t, "-reload", "5", "-compare-respond"), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	report.check(t)
	if report.Run.Reloads == 0 || report.Respond == nil || report.Respond.Reloads == 0 {
		t.Fatalf("%d reloads; respond: %+v", report.Run.Reloads, report.Respond)
	}
	for end, n := range report.Respond.Answers {
		if end != "200" && !strings.HasPrefix(end, endLost) {
			t.Errorf("respond: %d of %d ended with %s", n, report.Respond.Sent, end)
		}
	}
}

// check looks for what has to hold of every run.
func (r *Report) check(t *testing.T) {
	t.Helper()
	var text strings.Builder
	if err := r.print(&text); err != nil {
		t.Fatal(err)
	}
	run := r.Run
	answered, inPhases := 0, 0
	for _, n := range run.Answers {
		answered += n
	}
	for _, p := range run.Phases {
		for _, n := range p.Answers {
			inPhases += n
		}
	}
	if len(r.Broken) > 0 || run.Sent != 150 || answered != run.Sent || inPhases != run.Sent || int(run.Lateness.Count) != run.Sent {
		t.Errorf("%s: %v; %d sent, %d ended, %d of them in phases, %d with a latency\n%s",
			r.Options["fault"], r.Broken, run.Sent, answered, inPhases, run.Lateness.Count, &text)
	}
	a := run.Accounts
	if a.Asked == 0 || a.GotToken > a.Asked || a.Registered < 20 || a.Registered > 20+a.Asked {
		t.Errorf("%s: %+v", r.Options["fault"], a)
	}
}

// TestCommand: exit codes, and a report that other programs can read.
func TestCommand(t *testing.T) {
	t.Parallel()
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "caddy.log")
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"help":            {[]string{"-h"}, 0, "-fault-for"},
		"unknown flag":    {[]string{"-raet", "1"}, exitFailed, "-raet"},
		"an argument":     {[]string{"60s"}, exitFailed, "60s"},
		"wrong values":    {[]string{"-known", "2", "-fault", "fire"}, exitFailed, "fire"},
		"no store":        {[]string{"-fault", "redis-kill"}, exitFailed, "redis-kill needs -redis"},
		"too late":        {[]string{"-fault", "hang", "-fault-from", "1h"}, exitFailed, "-fault-from"},
		"no such Caddy":   {[]string{"-caddy", log}, exitFailed, "caddy.log"},
		"a wrong option":  {[]string{"-caddy", file, "-set", "max_waitng 1"}, exitFailed, "max_waitng"},
		"broken promises": {[]string{"-caddy", file, "-rate", "20", "-duration", "1s", "-set", "signature off", "-json", "-log", log}, exitBroken, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, messages bytes.Buffer
			if code := command(t.Context(), c.args, &out, &messages); code != c.code || !strings.Contains(messages.String(), c.says) {
				t.Errorf("%d %s", code, &messages)
			}
			if c.code != exitBroken {
				return
			}
			var report Report
			if err := json.Unmarshal(out.Bytes(), &report); err != nil {
				t.Fatalf("%v: %s", err, &out)
			}
			if len(report.Broken) != 1 || !strings.Contains(report.Broken[0], "502 upstream_rejected") {
				t.Errorf("%q", report.Broken)
			}
			if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), "server running") {
				t.Errorf("the log: %v %s", err, text)
			}
		})
	}
}

// TestInterrupted: an interrupted run stops its Caddy and tells what it has.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	o := short(t, "-duration", "1h", "-fault", "hang", "-fault-from", "0", "-fault-for", "1h")
	ctx, cancel := context.WithCancel(t.Context())
	report, err := soak(ctx, o, writerFunc(func(b []byte) {
		if strings.Contains(string(b), "for 1h") { // it runs
			time.AfterFunc(500*time.Millisecond, cancel)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Broken) > 0 || report.Run.Sent == 0 || report.Run.Sent > 10000 {
		t.Errorf("%v, %d sent", report.Broken, report.Run.Sent)
	}
}

// writerFunc is told what is written.
type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) {
	f(b)
	return len(b), nil
}
