package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/internal/process"
)

// The kinds of rounds, in the order of the report.
const (
	kindRespond = "respond"
	kindAgain   = "again"
	kindLetters = "letters"
	kindStatic  = "static"
	kindWarm    = "warm"
	kindDirect  = "direct"
	kindProxy   = "proxy"
	kindCold    = "cold"
	kindPython  = "python"
)

var (
	kindNames    = []string{kindRespond, kindAgain, kindLetters, kindStatic, kindWarm, kindDirect, kindProxy, kindCold, kindPython}
	defaultKinds = slices.DeleteFunc(slices.Clone(kindNames), func(name string) bool { return name == kindPython })
)

// wants reports whether a kind is measured.
func (o *options) wants(name string) bool {
	return name == kindRespond || slices.Contains(strings.Split(o.only, ","), name)
}

// run implements mode.
func (o *options) run(ctx context.Context, messages io.Writer) (_ report, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var python string
	if o.wants(kindPython) {
		if python, err = findPython(); err != nil {
			return nil, err
		}
	}
	if o.caddy, err = process.Binary(ctx, o.caddy, dir, messages); err != nil {
		return nil, err
	}
	service, err := newService(ctx, o.users)
	if err != nil {
		return nil, err
	}
	defer service.close()
	c := comparison{options: o, service: service, dir: dir}
	if c.sites, err = newSites(ctx); err != nil {
		return nil, err
	}
	var r *Report
	measure := func() error {
		r, err = c.compare(ctx, messages)
		return err
	}
	if python != "" {
		err = c.withPython(ctx, python, measure)
	} else {
		err = measure()
	}
	return r, err
}

// comparison is a run of the program.
type comparison struct {
	*options
	sites      sites
	service    *service
	dir        string
	python     *process.Process // nil: not asked for
	pythonSite string
}

// compare starts Caddy and measures. Caddy starts twice: what respond answers is
// known once there was a token.
func (c *comparison) compare(ctx context.Context, messages io.Writer) (*Report, error) {
	var like template
	err := c.with(ctx, like, func(*process.Process) (err error) {
		like, err = firstAnswer(ctx, c.sites.warm)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("first token: %w", err)
	}
	r := &Report{Machine: process.Machine()}
	err = c.with(ctx, like, func(caddy *process.Process) error {
		fmt.Fprintf(messages, "Caddy %d, admin endpoint http://%s …\n", caddy.PID(), c.sites.admin)
		if err := c.sites.check(ctx, like); err != nil {
			return err
		}
		calls, err := c.service.during(func() error {
			_, err := askAll(ctx, c.sites.warm, c.users, 1)
			return err
		})
		if err != nil {
			return err
		}
		b := bench{c.load, c.service.counts}
		if r.Table, err = b.measure(ctx, c.kinds(caddy, calls), messages); err == nil {
			r.conclude()
		}
		return err
	})
	return r, err
}

// with runs Caddy while f does its work.
func (c *comparison) with(ctx context.Context, like template, f func(*process.Process) error) error {
	text, err := c.sites.config(c.service.address, like)
	if err != nil {
		return err
	}
	return with(ctx, process.Config{
		Binary: c.caddy, Dir: c.dir, JSON: text, Admin: c.sites.admin,
		Sites: []string{c.sites.respond, c.sites.letters, c.sites.static, c.sites.warm, c.sites.proxy, c.sites.cold},
	}, f)
}

// with runs a process while f does its work.
func with(ctx context.Context, cfg process.Config, f func(*process.Process) error) error {
	p, err := process.Start(ctx, cfg)
	if err != nil {
		return err
	}
	err = f(p)
	if stopped := p.Stop(); stopped != nil {
		err = errors.Join(err, fmt.Errorf("%s ended with: %w", filepath.Base(cfg.Binary), stopped))
	}
	return err
}

// kinds are those that are measured.
func (c *comparison) kinds(caddy *process.Process, calls [][]byte) []kind {
	call := func(c *client) error { return c.ask(http.StatusOK, calls[rand.IntN(len(calls))]) }
	all := []kind{
		{name: kindRespond, address: c.sites.respond, caddy: caddy},
		{name: kindAgain, address: c.sites.respond, caddy: caddy},
		{name: kindLetters, address: c.sites.letters, caddy: caddy},
		{name: kindStatic, address: c.sites.static, caddy: caddy},
		{name: kindWarm, address: c.sites.warm, caddy: caddy},
		{name: kindDirect, address: c.service.address, rate: c.rate, calls: true, ask: call},
		{name: kindProxy, address: c.sites.proxy, rate: c.rate, caddy: caddy, calls: true, ask: call},
		{name: kindCold, address: c.sites.cold, rate: c.rate, caddy: caddy, calls: true},
		{name: kindPython, address: c.pythonSite, caddy: c.python, calls: true},
	}
	for i, k := range all {
		if k.ask == nil {
			all[i].ask = anyOf(c.users, k.address)
		}
	}
	return slices.DeleteFunc(all, func(k kind) bool { return !c.wants(k.name) })
}
