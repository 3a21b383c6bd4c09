package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/tool"
	"github.com/caddy-huma/caddy-huma/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, main) }

// run runs the command, which must succeed, and returns its report.
func run(t *testing.T, args ...string) *tool.Report {
	t.Helper()
	var out, messages bytes.Buffer
	if code := command(t.Context(), append(args, "-json"), &out, &messages); code != 0 {
		t.Fatalf("%d %s", code, &messages)
	}
	r := new(tool.Report)
	if err := json.Unmarshal(out.Bytes(), r); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	return r
}

// short returns the flags of a short run.
func short(t *testing.T, more ...string) []string {
	t.Helper()
	return append([]string{"-caddy", tooltest.Binary(t), "-rounds", "2", "-round", "100ms", "-users", "20", "-connections", "2", "-rate", "100"}, more...)
}

// TestCompare checks that all workloads are measured in all rounds.
func TestCompare(t *testing.T) {
	t.Parallel()
	r := run(t, short(t)...)
	if len(r.Rows) != len(workloadNames)-1 || len(r.Figures) != 5 {
		t.Fatalf("%+v", r)
	}
	for i, row := range r.Rows {
		paced := row.Name == workloadDirect || row.Name == workloadProxy || row.Name == workloadCold
		for _, s := range append(row.Rounds, row.Values) {
			if row.Name != workloadNames[i] || len(row.Rounds) != 2 || s[valueRate] <= 0 || s[valueP50] <= 0 || s[valueP99] < s[valueP50] || paced && s[valueRate] > 200 {
				t.Errorf("%+v", row)
			}
			if _, known := s[valueCPU]; runtime.GOOS == "linux" && known == (row.Name == workloadDirect) {
				t.Errorf("%s: processor time is known: %t", row.Name, known)
			}
		}
	}
}

// TestGrow compares many cached users with few.
func TestGrow(t *testing.T) {
	t.Parallel()
	r := run(t, "grow", "-caddy", tooltest.Binary(t), "-rounds", "2", "-round", "100ms", "-users", "2000")
	if len(r.Rows) != 2 || r.Rows[0].Name != "2 users" || r.Rows[1].Name != "2000 users" || r.Rows[1].Ratios[valueRate] <= 0 || len(r.Figures) != 2 {
		t.Errorf("%+v", r)
	}
}

// TestStart compares Caddy with itself.
func TestStart(t *testing.T) {
	t.Parallel()
	r := run(t, "start", "-caddy", tooltest.Binary(t), "-without", tooltest.Binary(t), "-rounds", "1")
	if len(r.Rows) != 2 || r.Rows[1].Ratios[valueSize] != 1 || r.Rows[1].Ratios[valueFirst] <= 0 {
		t.Errorf("%+v", r)
	}
}

// TestIdle compares three idle Caddys. With few sites, memory and goroutines do not
// exceed their limits.
func TestIdle(t *testing.T) {
	t.Parallel()
	var out, messages bytes.Buffer
	code := command(t.Context(), []string{"idle", "-caddy", tooltest.Binary(t), "-rounds", "1", "-round", "100ms", "-sites", "3", "-json"}, &out, &messages)
	var r tool.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || code == tool.ExitFailed || len(r.Rows) != 3 {
		t.Fatalf("%v: %d %s", err, code, &messages)
	}
	for _, row := range r.Rows {
		if row.Values[valueMemory] < 1 || row.Values[valueGoroutines] < 1 {
			t.Errorf("%+v", row)
		}
	}
}

// TestIdleGoals checks that a value above its limit is a violation. A value at the limit,
// or one that was not measured, is not.
func TestIdleGoals(t *testing.T) {
	r := &tool.Report{Rows: []tool.Row{
		{Name: idleShared, Rounds: []tool.Values{{valueMemory: 70, valueGoroutines: 10}}},
		{Name: idleSeparate, Rounds: []tool.Values{{valueMemory: 100, valueGoroutines: 30, valueCore: 1}}},
		{Name: idleFiles, Rounds: []tool.Values{{valueMemory: 101, valueGoroutines: 31, valueCore: 1.1}}},
	}}
	conclude(r, idleShared)
	checkIdle(r)
	if len(r.Figures) != 6 || len(r.Violations) != 3 || !strings.HasPrefix(r.Violations[2], idleFiles+": percent of a core: 1.100") {
		t.Errorf("%+v %q", r.Figures, r.Violations)
	}
	delete(r.Rows[2].Values, valueCore)
	if checkIdle(r); len(r.Violations) != 2 {
		t.Errorf("%q", r.Violations)
	}
}

// TestBuilds checks that bench start builds Caddy with and without the plugin.
func TestBuilds(t *testing.T) {
	if !tooltest.Long() {
		t.Skip("builds two Caddys")
	}
	dir := t.TempDir()
	for name, want := range map[string]bool{plugin: true, "": false} {
		file := filepath.Join(dir, fmt.Sprint("caddy-", want))
		if err := buildCaddy(t.Context(), file, name); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), file, "list-modules").Output()
		if found := strings.Contains(string(out), "http.handlers.huma_token"); err != nil || found != want {
			t.Errorf("with %q: huma_token found: %t, %v", name, found, err)
		}
	}
}

