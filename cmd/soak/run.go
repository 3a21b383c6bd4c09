package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/caddy-huma/caddy-huma/internal/freeport"
	"github.com/caddy-huma/caddy-huma/internal/process"
	"github.com/caddy-huma/caddy-huma/internal/redisserver"
	"github.com/caddy-huma/caddy-huma/internal/tool"
)

const (
	leadTime       = 200 * time.Millisecond // between the start of the processes and the first request
	sampleEvery    = time.Second            // between two reads of the metrics
	connectTimeout = 10 * time.Second       // for Caddy to connect to Redis

	// redisUsed is in the log of Caddy when it is connected to Redis.
	redisUsed = `"connected to the shared store`

	// storeKey encrypts the values in Redis.
	storeKey = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
)

// Run implements tool.Tool. It starts all processes, sends the load, and stops the
// processes.
func (o *options) Run(ctx context.Context, dir string, messages io.Writer) (_ *tool.Report, err error) {
	if o.caddy, err = process.Binary(ctx, o.caddy, dir, messages); err != nil {
		return nil, err
	}
	u, err := newUpstream(ctx, o.seed)
	if err != nil {
		return nil, err
	}
	defer u.close()
	for i := range o.users {
		u.AddUser(knownUser(i))
	}
	if o.redis {
		if u.redis, err = redisserver.Start(ctx, dir); err != nil {
			return nil, err
		}
		defer u.redis.Kill()
	}
	site, siteErr := freeport.Address(ctx)
	admin, adminErr := freeport.Address(ctx)
	if err := errors.Join(siteErr, adminErr); err != nil {
		return nil, err
	}
	r := newRecorder()
	p, err := process.Start(ctx, process.Config{
		Binary: o.caddy, Dir: dir, Sites: []string{site}, Admin: admin, Caddyfile: o.caddyfile(site, admin, u),
		Line: func(line []byte) {
			if bytes.Contains(line, []byte(redisUsed)) {
				r.markConnected()
			}
			if o.log {
				fmt.Fprintf(messages, "%s\n", line)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if stopped := p.Stop(); stopped != nil && err == nil {
			err = fmt.Errorf("caddy exited: %w", stopped)
		}
	}()
	fmt.Fprintf(messages, "Caddy %d at http://%s, admin endpoint http://%s; load for %s …\n", p.PID(), site, admin, o.duration)
	if o.redis {
		select {
		case <-r.connected:
		case <-time.After(connectTimeout):
			return nil, errors.New("caddy did not connect to Redis")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := o.drive(ctx, p, u, r, "http://"+site+tokenPath); err != nil {
		return nil, err
	}
	sleepUntil(ctx, time.Now().Add(o.settleTime))
	r.readMetrics(context.WithoutCancel(ctx), p)
	return r.report(u, o), nil
}

// drive sends the load. Concurrently it injects the fault, reloads the config and reads
// the metrics.
func (o *options) drive(ctx context.Context, p *process.Process, u *upstream, r *recorder, url string) error {
	r.readMetrics(ctx, p)
	r.start = time.Now().Add(leadTime)
	g, ctx := errgroup.WithContext(ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g.Go(func() error { return o.schedule(ctx, u, r) })
	g.Go(func() error { return sampleMetrics(ctx, p, r) })
	g.Go(func() error {
		// A failed reload is only counted, since Caddy may close a connection to the admin
		// endpoint while it restarts the endpoint.
		for due := r.start; o.reload > 0 && sleepUntil(ctx, due); due = due.Add(time.Duration(float64(time.Second) / o.reload)) {
			if err := p.Reload(ctx); err == nil || ctx.Err() == nil {
				r.update(func() {
					if r.reloads++; err != nil {
						r.failed++
					}
				})
			}
		}
		return nil
	})
	newLoad(o, r, url).run(ctx)
	cancel()
	return g.Wait()
}

// sampleMetrics reads the metrics of Caddy periodically. It returns an error if Caddy
// exits.
func sampleMetrics(ctx context.Context, p *process.Process, r *recorder) error {
	for due := r.start; sleepUntil(ctx, due); due = due.Add(sampleEvery) {
		select {
		case <-p.Ended():
			return errors.New("caddy exited unexpectedly")
		default:
			r.readMetrics(ctx, p)
		}
	}
	return nil
}

// caddyfile returns the config of Caddy.
func (o *options) caddyfile(site, admin string, u *upstream) string {
	var cache []string
	if o.maxEntries > 0 {
		cache = append(cache, fmt.Sprint("max_entries ", o.maxEntries))
	}
	if u.redis != nil {
		cache = append(cache, "redis {", "address "+u.redis.Addr(), "encryption_keys "+storeKey, "}")
	}
	var more []string
	if len(cache) > 0 {
		more = append(more, "cache {\n"+strings.Join(cache, "\n")+"\n}")
	}
	for _, option := range o.set { // a block can be given in one line
		more = append(more, strings.NewReplacer("{ ", "{\n", "; ", "\n", " }", "\n}").Replace(option))
	}
	return fmt.Sprintf(`{
	admin %s
	persist_config off
	auto_https off
	default_bind 127.0.0.1
	grace_period 5s
	log {
		output stderr
		format json
	}
}

http://%s {
	huma_token %s {
		api http://%s
		project_id p1
		deployment_id d1
		client_id ios c1
		secret sandbox-secret
		identity {
			email %s
		}
		trust proxies 127.0.0.1
		%s
	}
}
`, admin, site, tokenPath, u.proxy.Addr(), userHeader, strings.Join(more, "\n"))
}

// sleepUntil waits until a time. It returns false if ctx is canceled before.
func sleepUntil(ctx context.Context, t time.Time) bool {
	select {
	case <-time.After(time.Until(t)):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
