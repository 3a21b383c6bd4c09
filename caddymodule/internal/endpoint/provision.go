package endpoint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/account"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/cors"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/events"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identify"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/lifecycle"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userhash"
	"github.com/caddy-huma/caddy-huma/internal/suggest"
)

// Init is the first step of a directive's Provision. It cannot fail. handler is the
// directive's config, in which Init looks for the names of files.
func (e *Endpoint) Init(ctx caddy.Context, service *Service, s Source, handler any, c *config.Common) {
	e.Service, e.source, e.handler, e.common = service, s, handler, c
	e.files = option.Files(handler)
	e.logger, e.metrics = ctx.Logger(), service.metrics()
	if e.DryRun != nil {
		e.logger = zap.NewNop() // the command reports the result itself
	}
}

// Load is the second step of Provision. It evaluates the options that both directives
// share, adds all their errors to p, and returns the limits. ttl is the service's
// default lifetime of cached tokens.
func (e *Endpoint) Load(ctx caddy.Context, ttl time.Duration, p *option.Errors) account.Limits {
	l := readLimits(e.common, p)
	checkOptions(e.common, p)
	e.delegateErrors = e.common.Errors == "caddy"
	e.denyCrossSite = e.common.CrossSite != "allow"
	e.origins = readOrigins(e.common, p)
	e.loadStore(ctx, p)
	hashKey := p.Secret("hash_key", e.common.HashKey)
	if store := e.store; hashKey.IsZero() && store != nil {
		hashKey = store.LogKey()
	}
	e.LogHasher = userhash.ForLogs(hashKey)
	e.Policy = newPolicy(e.common, l, ttl)
	e.identity = identify.New(e.common, identify.Options{
		ByID:              e.Service.ByID,
		ForwardsHeader:    e.DryRun.forwardsHeader(ctx),
		MaxWaiting:        l.MaxWaiting,
		Timeout:           e.Policy.Timeout,
		Keys:              identify.Keys(ctx, &e.cleanups),
		OnUserinfoError:   e.logUserinfoError,
		OnAuthServerError: e.logAuthServerError,
	}, p)
	return l
}

