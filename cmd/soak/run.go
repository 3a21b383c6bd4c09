package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/freeport"
	"github.com/caddy-huma/caddy-huma/internal/process"
	"github.com/caddy-huma/caddy-huma/internal/redisserver"
)

const (
	// leadTime is between the start of everything and the first request.
	leadTime = 200 * time.Millisecond

	// sampleEvery is how often the process is looked at.
	sampleEvery = time.Second
)

// soak does what the options say.
func soak(ctx context.Context, o options, messages io.Writer) (*Report, error) {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if o.caddy, err = process.Binary(ctx, o.caddy, dir, messages); err != nil {
		return nil, err
	}
	log := io.Discard
	if o.log != "" {
		file, err := os.Create(o.log)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		log = file
	}

	run, err := o.run(ctx, dir, tokenPath, log, messages)
	if err != nil {
		return nil, err
	}
	report := &Report{Machine: process.Machine(), Options: o.given, Run: run}
	what := findFault(o.fault)
	if o.compareRespond && ctx.Err() == nil {
		o.fault = "none"
		if report.Respond, err = o.run(ctx, dir, comparePath, log, messages); err != nil {
			return nil, fmt.Errorf("compare: %w", err)
		}
	}
	report.judge(allowed{failures: !what.ofStore, garbage: what.garbles, lost: o.reload > 0})
	return report, nil
}

// run starts a service and a Caddy, asks for a path, and stops them again.
func (o options) run(ctx context.Context, dir, path string, log, messages io.Writer) (_ *Run, err error) {
	u, err := newUpstream(ctx, o.hold)
	if err != nil {
		return nil, err
	}
	defer u.close()
	for i := range o.users {
		u.AddUser(knownUser(i))
	}
	store, err := o.startStore(ctx, dir)
	if err != nil {
		return nil, err
	}
	if store != nil {
		defer store.Kill()
	}
	site, err1 := freeport.Address(ctx)
	admin, err2 := freeport.Address(ctx)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}

	r := newRecorder(path == tokenPath)
	p, err := process.Start(ctx, process.Config{
		Binary: o.caddy, Dir: dir, Sites: []string{site}, Admin: admin,
		Caddyfile: o.caddyfile(site, admin, u.proxy.Addr(), store),
		Line: func(line []byte) {
			r.logLine(line)
			_, _ = fmt.Fprintf(log, "%s\n", line)
		},
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if stopped := p.Stop(); stopped != nil && err == nil {
			err = fmt.Errorf("caddy ended with: %w", stopped)
		}
	}()
	fmt.Fprintf(messages, "Caddy %d at http://%s, admin endpoint http://%s; %s for %s …\n", p.PID(), site, admin, path, o.duration)
	if err := r.joins(ctx, store); err != nil {
		return nil, err
	}
	result := &Run{Path: path, Start: o.look(ctx, p)}
	err = o.drive(ctx, p, newFailing(u, store, o), r, "http://"+site+path)
	if err != nil {
		return nil, err
	}
	sleepUntil(ctx, time.Now().Add(o.settle))
	result.End = o.look(context.WithoutCancel(ctx), p)
	result.fill(r, u)
	return result, nil
}

// drive sends the load while faults, reloads and looks at the process happen.
func (o options) drive(ctx context.Context, p *process.Process, f *failing, r *recorder, url string) error {
	if err := f.mark(r); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.start = time.Now().Add(leadTime)
	var (
		background sync.WaitGroup
		errs       = make(chan error, 3) // as many as there are goroutines
	)
	for _, work := range []func() error{
		func() error { return f.schedule(ctx, r) },
		func() error { o.reloads(ctx, p, r); return nil },
		func() error { return samples(ctx, p, r) },
	} {
		background.Go(func() {
			if err := work(); err != nil {
				errs <- err
				cancel()
			}
		})
	}
	newLoad(o, r, url).run(ctx)
	cancel()
	background.Wait()
	close(errs)
	return errors.Join(<-errs, f.mark(r))
}

// reloads loads the config again and again. A reload that fails is counted: now
// and then Caddy drops a connection to its admin endpoint while it replaces it.
func (o options) reloads(ctx context.Context, p *process.Process, r *recorder) {
	if o.reload == 0 {
		return
	}
	every := time.Duration(float64(time.Second) / o.reload)
	for due := r.start; sleepUntil(ctx, due); due = due.Add(every) {
		if err := p.Reload(ctx); err == nil || ctx.Err() == nil {
			r.reloaded(err)
		}
	}
}

// samples looks at the process now and then, and notices if it ends.
func samples(ctx context.Context, p *process.Process, r *recorder) error {
	for due := r.start; ; due = due.Add(sampleEvery) {
		select {
		case <-p.Ended():
			return errors.New("caddy has ended by itself")
		default:
		}
		if !sleepUntil(ctx, due) {
			return nil
		}
		if u := p.Usage(ctx); ctx.Err() == nil {
			r.use(u)
		}
	}
}

// look is a thorough look at the process.
func (o options) look(ctx context.Context, p *process.Process) Footprint {
	return Footprint{LiveHeap: p.LiveHeap(ctx), Usage: p.Usage(ctx)}
}

// caddyfile is the config: tokens at one path, a fixed text of their size at
// another.
func (o options) caddyfile(site, admin, api string, store *redisserver.Server) string {
	registration := []string{"hold " + o.hold.String()}
	if o.registrations != "" {
		registration = append(registration, "rate "+o.registrations)
	}
	return strings.NewReplacer(
		"ADMIN", admin, "SITE", site, "API", api, "HEADER", userHeader, "TOKEN_PATH", tokenPath, "COMPARE_PATH", comparePath,
		"REGISTRATION", strings.Join(registration, "\n\t\t\t"), "CACHE", o.cacheOption(store), "MORE", strings.Join(o.set, "\n\t\t"), "TEXT", strings.Repeat("x", compareSize),
	).Replace(caddyfileText)
}

// compareSize is about what a token answer of the sandbox has, in bytes.
const compareSize = 850

const caddyfileText = `{
	admin ADMIN
	persist_config off
	auto_https off
	default_bind 127.0.0.1
	grace_period 5s
	log {
		output stderr
		format json
	}
}

http://SITE {
	huma_token TOKEN_PATH {
		api http://API
		project_id p1
		deployment_id d1
		client_id ios c1
		secret sandbox-secret
		registration {
			REGISTRATION
		}
		identity {
			email HEADER
		}
		trust proxies 127.0.0.1
		CACHE
		MORE
	}
	header COMPARE_PATH {
		Cache-Control no-store
		Content-Type application/json
	}
	respond COMPARE_PATH TEXT
}
`