// TestPython measures the endpoint in Python.
func TestPython(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip(err)
	}
	r := run(t, short(t, "-only", "python", "-against", "python")...)
	if len(r.Rows) != 1 || r.Rows[0].Name != workloadPython {
		t.Errorf("%+v", r)
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
		{"-h", 0, "-rounds"},
		{"grow -h", 0, "-users"},
		{"start -h", 0, "-without"},
		{"idle -h", 0, "-sites"},
		{"-raet 1", tool.ExitFailed, "-raet"},
		{"60s", tool.ExitFailed, "60s"},
		{"-rounds 0", tool.ExitFailed, "must be positive"},
		{"-rate NaN", tool.ExitFailed, "-rate"},
		{"-only warm,hot", tool.ExitFailed, `"hot"`},
		{"-against hot", tool.ExitFailed, `"hot"`},
		{"grow -users 0", tool.ExitFailed, "-users"},
		{"grow -only warm", tool.ExitFailed, "-only"},
		{"idle -sites 0", tool.ExitFailed, "-sites"},
		{"start -caddy caddy", tool.ExitFailed, "require each other"},
		{"-caddy /nowhere/caddy", tool.ExitFailed, "no such file"},
		{"start -caddy /nowhere/caddy -without /nowhere/caddy", tool.ExitFailed, "no such file"},
	} {
		var messages bytes.Buffer
		if code := command(t.Context(), strings.Fields(c.args), io.Discard, &messages); code != c.code || !strings.Contains(messages.String(), c.says) {
			t.Errorf("%s: %d %s", c.args, code, &messages)
		}
	}
}

// TestInterrupted checks that after Ctrl-C, and after the messages cannot be written, no
// process is left.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, closePipe := range []bool{false, true} {
		tooltest.Interrupt(t, closePipe, regexp.MustCompile(`^Caddy (\d+)`), short(t, "-only", "warm", "-rounds", "1000000")...)
	}
}

// TestInvalidRounds checks that responses and calls that would falsify a comparison are
// errors.
func TestInvalidRounds(t *testing.T) {
	t.Parallel()
	o := &options{caddy: tooltest.Binary(t), users: 20, connections: 2, round: 100 * time.Millisecond}
	s, err := newService(t.Context(), o.users)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	reference := &response{header: map[string][]string{"Content-Type": {"application/json"}}, body: []byte(`{"host":"{http.request.host}"}`)}
	p, at, err := startCaddy(t.Context(), o.caddy, t.TempDir(), map[string]string{
		workloadWarm: tokenDirective(s.address, "cache 12h"), workloadCold: tokenDirective(s.address, "cache off"), workloadRespond: reference.directives(string(reference.body)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(p, &err)
	warm, cold, placeholder := at[workloadWarm], at[workloadCold], at[workloadRespond]
	for name, c := range map[string]struct {
		workload
		says string
	}{
		"no token was cached": {workload{address: cold, request: randomUser(o.users, cold)}, "for cached tokens"},
		"a token was cached":  {workload{address: warm, request: randomUser(1, warm), calls: true}, "that require one each"},
		"no user":             {workload{address: warm, request: func(c *client) error { _, err := c.send([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); return err }}, "401"},
		"nothing listens":     {workload{address: "127.0.0.1:1", request: randomUser(1, warm)}, "refused"},
		"the rate is too low": {workload{address: warm, request: randomUser(1, warm), rate: 1}, "no response"},
	} {
		if _, err := o.measureRound(t.Context(), s, c.workload); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := reference.check(t.Context(), placeholder); err == nil {
		t.Error("no error although respond has replaced a placeholder")
	}
	got, err := firstResponse(t.Context(), placeholder)
	if err == nil {
		err = got.check(t.Context(), placeholder)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestConclude checks that a ratio is the median of the ratios of the rounds. A value
// that was not measured has none.
func TestConclude(t *testing.T) {
	r := &tool.Report{Rows: []tool.Row{
		{Name: "a", Rounds: []tool.Values{{valueRate: 100, valueP50: 1, valueConnections: 0}, {valueRate: 200, valueP50: 2}, {valueRate: 400, valueP50: 4}}},
		{Name: "b", Rounds: []tool.Values{
			{valueRate: 50, valueP50: 3, valueCPU: 1, valueConnections: 1},
			{valueRate: 300, valueP50: 4, valueConnections: 0},
			{valueRate: 400, valueP50: 5, valueCPU: 2, valueConnections: 3},
		}},
	}}
	conclude(r, "a")
	a, b := r.Row("a"), r.Row("b")
	if want := (tool.Values{valueRate: 300, valueP50: 4, valueConnections: 1}); !maps.Equal(b.Values, want) {
		t.Errorf("median %v, want %v", b.Values, want)
	}
	if want := (tool.Values{valueRate: 1, valueP50: 2}); !maps.Equal(b.Ratios, want) {
		t.Errorf("ratio %v, want %v", b.Ratios, want)
	}
	if added(b, a, valueP50) != 2 || sum(b, valueConnections) != 4 || median([]float64{4, 1, 3, 2}) != 2.5 {
		t.Errorf("added %g, %g connections, median %g", added(b, a, valueP50), sum(b, valueConnections), median([]float64{4, 1, 3, 2}))
	}
}