// AcquireState is the third step of Provision. It takes the state of the account and its
// upstream from the pools, where they survive reloads. names are the options that
// identify the account, as written in the config: the content of a file is not part of
// them, so the state survives a rotation. AcquireState returns an error if another
// handler of the config sets the limits of the account differently.
func (e *Endpoint) AcquireState(ctx caddy.Context, names []string, l account.Limits, transport account.TransportSettings) error {
	if err := RegisterMetrics(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	var err error
	if e.events, err = events.New(ctx); err != nil {
		return err
	}
	l.TLS = string(transport.Fingerprint)
	if store := e.store; store != nil {
		l.Store = store.PoolKey()
	}
	key := string(userhash.DeriveKey(nil, append([]string{e.Service.Name, e.DryRun.isolationKey()}, names...)...))
	a, err := lifecycle.FromPool[*account.Account](&e.cleanups, account.Accounts, key, account.New)
	if err != nil {
		return err
	}
	e.Account = a
	config := any(ctx.GetMetricsRegistry()) // identifies the config: each one has its own registry
	if err := a.Attach(config, l, e.Policy.Timeout); err != nil {
		return fmt.Errorf("another %s of the same account: %w; set the same %s in both", e.Service.Directive, err, e.Service.sharedOptions)
	}
	e.cleanups.Add(func() { a.Detach(config) })

	e.upstream, err = lifecycle.FromPool[*account.Upstream](&e.cleanups, account.Upstreams, key+" "+l.UpstreamKey(), func() (caddy.Destructor, error) {
		return account.NewUpstream(e.Service.Name, l, transport.Build())
	})
	if err != nil {
		return err
	}
	e.onBreaker = func(open bool) { e.events.Breaker(e.Service.Name, open) }
	e.cleanups.Add(func() { e.upstream.OnBreaker.CompareAndSwap(&e.onBreaker, nil) })
	if cache := e.common.Cache; cache == nil || !cache.Disabled {
		e.Policy.Cache = a.Cache.Limit(l.MaxEntries)
		e.Policy.Forced = a.Forced.Limit(l.MaxEntries)
	}
	if cache := e.common.Cache; cache != nil {
		for _, v := range cache.Vary {
			e.vary = append(e.vary, v[1:len(v)-1])
		}
	}
	e.setHeaders()
	return nil
}

// setHeaders sets the values of response headers that do not depend on the request.
func (e *Endpoint) setHeaders() {
	varying := headersOf(e.vary)
	e.cors = cors.New(e.origins, slices.Concat(e.identity.TokenHeaders(), e.identity.Forwards(), varying))
	if e.cors != nil {
		varying = append(varying, "Origin")
	}
	e.varyHeader = varyOf(slices.Concat(e.identity.Headers(), e.identity.Forwards(), varying))
}

// readOrigins returns the option allow_origins with its placeholders expanded, and adds
// its errors to p.
func readOrigins(c *config.Common, p *option.Errors) []string {
	origins := p.Texts("allow_origins", c.AllowOrigins)
	for _, origin := range origins {
		if err := cors.CheckOrigin(origin); err != nil {
			p.Join(fmt.Errorf("allow_origins: %w", err))
		}
	}
	return origins
}

// Cleanup implements caddy.CleanerUpper. It releases what Provision has acquired, also
// if Provision failed halfway. Requests of this config may still be running, so Cleanup
// closes nothing that they use.
func (e *Endpoint) Cleanup() error {
	e.cleanups.Run()
	return nil
}

// The default values of the options that both directives share.
const (
	defaultNegativeTTL     = 5 * time.Second
	defaultTimeout         = caddy.Duration(10 * time.Second)
	defaultAttemptTimeout  = caddy.Duration(5 * time.Second)
	defaultMaxEntries      = 100_000
	defaultMaxConcurrent   = 64
	defaultMaxWaiting      = 2000
	defaultBreakerFailures = 20
	defaultBreakerOpen     = caddy.Duration(5 * time.Second)
)

// defaultRetries is the default of the option retries. It is a variable, because Do needs
// a pointer to it.
var defaultRetries = 1

// readLimits returns the limits that all handlers of an account share, with defaults for
// those that are not set.
func readLimits(c *config.Common, p *option.Errors) account.Limits {
	b := c.Breaker
	if b == nil {
		b = new(config.Breaker)
	}
	k := c.Cache
	if k == nil {
		k = new(config.Cache)
	}
	p.AtLeast("max_concurrent", c.MaxConcurrent, 1)
	p.AtLeast("max_waiting", c.MaxWaiting, 1)
	p.AtLeast("max_entries", k.MaxEntries, 1)
	p.AtLeast("failures", b.Failures, 1)
	p.MinDuration("open", b.Open, config.MinDuration)
	return account.Limits{
		MaxConcurrent: cmp.Or(c.MaxConcurrent, defaultMaxConcurrent),
		MaxWaiting:    cmp.Or(c.MaxWaiting, defaultMaxWaiting),
		MaxEntries:    cmp.Or(k.MaxEntries, defaultMaxEntries),
		BreakerOff:    b.Disabled,
		Failures:      cmp.Or(b.Failures, defaultBreakerFailures),
		Open:          time.Duration(cmp.Or(b.Open, defaultBreakerOpen)),
	}
}

// checkOptions adds invalid values of options to p. Only a JSON config can have them:
// the Caddyfile parser rejects them with their line.
func checkOptions(c *config.Common, p *option.Errors) {
	for _, o := range []struct {
		name, value string
		allowed     []string
	}{
		{"no_cache", c.NoCache, []string{"", "honor", "ignore"}},
		{"errors", c.Errors, []string{"", "problem", "caddy"}},
		{"cross_site", c.CrossSite, []string{"", "deny", "allow"}},
	} {
		if !slices.Contains(o.allowed, o.value) {
			p.Addf(o.name, "must be %s, not '%s'%s", strings.Join(o.allowed[1:], " or "), o.value, suggest.DidYouMean(o.value, o.allowed[1:]))
		}
	}
	p.MinDuration("timeout", c.Timeout, config.MinDuration)
	p.MinDuration("attempt_timeout", c.AttemptTimeout, config.MinDuration)
	if c.Retries != nil {
		p.AtLeast("retries", *c.Retries, 0)
	}
	k := c.Cache
	if k == nil {
		return
	}
	if k.TTL < 0 || k.NegativeTTL != nil && *k.NegativeTTL < 0 {
		p.Addf("cache", "ttl and negative_ttl must not be negative")
	}
	for _, v := range k.Vary {
		if !config.IsPlaceholder(v) {
			p.Addf("vary", "must be a placeholder such as {http.request.header.X-Device-Id}, not '%s'", v)
		}
	}
}

// newPolicy returns the policy by which exchanges run and are cached. ttl is the
// service's default lifetime of cached tokens.
func newPolicy(c *config.Common, l account.Limits, ttl time.Duration) exchange.Policy {
	p := exchange.Policy{
		Timeout:     time.Duration(cmp.Or(c.Timeout, defaultTimeout)),
		TTL:         ttl,
		NegativeTTL: defaultNegativeTTL,
		MaxWaiting:  l.MaxConcurrent + l.MaxWaiting,
		UserRunning: min(exchange.MaxUserRunning, max(1, l.MaxConcurrent/2)),
	}
	if k := c.Cache; k != nil {
		p.TTL = cmp.Or(time.Duration(k.TTL), ttl)
		if k.NegativeTTL != nil {
			p.NegativeTTL = time.Duration(*k.NegativeTTL)
		}
	}
	return p
}
