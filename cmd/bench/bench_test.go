package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/internal/process"
)

// binary builds Caddy once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	return process.Binary(context.Background(), "", buildDir, io.Discard)
})

var buildDir string

func TestMain(m *testing.M) {
	var err error
	if buildDir, err = os.MkdirTemp("", "bench-test"); err != nil {
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

// short are the flags of a run in which every kind is asked a few times.
func short(t *testing.T, more ...string) []string {
	t.Helper()
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{"-caddy", file, "-rounds", "2", "-round", "100ms", "-users", "20", "-connections", "2", "-rate", "100"}, more...)
}

// runJSON runs the program, which has to end well.
func runJSON(t *testing.T, r any, args ...string) {
	t.Helper()
	var out, messages bytes.Buffer
	if code := command(t.Context(), append(args, "-json"), &out, &messages); code != 0 {
		t.Fatalf("%d %s", code, &messages)
	}
	if err := json.Unmarshal(out.Bytes(), r); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
}

// TestMeasures: all kinds are measured, in all rounds. How fast they are depends
// on the machine.
func TestMeasures(t *testing.T) {
	t.Parallel()
	var report Report
	runJSON(t, &report, short(t)...)
	if len(report.Kinds) != len(defaultKinds) || report.Added == nil || report.ToPython != nil {
		t.Fatalf("%+v", report)
	}
	for i, k := range report.Kinds {
		if k.Name != defaultKinds[i] || len(k.Rounds) != 2 || len(k.Ratios) != 2 {
			t.Errorf("%d: %+v", i, k)
		}
		paced := k.Name == kindDirect || k.Name == kindProxy || k.Name == kindCold
		for _, s := range append(k.Rounds, k.Median) {
			if s.Rate <= 0 || s.P50 <= 0 || s.P99 < s.P50 || paced && s.Rate > 200 || paced != (s.Connections >= 0) {
				t.Errorf("%s: %+v", k.Name, s)
			}
			if known := s.CPU > 0; runtime.GOOS == "linux" && known == (k.Name == kindDirect) {
				t.Errorf("%s: processor time %g", k.Name, s.CPU)
			}
		}
	}
	if r := report.Kinds[0].Ratio; r.Rate != 1 || r.P99 != 1 {
		t.Errorf("respond to itself: %+v", r)
	}
}

// TestGrow: few users are compared with many, and new ones are signed up.
func TestGrow(t *testing.T) {
	t.Parallel()
	var r GrowReport
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	runJSON(t, &r, "grow", "-caddy", file, "-rounds", "2", "-round", "100ms", "-few", "5", "-many", "300", "-rate", "100")
	if r.Fill.Users != 300 || r.Fill.PerSecond <= 0 || r.Memory.Answer < 500 {
		t.Errorf("%+v %+v", r.Fill, r.Memory)
	}
	if runtime.GOOS == "linux" && (r.Memory.RSS == unknown || r.Memory.Heap != unknown && r.Memory.Beyond == unknown) {
		t.Errorf("%+v", r.Memory)
	}
	for name, table := range map[string]Table{"5 users, 300 users": r.Hits, "both calls, new users": r.New.Table} {
		if len(table.Kinds) != 2 || table.Kinds[0].Name+", "+table.Kinds[1].Name != name {
			t.Fatalf("%s: %+v", name, table)
		}
		for _, k := range table.Kinds {
			if len(k.Rounds) != 2 || k.Median.Rate <= 0 {
				t.Errorf("%s: %+v", name, k)
			}
		}
	}
	// Nobody is asked for twice, and a sign-up takes two calls.
	if r.New.Users < 20 || r.New.Calls["signin"] != 1 || r.New.Calls["signup"] != 1 || len(r.New.Calls) != 2 {
		t.Errorf("%d new users: %v", r.New.Users, r.New.Calls)
	}
	var out bytes.Buffer
	if err := r.print(&out); err != nil || !strings.Contains(out.String(), "signin 1.000 signup 1.000") {
		t.Errorf("%v\n%s", err, &out)
	}
}

// TestStart: a Caddy is compared with itself.
func TestStart(t *testing.T) {
	t.Parallel()
	var r StartReport
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	runJSON(t, &r, "start", "-with", file, "-without", file, "-rounds", "3")
	if len(r.Pairs) != 3 || len(r.Sizes) != 1 || r.Sizes[0].With != r.Sizes[0].Without || r.Ratio.Wall <= 0 {
		t.Errorf("%+v", r)
	}
	for _, p := range r.Pairs {
		for _, s := range []Start{p.With, p.Without} {
			if s.Wall <= 0 || runtime.GOOS == "linux" && s.CPU <= 0 {
				t.Errorf("%+v", r)
			}
		}
	}
	var out bytes.Buffer
	if err := r.print(&out); err != nil || !strings.Contains(out.String(), "medians of 3 pairs") {
		t.Errorf("%v\n%s", err, &out)
	}
}

// TestBothBuilds: the one is built with the plugin, the other without it.
func TestBothBuilds(t *testing.T) {
	t.Parallel()
	var r StartReport
	with, without, err := new(startOptions).build(t.Context(), t.TempDir(), &r, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]bool{with: true, without: false} {
		out, err := exec.CommandContext(t.Context(), file, "list-modules").Output()
		if found := strings.Contains(string(out), "http.handlers.huma_token"); err != nil || found != want {
			t.Errorf("%s: it has huma_token: %t, want %t; %v", file, found, want, err)
		}
	}
	if len(r.Sizes) != 1 || r.Sizes[0].With <= r.Sizes[0].Without {
		t.Errorf("%+v", r.Sizes)
	}
}

// TestStartConclusions: ratios are made pair by pair before their median is.
func TestStartConclusions(t *testing.T) {
	r := StartReport{Pairs: []Pair{
		{Start{100, 10}, Start{200, 5}}, {Start{60, 10}, Start{20, 10}}, {Start{90, 30}, Start{90, 10}},
	}}
	r.conclude()
	if want := (Pair{Start{90, 10}, Start{90, 10}}); r.Median != want || r.Ratio != (Start{1, 2}) {
		t.Errorf("%+v %+v", r.Median, r.Ratio)
	}
}

// noPython reports whether there is no Python, and checks that the program says so.
func noPython(t *testing.T, args []string) bool {
	t.Helper()
	if _, err := exec.LookPath("python3"); err == nil {
		return false
	}
	var messages bytes.Buffer
	if code := command(t.Context(), args, io.Discard, &messages); code != exitFailed || !strings.Contains(messages.String(), "python3 is needed") {
		t.Errorf("%d %s", code, &messages)
	}
	return true
}

func TestNoPython(t *testing.T) {
	args := short(t, "-only", "python")
	t.Setenv("PATH", t.TempDir())
	if !noPython(t, args) {
		t.Error("there is one")
	}
}

// TestPython: warm and cold are compared with the endpoint in Python.
func TestPython(t *testing.T) {
	t.Parallel()
	args := short(t, "-only", "warm,cold,python", "-rate", "0")
	if noPython(t, args) {
		return
	}
	var r Report
	runJSON(t, &r, args...)
	if python := r.find(kindPython); python == nil || len(python.Rounds) != 2 || python.Median.Rate <= 0 {
		t.Errorf("%+v", r)
	}
	for _, name := range []string{kindWarm, kindCold} {
		if s, found := r.ToPython[name]; !found || s.Rate <= 0 {
			t.Errorf("%s: %+v", name, r.ToPython)
		}
	}
}

// TestEndpoint: the endpoint in Python signs in, up if need be, and keeps nothing.
func TestEndpoint(t *testing.T) {
	t.Parallel()
	if noPython(t, short(t, "-only", "python")) {
		return
	}
	python, err := findPython()
	if err != nil {
		t.Fatal(err)
	}
	service, err := newService(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer service.close()
	c := comparison{service: service, dir: t.TempDir()}
	err = c.withPython(t.Context(), python, func() error {
		for range 2 {
			answer, err := firstAnswer(t.Context(), c.pythonSite)
			if err != nil {
				return err
			}
			var token struct {
				UID, AuthToken, RefreshToken              string
				AuthTokenExpiresIn, RefreshTokenExpiresIn int
			}
			if err := json.Unmarshal(answer.body, &token); err != nil {
				return err
			}
			if users := service.huma.Users(); len(users) != 1 || token.UID != users[0].UID || token.AuthToken == "" || token.RefreshToken == "" || token.AuthTokenExpiresIn <= 0 || token.RefreshTokenExpiresIn <= 0 {
				t.Errorf("%+v %s", users, answer.body)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if calls := service.huma.Calls(); !maps.Equal(calls.ByOp, map[string]int{"signin": 2, "signup": 1}) || calls.MaxInFlight != 1 {
		t.Errorf("%+v", calls.ByOp)
	}
}

// TestOnly: what is left out is not measured, but respond always is.
func TestOnly(t *testing.T) {
	t.Parallel()
	var out, messages bytes.Buffer
	if code := command(t.Context(), short(t, "-only", "warm"), &out, &messages); code != 0 {
		t.Fatalf("%d %s", code, &messages)
	}
	for text, want := range map[string]bool{"round 1": true, "round 2": true, "medians": true, "respond ": true, "warm ": true, "letters ": false, "static ": false, "cold ": false, "added": false, "python": false} {
		if strings.Contains(out.String(), text) != want {
			t.Errorf("%q: want %t in\n%s", text, want, &out)
		}
	}
}

// TestCommand: exit codes, and what is wrong.
func TestCommand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"help":          {[]string{"-h"}, 0, "-rounds"},
		"unknown flag":  {[]string{"-raet", "1"}, exitUsage, "-raet"},
		"an argument":   {[]string{"60s"}, exitUsage, "60s"},
		"wrong values":  {[]string{"-rounds", "0"}, exitUsage, "above 0"},
		"no such rate":  {[]string{"-rate", "-1"}, exitUsage, "-rate"},
		"no number":     {[]string{"-rate", "NaN"}, exitUsage, "-rate"},
		"more users":    {[]string{"-users", "100001"}, exitUsage, "-users"},
		"grow: help":    {[]string{"grow", "-h"}, 0, "-many"},
		"grow: values":  {[]string{"grow", "-many", "0"}, exitUsage, "-many"},
		"grow: rate":    {[]string{"grow", "-rate", "Inf"}, exitUsage, "-rate"},
		"grow: flags":   {[]string{"grow", "-only", "warm"}, exitUsage, "-only"},
		"start: help":   {[]string{"start", "-h"}, 0, "-without"},
		"start: values": {[]string{"start", "-rounds", "0"}, exitUsage, "-rounds"},
		"start: one":    {[]string{"start", "-with", "caddy"}, exitUsage, "both or none"},
		"unknown kind":  {[]string{"-only", "warm,hot"}, exitUsage, `"hot"`},
		"no such Caddy": {[]string{"-caddy", filepath.Join(t.TempDir(), "caddy")}, exitFailed, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var messages bytes.Buffer
			if code := command(t.Context(), c.args, io.Discard, &messages); code != c.code || !strings.Contains(messages.String(), c.says) {
				t.Errorf("%d %s", code, &messages)
			}
		})
	}
}

// TestInterrupted: an interrupted run ends soon, and with it its Caddy.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	messages := writerFunc(func(b []byte) {
		if strings.Contains(string(b), "round 1") {
			cancel()
		}
	})
	start := time.Now()
	if code := command(ctx, short(t, "-rounds", "1000000"), io.Discard, messages); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %s", took)
	}
}

