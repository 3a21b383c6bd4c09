package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/process"
)

// growOptions are those of the comparison of many users with few.
type growOptions struct {
	load
	few, many int
	rate      float64
	caddy     string
}

func (o *growOptions) about() string {
	return "bench grow [flags]\n\nCompares a Caddy that keeps the tokens of many users with one that keeps those of\nfew, and sends users whom the service does not know."
}

func (o *growOptions) bind(f *flag.FlagSet) {
	o.load.bind(f, 50)
	f.IntVar(&o.few, "few", 1000, "`users` whose tokens the one Caddy keeps")
	f.IntVar(&o.many, "many", 1_000_000, "`users` whose tokens the other Caddy keeps: some 2 kB each there while they come, and as much here")
	f.Float64Var(&o.rate, "rate", 1000, "new `users` per second")
	bindCaddy(f, &o.caddy)
}

func (o *growOptions) check() error {
	err := o.load.check()
	if o.few < 1 || o.many < 1 || !(o.rate > 0) || math.IsInf(o.rate, 1) {
		err = errors.Join(err, errors.New("-few, -many, -rate: they must be above 0"))
	}
	return err
}

// run implements mode.
func (o *growOptions) run(ctx context.Context, messages io.Writer) (_ report, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if o.caddy, err = process.Binary(ctx, o.caddy, dir, messages); err != nil {
		return nil, err
	}
	r := &GrowReport{Machine: process.Machine()}
	if err := o.keep(ctx, r, messages); err != nil {
		return nil, err
	}
	r.New, err = o.register(ctx, messages)
	return r, err
}

// keep fills two Caddys and compares them.
func (o *growOptions) keep(ctx context.Context, r *GrowReport, messages io.Writer) error {
	service, err := newService(ctx, max(o.few, o.many))
	if err != nil {
		return err
	}
	defer func() {
		if service != nil {
			service.close()
		}
	}()
	return o.with(ctx, service.address, func(few *grown) error {
		return o.with(ctx, service.address, func(many *grown) error {
			if _, err := askAll(ctx, few.site, o.few, o.connections); err != nil {
				return err
			}
			fmt.Fprintf(messages, "asking for %d users …\n", o.many)
			if err := o.fill(ctx, many, r); err != nil {
				return err
			}
			fmt.Fprintf(messages, "%.0f s, %.0f a second\n", r.Fill.Seconds, r.Fill.PerSecond)
			// Nobody needs the service any more. Nor are its users kept: now and then
			// Go's collector would look through all of them while we measure.
			b := bench{o.load, service.counts}
			service.close()
			service = nil
			debug.FreeOSMemory()
			r.Hits, err = b.measure(ctx, []kind{
				{name: fmt.Sprintf("%d users", o.few), address: few.site, caddy: few.process, ask: anyOf(o.few, few.site)},
				{name: fmt.Sprintf("%d users", o.many), address: many.site, caddy: many.process, ask: anyOf(o.many, many.site)},
			}, messages)
			return err
		})
	})
}

// fill asks for all of many users, and tells what they take.
func (o *growOptions) fill(ctx context.Context, many *grown, r *GrowReport) error {
	before := footprintOf(ctx, many.process)
	start := time.Now()
	answers, err := askAll(ctx, many.site, o.many, o.connections)
	if err != nil {
		return err
	}
	took := time.Since(start).Seconds()
	r.Fill = Fill{Users: o.many, Seconds: took, PerSecond: float64(o.many) / took}
	r.Memory = footprintOf(ctx, many.process).perUser(before, o.many)
	r.Memory.Answer = float64(answers) / float64(o.many)
	if r.Memory.Heap != unknown {
		r.Memory.Beyond = r.Memory.Heap - r.Memory.Answer
	}
	return nil
}

// footprint is what a Caddy takes of the memory.
type footprint struct{ heap, rss process.Amount }

func footprintOf(ctx context.Context, p *process.Process) footprint {
	rss := p.Usage(ctx).RSS // before its heap is collected
	return footprint{p.LiveHeap(ctx), rss}
}

func (f footprint) perUser(before footprint, users int) Memory {
	each := func(after, before process.Amount) float64 {
		if after == process.Unknown || before == process.Unknown {
			return unknown
		}
		return float64(after-before) / float64(users)
	}
	return Memory{Heap: each(f.heap, before.heap), RSS: each(f.rss, before.rss), Beyond: unknown}
}

// grown is a Caddy whose one site has huma_token.
type grown struct {
	process *process.Process
	site    string
}

// with runs one while f does its work: with room for all users, for longer than
// the rounds last, and without the brake on sign-ups.
func (o *growOptions) with(ctx context.Context, service string, f func(*grown) error) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var g grown
	var admin string
	if err := findPorts(ctx, &g.site, &admin); err != nil {
		return err
	}
	handler := token(service, object{"ttl": "12h", "max_entries": o.few + o.many})
	handler["registration"] = object{"rate": "1000000/s", "burst": 1_000_000}
	text, err := config(admin, object{"grown": site(g.site, handler)})
	if err != nil {
		return err
	}
	return with(ctx, process.Config{Binary: o.caddy, Dir: dir, JSON: text, Sites: []string{g.site}, Admin: admin}, func(p *process.Process) error {
		g.process = p
		return f(&g)
	})
}
