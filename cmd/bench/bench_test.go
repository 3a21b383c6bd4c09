package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
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

// TestMeasures: all kinds are measured, in all rounds. How fast they are depends
// on the machine.
func TestMeasures(t *testing.T) {
	t.Parallel()
	var out, messages bytes.Buffer
	if code := command(t.Context(), short(t, "-json"), &out, &messages); code != 0 {
		t.Fatalf("%d %s", code, &messages)
	}
	var report Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	if len(report.Kinds) != len(kindNames) || report.Added == nil {
		t.Fatalf("%s", &out)
	}
	for i, k := range report.Kinds {
		if k.Name != kindNames[i] || len(k.Rounds) != 2 || len(k.Ratios) != 2 {
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

// TestOnly: what is left out is not measured, but respond always is.
func TestOnly(t *testing.T) {
	t.Parallel()
	var out, messages bytes.Buffer
	if code := command(t.Context(), short(t, "-only", "warm"), &out, &messages); code != 0 {
		t.Fatalf("%d %s", code, &messages)
	}
	for text, want := range map[string]bool{"round 1": true, "round 2": true, "medians": true, "respond ": true, "warm ": true, "static ": false, "cold ": false, "added": false} {
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
	o, err := parse(short(t), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	service, err := newService(t.Context(), o.users)
	if err != nil {
		t.Fatal(err)
	}
	defer service.close()
	s, err := newSites(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = o.with(t.Context(), t.TempDir(), s, service, template{}, func(caddy *process.Process) error {
		b := bench{o, service, caddy}
		for name, c := range map[string]struct {
			kind
			says string
		}{
			"no token was kept": {kind{kindWarm, s.cold, asks(s.cold, o.users), 0}, "calls at the service in a round that needs none"},
			"nobody asks":       {kind{kindWarm, s.warm, [][]byte{[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")}, 0}, "401"},
			"nobody answers":    {kind{kindDirect, "127.0.0.1:1", nil, 100}, "refused"},
		} {
			if _, err := b.sample(t.Context(), c.kind); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestConclusions: medians are those of each figure, and ratios are made round by
// round before.
func TestConclusions(t *testing.T) {
	r := &Report{Kinds: []Kind{
		{Name: kindRespond, Rounds: []Sample{{100, 1, 10, 1, unknown}, {200, 2, 10, 1, unknown}, {400, 4, 10, 1, unknown}}},
		{Name: kindDirect, Rounds: []Sample{{1, 1, 1, unknown, 0}, {1, 1, 1, unknown, 0}, {1, 2, 1, unknown, 0}}},
		{Name: kindProxy, Rounds: []Sample{{1, 2, 1, 1, 0}, {1, 3, 1, 1, 0}, {1, 3, 1, 1, 0}}},
		{Name: kindCold, Rounds: []Sample{{50, 3, 20, 3, 1}, {300, 4, 5, 1, 0}, {400, 5, 10, 2, 7}}},
	}}
	r.conclude()
	cold := r.find(kindCold)
	if want := (Sample{300, 4, 10, 2, 1}); cold.Median != want {
		t.Errorf("median %+v, want %+v", cold.Median, want)
	}
	if want := (Sample{1, 2, 1, 2, unknown}); cold.Ratio != want {
		t.Errorf("ratio %+v, want %+v", cold.Ratio, want)
	}
	if r.find(kindDirect).Ratio.CPU != unknown {
		t.Error("a ratio of what nobody knows")
	}
	if want := (Added{Proxy: 1, Cold: 3, Ratio: 3}); *r.Added != want {
		t.Errorf("added %+v, want %+v", *r.Added, want)
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("the median of four is %g", got)
	}
}
