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

// The kinds of requests.
const (
	kindRespond = "respond"
	kindAgain   = "again"
	kindLetters = "letters"
	kindWarm    = "warm"
	kindDirect  = "direct"
	kindProxy   = "proxy"
	kindCold    = "cold"
	kindPython  = "python"
)

var kindNames = []string{kindRespond, kindAgain, kindLetters, kindWarm, kindDirect, kindProxy, kindCold, kindPython}

// cacheUsers is max_entries by default.
const cacheUsers = 100_000

// compare compares the kinds.
func (o *options) compare(ctx context.Context, dir string, messages io.Writer) (r *tool.Report, err error) {
	s, err := newService(ctx, o.users)
	if err != nil {
		return nil, err
	}
	defer s.close()
	var python *kind
	if slices.Contains(o.kinds(), kindPython) {
		if python, err = o.startPython(ctx, dir, s); err != nil {
			return nil, err
		}
		defer stop(python.process, &err)
	}
	sites := map[string]string{
		kindWarm:  token(s.address, fmt.Sprintf("cache {\n\tttl 12h\n\tmax_entries %d\n}", max(o.users, cacheUsers))),
		kindProxy: "reverse_proxy " + s.address,
		kindCold:  token(s.address, "cache off"),
	}
	like, err := o.firstToken(ctx, dir, sites)
	if err != nil {
		return nil, err
	}
	sites[kindRespond] = like.respond(string(like.body))
	sites[kindLetters] = like.respond(strings.Repeat("x", len(like.body)))
	caddy, at, err := startCaddy(ctx, o.caddy, dir, sites)
	if err != nil {
		return nil, err
	}
	defer stop(caddy, &err)
	fmt.Fprintf(messages, "Caddy %d, admin endpoint http://%s …\n", caddy.PID(), caddy.Admin())
	if err := errors.Join(like.same(ctx, at[kindRespond]), o.askAll(ctx, at[kindWarm], o.users)); err != nil {
		return nil, err
	}

	call := func(c *client) error {
		_, err := c.send(signIn(s.address, rand.IntN(o.users)))
		return err
	}
	all := []kind{
		{name: kindRespond, address: at[kindRespond], process: caddy},
		{name: kindAgain, address: at[kindRespond], process: caddy},
		{name: kindLetters, address: at[kindLetters], process: caddy},
		{name: kindWarm, address: at[kindWarm], process: caddy},
		{name: kindDirect, address: s.address, rate: o.rate, calls: true, ask: call},
		{name: kindProxy, address: at[kindProxy], rate: o.rate, process: caddy, calls: true, ask: call},
		{name: kindCold, address: at[kindCold], rate: o.rate, process: caddy, calls: true},
	}
	if python != nil {
		all = append(all, *python)
	}
	var wanted []contender
	for _, k := range all {
		if k.ask == nil {
			k.ask = anyOf(o.users, k.address)
		}
		if slices.Contains(o.kinds(), k.name) {
			wanted = append(wanted, o.contender(s, k))
		}
	}
	r, err = measure(ctx, o.rounds, o.against, wanted, messages)
	if err != nil {
		return nil, err
	}
	addFigures(r)
	return r, nil
}

// firstToken returns a token response of a Caddy: what respond has to answer.
func (o *options) firstToken(ctx context.Context, dir string, sites map[string]string) (_ *answer, err error) {
	caddy, at, err := startCaddy(ctx, o.caddy, dir, sites)
	if err != nil {
		return nil, err
	}
	defer stop(caddy, &err)
	return firstAnswer(ctx, at[kindWarm])
}

// addFigures adds what follows of some kinds together.
func addFigures(r *tool.Report) {
	direct, proxy, cold := r.Row(kindDirect), r.Row(kindProxy), r.Row(kindCold)
	for _, row := range []*tool.Row{proxy, cold} {
		if row != nil {
			r.Add(row.Name+": new connections to the service per 1,000 requests", sum(row, valueConnections)/sum(row, valueRequests)*1000)
		}
		if row != nil && direct != nil {
			r.Add(row.Name+": milliseconds added to the median latency of direct", added(row, direct, valueP50))
		}
	}
	if direct != nil && proxy != nil && cold != nil && added(proxy, direct, valueP50) > 0 {
		r.Add("ratio of what cold adds to what proxy adds", added(cold, direct, valueP50)/added(proxy, direct, valueP50))
	}
}

// startPython starts the endpoint of Huma's quick start.
func (o *options) startPython(ctx context.Context, dir string, s *service) (*kind, error) {
	python, err := exec.LookPath("python3")
	if err != nil {
		return nil, fmt.Errorf("%s needs python3: %w", kindPython, err)
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
	return &kind{name: kindPython, address: address, process: p, calls: true}, err
}
