package caddymodule

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

// begin is the first part of every directive's Provision: what nothing can go
// wrong with.
func (e *endpoint) begin(ctx caddy.Context, p *provider, s credentialSource, c *Common) {
	e.service, e.source, e.common = p, s, c
	e.files = filesOf(s)
	e.logger, e.meters = ctx.Logger(), newMeters(p.name, p.calls)
	if e.rehearsal != nil {
		e.logger = zap.NewNop() // the command tells what there is to tell
	}
}

// read evaluates what the directives share, and notes every problem in it.
func (e *endpoint) read(ctx caddy.Context, ttl time.Duration, p *option.Problems) limits {
	l := readLimits(e.common, p)
	checkOptions(e.common, p)
	e.delegateErrors = e.common.Errors == "caddy"
	e.denyCrossSite = e.common.CrossSite != "allow"
	e.loadStore(ctx, p)
	hashKey := p.Secret("hash_key", e.common.HashKey)
	if store := e.store; hashKey.IsZero() && store != nil {
		hashKey = store.LogKey()
	}
	e.names = newLogNames(hashKey)
	e.policy = newPolicy(e.common, l, ttl)
	e.identity = newIdentifier(e.common, surroundings{
		byID:        e.service.byID,
		arrives:     e.rehearsal.headerArrives(ctx),
		maxWaiting:  l.maxWaiting,
		timeout:     e.policy.Timeout,
		keys:        keysFromPool(ctx, &e.releases),
		notAnswered: e.logNotAnswered,
	}, p)
	return l
}

// acquire takes the state of an account from the pools. written is
// what names it in the config: what rotates in place (a file's content) is no
// part of that, so state survives a rotation. It is the last part of Provision
// that may fail.
func (e *endpoint) acquire(ctx caddy.Context, written []string, l limits, transport transportSettings) error {
	if err := registerMetrics(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	var err error
	if e.events, err = newEmitter(ctx); err != nil {
		return err
	}
	l.tls = string(transport.fingerprint)
	if store := e.store; store != nil {
		l.store = store.PoolKey()
	}
	key := string(derive(nil, append([]string{e.service.name, e.rehearsal.stage()}, written...)...))
	a, err := acquire[*account](&e.releases, accounts, key, newAccount)
	if err != nil {
		return err
	}
	e.account = a
	config := any(ctx.GetMetricsRegistry()) // tells the handlers of one config from those of the next
	if err := a.claim(config, l, e.policy.Timeout); err != nil {
		return fmt.Errorf("another %s of the same account %w: give both the same %s", e.service.directive, err, e.service.sharedOptions)
	}
	e.releases.push(func() { a.unclaim(config) })

	e.upstream, err = acquire[*upstream](&e.releases, upstreams, key+" "+l.upstreamKey(), func() (caddy.Destructor, error) {
		return newUpstream(e.service.name, l, transport.build())
	})
	if err != nil {
		return err
	}
	e.onBreaker = e.emitBreaker
	e.releases.push(func() { e.upstream.onBreaker.CompareAndSwap(&e.onBreaker, nil) })
	if cache := e.common.Cache; cache == nil || !cache.Disabled {
		e.policy.Cache = a.cache.Limit(l.maxEntries)
		e.policy.Recent = a.recent.Limit(l.maxEntries)
	}
	if cache := e.common.Cache; cache != nil {
		for _, v := range cache.Vary {
			e.vary = append(e.vary, v[1:len(v)-1])
		}
	}
	e.varyOn = varyOf(append(e.identity.Headers(), e.identity.Forwards()...), e.vary)
	return nil
}

// Cleanup implements caddy.CleanerUpper. It gives back what Provision has
// acquired, also if that failed halfway. Requests of this config may still be
// running, so nothing is closed here.
func (e *endpoint) Cleanup() error {
	e.releases.run()
	return nil
}
