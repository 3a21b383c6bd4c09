package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/internal/freeport"
	"github.com/caddy-huma/caddy-huma/internal/process"
	"github.com/caddy-huma/caddy-huma/internal/tool"
)

// The workloads.
const (
	workloadRespond = "respond"
	workloadRepeat  = "respond-repeat"
	workloadPlain   = "respond-plain"
	workloadWarm    = "warm"
	workloadDirect  = "direct"
	workloadProxy   = "proxy"
	workloadCold    = "cold"
	workloadPython  = "python"
)

// workloadNames are the names of all workloads. By default, all but the last are
// measured.
var workloadNames = []string{workloadRespond, workloadRepeat, workloadPlain, workloadWarm, workloadDirect, workloadProxy, workloadCold, workloadPython}

// cacheUsers is the default of max_entries.
const cacheUsers = 100_000

// compare measures the workloads.
func (o *options) compare(ctx context.Context, dir string, messages io.Writer) (r *tool.Report, err error) {
	s, err := newService(ctx, o.users)
	if err != nil {
		return nil, err
	}
	defer s.close()
	var python *workload
	if slices.Contains(o.workloads(), workloadPython) {
		if python, err = o.startPython(ctx, dir, s); err != nil {
			return nil, err
		}
		defer stop(python.process, &err)
	}
	sites := map[string]string{
		workloadWarm:  tokenDirective(s.address, fmt.Sprintf("cache {\n\tttl 12h\n\tmax_entries %d\n}", max(o.users, cacheUsers))),
		workloadProxy: "reverse_proxy " + s.address,
		workloadCold:  tokenDirective(s.address, "cache off"),
	}
	reference, err := o.firstToken(ctx, dir, sites)
	if err != nil {
		return nil, err
	}
	sites[workloadRespond] = reference.directives(string(reference.body))
	sites[workloadPlain] = reference.directives(strings.Repeat("x", len(reference.body)))
	caddy, at, err := startCaddy(ctx, o.caddy, dir, sites)
	if err != nil {
		return nil, err
	}
	defer stop(caddy, &err)
	fmt.Fprintf(messages, "Caddy %d, admin endpoint http://%s …\n", caddy.PID(), caddy.Admin())
	if err := errors.Join(reference.check(ctx, at[workloadRespond]), o.requestAll(ctx, at[workloadWarm], o.users)); err != nil {
		return nil, err
	}

	call := func(c *client) error {
		_, err := c.send(signIn(s.address, rand.IntN(o.users)))
		return err
	}
	all := []workload{
		{name: workloadRespond, address: at[workloadRespond], process: caddy},
		{name: workloadRepeat, address: at[workloadRespond], process: caddy},
		{name: workloadPlain, address: at[workloadPlain], process: caddy},
		{name: workloadWarm, address: at[workloadWarm], process: caddy},
		{name: workloadDirect, address: s.address, rate: o.rate, calls: true, request: call},
		{name: workloadProxy, address: at[workloadProxy], rate: o.rate, process: caddy, calls: true, request: call},
		{name: workloadCold, address: at[workloadCold], rate: o.rate, process: caddy, calls: true},
	}
	if python != nil {
		all = append(all, *python)
	}
	var selected []candidate
	for _, w := range all {
		if w.request == nil {
			w.request = randomUser(o.users, w.address)
		}
		if slices.Contains(o.workloads(), w.name) {
			selected = append(selected, o.candidate(s, w))
		}
	}
	r, err = measure(ctx, o.rounds, o.against, selected, messages)
	if err != nil {
		return nil, err
	}
	addFigures(r)
	return r, nil
}

// firstToken returns a token response of huma_token, for respond.
func (o *options) firstToken(ctx context.Context, dir string, sites map[string]string) (_ *response, err error) {
	caddy, at, err := startCaddy(ctx, o.caddy, dir, sites)
	if err != nil {
		return nil, err
	}
	defer stop(caddy, &err)
	return firstResponse(ctx, at[workloadWarm])
}

// addFigures adds the figures that are computed from several workloads.
func addFigures(r *tool.Report) {
	direct, proxy, cold := r.Row(workloadDirect), r.Row(workloadProxy), r.Row(workloadCold)
	for _, row := range []*tool.Row{proxy, cold} {
		if row != nil {
			r.Add(row.Name+": new connections to the service per 1,000 requests", sum(row, valueConnections)/sum(row, valueRequests)*1000)
		}
		if row != nil && direct != nil {
			r.Add(row.Name+": milliseconds added to the median latency of direct", added(row, direct, valueP50))
		}
	}
	if direct != nil && proxy != nil && cold != nil && added(proxy, direct, valueP50) > 0 {
		r.Add("ratio of the latency that cold adds to the latency that proxy adds", added(cold, direct, valueP50)/added(proxy, direct, valueP50))
	}
}

// startPython starts the endpoint of Huma's quick start.
func (o *options) startPython(ctx context.Context, dir string, s *service) (*workload, error) {
	python, err := exec.LookPath("python3")
	if err != nil {
		return nil, fmt.Errorf("%s requires python3: %w", workloadPython, err)
	}
	address, err := freeport.Address(ctx)
	if err != nil {
		return nil, err
	}
	module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("find the directory of the module: %w", err)
	}
	config := filepath.Join(dir, "huma-config.json")
	text, err := json.Marshal(map[string]any{
		"url": "http://" + s.address, "projectId": projectID, "deploymentId": deploymentID,
		"clients": map[string]string{"ios": clientID}, "secret": secret,
	})
	if err == nil {
		err = os.WriteFile(config, text, 0o600)
	}
	if err != nil {
		return nil, err
	}
	endpoint := filepath.Join(strings.TrimSpace(string(module)), "testdata", "quickstart", "endpoint.py")
	p, err := process.Start(ctx, process.Config{Binary: python, Dir: dir, Sites: []string{address}, Args: []string{endpoint, address, userHeader, config}})
	return &workload{name: workloadPython, address: address, process: p, calls: true}, err
}
