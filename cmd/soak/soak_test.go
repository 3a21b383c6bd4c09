package main

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/redistest"
	"github.com/caddy-huma/caddy-huma/internal/tool"
	"github.com/caddy-huma/caddy-huma/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, main) }

// short returns the flags of a short run, with short timeouts of the directive.
func short(t *testing.T, args ...string) []string {
	t.Helper()
	return append([]string{
		"-caddy", tooltest.Binary(t), "-rate", "100", "-duration", "1500ms", "-users", "20", "-known", "0.5",
		"-fault-from", "500ms", "-fault-for", "500ms",
		"-set", "timeout 1s", "-set", "attempt_timeout 300ms", "-set", "breaker { open 300ms }",
	}, args...)
}

// soak runs the tool. There must be no violations, and outcomes of all requests.
func soak(t *testing.T, requests float64, args ...string) (*tool.Report, map[string]float64) {
	t.Helper()
	o := new(options)
	if _, _, err := tool.Parse(o, args, t.Output()); err != nil {
		t.Fatal(err)
	}
	o.settleTime = 0
	r, err := o.Run(t.Context(), t.TempDir(), t.Output())
	if err != nil {
		t.Errorf("%s: %v", o.fault, err)
		return nil, nil
	}
	ended, late := 0.0, r.Rows[len(r.Rows)-1]
	for _, row := range r.Rows[:len(r.Rows)-1] {
		ended += row.Values["count"]
	}
	if len(r.Violations) > 0 || ended != requests || late.Values["count"] != requests {
		t.Errorf("%s: %q; %g of %g requests have an outcome: %+v", o.fault, r.Violations, ended, requests, r)
	}
	figures := make(map[string]float64)
	for _, f := range r.Figures {
		figures[f.Name] = f.Value
	}
	return r, figures
}

// TestFaults checks that there are no violations with any fault of the service.
func TestFaults(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, f := range faults {
		if !f.redisOnly && (f.name == "mixed" || tooltest.Long()) {
			wg.Go(func() {
				soak(t, 150, short(t, "-fault", f.name, "-cancel", "0.1", "-no-cache", "0.1")...)
			})
		}
	}
}

// TestReloads checks a run without a fault and with reloads.
func TestReloads(t *testing.T) {
	t.Parallel()
	_, figures := soak(t, 150, short(t, "-reload", "5")...)
	if figures["reloads"] == 0 || figures["users with a token"] == 0 || figures["calls of signin"] == 0 || figures["tokens from memory"] == 0 {
		t.Errorf("%v", figures)
	}
}

// TestRedis checks that clients are not affected by faults of Redis.
func TestRedis(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	for _, f := range faults {
		if !f.redisOnly || f.name == "redis-stop" && !tooltest.Long() {
			continue
		}
		// The service works, so the default timeouts of the directive are long enough.
		_, figures := soak(t, 150, "-caddy", tooltest.Binary(t), "-redis", "-max-entries", "5", "-users", "20", "-rate", "75", "-duration", "2s",
			"-fault", f.name, "-fault-from", "500ms", "-fault-for", "1s")
		if figures["failed operations of Redis"] == 0 {
			t.Errorf("%s: %v", f.name, figures)
		}
	}
}

// TestInterrupted checks that Ctrl-C during a fault stops all processes.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	tooltest.Interrupt(t, false, regexp.MustCompile(`^Caddy (\d+)`), short(t, "-duration", "1h", "-fault", "hang", "-fault-from", "0", "-fault-for", "1h")...)
}

func TestNoRedis(t *testing.T) {
	t.Setenv("PATH", "")
	var messages bytes.Buffer
	if code := command(t.Context(), []string{"-redis"}, io.Discard, &messages); code != tool.ExitFailed ||
		!strings.Contains(messages.String(), "-redis: redis-server is not installed") {
		t.Errorf("%d %s", code, &messages)
	}
}

// TestCommand checks exit codes and messages.
func TestCommand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"-h", 0, "-fault-for"},
		{"-raet 1", tool.ExitFailed, "-raet"},
		{"60s", tool.ExitFailed, "60s"},
		{"-known 2 -fault fire", tool.ExitFailed, "fire"},
		{"-rate NaN", tool.ExitFailed, "-rate"},
		{"-users 0", tool.ExitFailed, "without known users"},
		{"-fault redis-kill", tool.ExitFailed, "redis-kill requires -redis"},
		{"-fault hang -fault-from 1h", tool.ExitFailed, "-fault-from"},
		{"-caddy /nowhere/caddy", tool.ExitFailed, "/nowhere/caddy"},
		{"-set max_waitng -caddy " + tooltest.Binary(t), tool.ExitFailed, "max_waitng"},
	} {
		var messages bytes.Buffer
		if code := command(t.Context(), strings.Fields(c.args), io.Discard, &messages); code != c.code || !strings.Contains(messages.String(), c.says) {
			t.Errorf("%s: %d %s", c.args, code, &messages)
		}
	}
}

// TestViolation checks that the exit code is 1 after a violation, and the log is written.
func TestViolation(t *testing.T) {
	t.Parallel()
	var out, messages bytes.Buffer
	code := command(t.Context(), []string{"-caddy", tooltest.Binary(t), "-rate", "20", "-duration", "500ms", "-set", "signature off", "-json", "-log"}, &out, &messages)
	var r tool.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || code != tool.ExitViolation || len(r.Violations) != 1 || !strings.Contains(r.Violations[0], "502 upstream_rejected: 10") {
		t.Errorf("%d, %v: %s%s", code, err, &out, &messages)
	}
	if r.Options["set"] != "signature off" {
		t.Errorf("options %v", r.Options)
	}
	if !strings.Contains(messages.String(), `"msg":"server running"`) {
		t.Errorf("the log: %s", &messages)
	}
}