// writerFunc is told what is written.
type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) {
	f(b)
	return len(b), nil
}

// TestMiscounts: answers that would spoil a comparison end it.
func TestMiscounts(t *testing.T) {
	t.Parallel()
	m, _, err := parse(short(t), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	o := m.(*options)
	service, err := newService(t.Context(), o.users)
	if err != nil {
		t.Fatal(err)
	}
	defer service.close()
	c := comparison{options: o, service: service, dir: t.TempDir()}
	if c.sites, err = newSites(t.Context()); err != nil {
		t.Fatal(err)
	}
	nobody := func(c *client) error { return c.ask(http.StatusOK, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")) }
	like := template{http.Header{"Content-Type": {"application/json"}}, []byte(`{"host":"{http.request.host}"}`)}
	err = c.with(t.Context(), like, func(*process.Process) error {
		b := bench{o.load, service.counts}
		for name, k := range map[string]struct {
			kind
			says string
		}{
			"no token was kept": {kind{address: c.sites.cold, ask: anyOf(o.users, c.sites.cold)}, "calls at the service in a round that needs none"},
			"nobody asks":       {kind{address: c.sites.warm, ask: nobody}, "401"},
			"nobody answers":    {kind{address: "127.0.0.1:1", rate: 100}, "refused"},
			"a token was kept":  {kind{address: c.sites.warm, ask: anyOf(1, c.sites.warm), calls: true}, "each of which needs one"},
			"a rate too low":    {kind{address: c.sites.warm, ask: anyOf(1, c.sites.warm), rate: 1}, "no answer"},
		} {
			if _, err := b.sample(t.Context(), k.kind); err == nil || !strings.Contains(err.Error(), k.says) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := like.same(t.Context(), c.sites.respond); err == nil {
			t.Error("respond has replaced a placeholder")
		}
		got, err := firstAnswer(t.Context(), c.sites.respond)
		if err == nil {
			err = got.same(t.Context(), c.sites.respond)
		}
		got.header.Set("X-Other", "1")
		if got.same(t.Context(), c.sites.respond) == nil {
			t.Error("a header is missing")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestPace: a round of what is slower than the rate ends in time, and one of what
// is faster has the rate.
func TestPace(t *testing.T) {
	t.Parallel()
	const lasts = 200 * time.Millisecond
	for name, c := range map[string]struct {
		rate      float64
		takes     time.Duration
		from, til int64
	}{
		"too slow": {1000, 20 * time.Millisecond, 1, 10},
		"fast":     {100, 0, 10, 19},
	} {
		k := kind{rate: c.rate, ask: func(*client) error { time.Sleep(c.takes); return nil }}
		start := time.Now()
		latency, err := k.drive(t.Context(), make([]*client, 1), lasts)
		if n := latency.Count(); err != nil || n < c.from || n > c.til {
			t.Errorf("%s: %d answers, %v", name, n, err)
		}
		if took := time.Since(start); took > 10*lasts {
			t.Errorf("%s: it took %s", name, took)
		}
	}
}

// alike reports whether samples differ by no more than rounding.
func alike(a, b Sample) bool {
	for i, f := range a.figures() {
		if math.Abs(*f-*b.figures()[i]) > 1e-9 {
			return false
		}
	}
	return true
}

// TestConclusions: medians are those of each figure, and ratios are made round by
// round before.
func TestConclusions(t *testing.T) {
	r := &Report{Table: Table{Kinds: []Kind{
		{Name: kindRespond, Rounds: []Sample{{100, 1, 10, 1, unknown}, {200, 2, 10, 1, unknown}, {400, 4, 10, 1, unknown}}},
		{Name: kindDirect, Rounds: []Sample{{1, 1, 1, unknown, 0}, {1, 1, 1, unknown, 0}, {1, 2, 1, unknown, 0}}},
		{Name: kindProxy, Rounds: []Sample{{1, 2, 1, 1, 0}, {1, 3, 1, 1, 0}, {1, 3, 1, 1, 0}}},
		{Name: kindCold, Rounds: []Sample{{50, 3, 20, 3, 1}, {300, 4, 5, 1, 0}, {400, 5, 10, 2, 7}}},
		{Name: kindPython, Rounds: []Sample{{5, 1, 1, 1, 0}, {10, 2, 1, 1, 0}, {10, 2, 1, 1, 0}}},
	}}}
	r.Table.conclude()
	r.conclude()
	cold := r.find(kindCold)
	if want := (Sample{300, 4, 10, 2, 1}); cold.Median != want {
		t.Errorf("median %+v, want %+v", cold.Median, want)
	}
	if want := (Sample{1, 2, 1, 2, unknown}); cold.Ratio != want {
		t.Errorf("ratio %+v, want %+v", cold.Ratio, want)
	}
	// Rates are 50, 300 and 400: so much do the other figures count.
	if want := (Sample{250, (150 + 1200 + 2000) / 750.0, (1000 + 1500 + 4000) / 750.0, (150 + 300 + 800) / 750.0, (50 + 2800) / 750.0}); !alike(cold.Mean, want) {
		t.Errorf("mean %+v, want %+v", cold.Mean, want)
	}
	if want := (Sample{250 / (700.0 / 3), (3350 / 750.0) / (2100 / 700.0), (6500 / 750.0) / 10, 1250 / 750.0, unknown}); !alike(cold.MeanRatio, want) {
		t.Errorf("ratio of the means %+v, want %+v", cold.MeanRatio, want)
	}
	if direct := r.find(kindDirect); direct.Ratio.CPU != unknown || direct.MeanRatio.CPU != unknown {
		t.Error("a ratio of what nobody knows")
	}
	if want := (Added{Proxy: 1, Cold: 3, Ratio: 3}); *r.Added != want {
		t.Errorf("added %+v, want %+v", *r.Added, want)
	}
	if want := (Sample{30, 2.5, 10, 2, unknown}); len(r.ToPython) != 1 || r.ToPython[kindCold] != want {
		t.Errorf("to python %+v, want %+v", r.ToPython, want)
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("the median of four is %g", got)
	}
}
