package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/freeport"
	"github.com/caddy-huma/caddy-huma/internal/process"
	"github.com/caddy-huma/caddy-huma/internal/tool"
)

// The configurations of bench idle.
const (
	idleShared   = "shared account"
	idleSeparate = "separate accounts"
	idleFiles    = "separate accounts, secrets in files"
)

// idleGoals are the limits for 500 idle sites.
var idleGoals = []struct {
	value, unit string
	limit       float64
	more        bool // compare the difference from the shared account
}{
	{valueMemory, "MB more than with a " + idleShared, 30, true},
	{valueGoroutines, "goroutines more than with a " + idleShared, 20, true},
	{valueCore, "percent of a core", 1, false},
}

// idle compares sites with separate accounts with sites that share an account.
func (o *options) idle(ctx context.Context, dir string, messages io.Writer) (*tool.Report, error) {
	var shared, separate, files []string
	for site := range o.sites {
		project, content := fmt.Sprintf("project-%d", site), fmt.Sprintf("secret-%d", site)
		file := filepath.Join(dir, content)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return nil, err
		}
		const service = "127.0.0.1:9" // it is not called
		shared = append(shared, tokenDirectiveFor(service, projectID, secret, ""))
		separate = append(separate, tokenDirectiveFor(service, project, content, ""))
		files = append(files, tokenDirectiveFor(service, project, "{file."+file+"}", ""))
	}
	r, err := measure(ctx, o.rounds, idleShared, []candidate{
		{idleShared, func(ctx context.Context) (tool.Values, error) { return o.idleOnce(ctx, dir, shared) }},
		{idleSeparate, func(ctx context.Context) (tool.Values, error) { return o.idleOnce(ctx, dir, separate) }},
		{idleFiles, func(ctx context.Context) (tool.Values, error) { return o.idleOnce(ctx, dir, files) }},
	}, messages)
	if err == nil {
		checkIdle(r)
	}
	return r, err
}

// checkIdle adds the figures with limits, and the violations of limits.
func checkIdle(r *tool.Report) {
	r.Violations = []string{}
	for _, name := range []string{idleSeparate, idleFiles} {
		row := r.Row(name)
		for _, p := range idleGoals {
			value, known := row.Values[p.value]
			if !known {
				continue
			}
			if p.more {
				value = added(row, r.Row(idleShared), p.value)
			}
			r.Add(name+": "+p.unit, value)
			if value > p.limit {
				r.Violations = append(r.Violations, fmt.Sprintf("%s: %s: %.3f exceeds the limit %g", name, p.unit, value, p.limit))
			}
		}
	}
}

// idleOnce starts Caddy with sites, whose directives are given, and measures a round
// without requests.
func (o *options) idleOnce(ctx context.Context, dir string, sites []string) (values tool.Values, err error) {
	address, err := freeport.Address(ctx)
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	var b strings.Builder
	for site, directives := range sites {
		fmt.Fprintf(&b, "\nhttp://site-%d:%s {\n%s\n}\n", site, port, directives)
	}
	p, err := startSites(ctx, process.Config{Binary: o.caddy, Dir: dir, Sites: []string{address}}, b.String())
	if err != nil {
		return nil, err
	}
	defer stop(p, &err)
	// The first wait is for the end of the start, since secret files are read two seconds
	// after it. The second one is measured.
	w, start, used := workload{process: p}, time.Time{}, time.Duration(0)
	for _, lasts := range []time.Duration{min(3*time.Second, o.round), o.round} {
		start, used = time.Now(), w.processorTime()
		select {
		case <-time.After(lasts):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	values = make(tool.Values)
	if used > 0 {
		values[valueCore] = (w.processorTime() - used).Seconds() / time.Since(start).Seconds() * 100
	}
	metrics, err := p.Metrics(ctx) // after the processor time, since it uses some
	if memory, known := metrics[process.MetricMemory]; known {
		values[valueMemory] = memory / 1e6
	}
	values[valueGoroutines] = metrics[process.MetricGoroutines]
	return values, err
}
