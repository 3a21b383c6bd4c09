// Package account holds the state of an account at a service that survives reloads of
// the config: cached tokens, running exchanges, limits and connections.
package account

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/time/rate"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/memcache"
)

// draining counts the calls of AfterDrain that wait for running exchanges. The process
// waits for them before it exits.
var draining sync.WaitGroup

func init() {
	caddy.OnExit(func(context.Context) { draining.Wait() })
}

// drainMargin is added to the timeout of an exchange: AfterDrain waits that long for the
// exchange to end.
const drainMargin = 2 * time.Second

// Account is the state of one account at a service: cached tokens, the exchanges that
// get them, and the rate limit on registrations. All handlers with the same account
// share it, also over reloads of the config. It is safe for concurrent use.
type Account struct {
	Engine *exchange.Engine
	Cache  *memcache.Cache // tokens and refusals
	Forced *memcache.Cache // results of exchanges that bypassed Cache
	Hints  *memcache.Cache // users whose last token of Human API was an id token

	Changes Changes // of the credentials' files

	mu                  sync.Mutex
	attached            map[any]*attachedConfig // by config
	registrationLimiter *rate.Limiter
	maxTimeout          time.Duration // the longest timeout of all handlers so far
}

// attachedConfig holds the limits that the handlers of one config agree on.
type attachedConfig struct {
	limits Limits
	uses   int // attached handlers
}

// New returns an Account with empty caches. It is a caddy.Constructor: the value is an
// *Account. The error is always nil.
func New() (caddy.Destructor, error) {
	cache, recent, hints := memcache.New(), memcache.New(), memcache.New()
	return &Account{
		Engine:              exchange.NewEngine(cache, recent, hintCache{hints}),
		Cache:               cache,
		Forced:              recent,
		Hints:               hints,
		attached:            make(map[any]*attachedConfig),
		registrationLimiter: rate.NewLimiter(0, 0),
	}, nil
}

// hintCache is the cache of Account.Hints. It evicts a hint together with the user's
// tokens. A hint is stored like a refusal (exchange.Record.Err), and memcache.Cache
// leaves refusals when it evicts tokens.
type hintCache struct{ *memcache.Cache }

// EvictTokens implements exchange.Invalidator. It evicts the hints of the user.
func (c hintCache) EvictTokens(user exchange.UserKey) { c.Evict(user) }

// AllowRegistration reports whether a user may be registered now. If so, it takes one
// token from the account's rate limiter (a token bucket). limit and burst come from the
// caller's config; the bucket belongs to the account, so a reload does not refill it. The
// first call starts with a full bucket.
func (a *Account) AllowRegistration(limit rate.Limit, burst int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.registrationLimiter.Burst() == 0 { // the first call: start with a full bucket
		a.registrationLimiter = rate.NewLimiter(limit, burst)
	}
	if a.registrationLimiter.Limit() != limit || a.registrationLimiter.Burst() != burst {
		a.registrationLimiter.SetLimit(limit)
		a.registrationLimiter.SetBurst(burst)
	}
	return a.registrationLimiter.Allow()
}

// errLimits is the error of Attach for two handlers of one config with different limits.
var errLimits = errors.New("has different limits")

// Attach registers a handler of the given config with its limits and its timeout. config
// must be comparable. It returns an error if the limits differ from those of another
// handler of the same config. Another config may have other limits. Call Detach once for
// each successful Attach.
func (a *Account) Attach(config any, l Limits, timeout time.Duration) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.maxTimeout = max(a.maxTimeout, timeout)
	c, ok := a.attached[config]
	if !ok {
		c = &attachedConfig{limits: l}
		a.attached[config] = c
	}
	if c.limits != l {
		return errLimits
	}
	c.uses++
	return nil
}

// Detach undoes one call of Attach.
func (a *Account) Detach(config any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.attached[config]; c != nil {
		if c.uses--; c.uses == 0 {
			delete(a.attached, config)
		}
	}
}

// AfterDrain calls f when the running exchanges have ended. If none runs, it calls f
// before it returns. Otherwise it returns immediately and calls f in the background,
// because a reload must not wait for exchanges. It waits for the longest timeout of the
// handlers and drainMargin at most, then it calls f anyway. The process does not exit
// before f has returned.
func (a *Account) AfterDrain(f func()) {
	if a.Engine.Idle() {
		f()
		return
	}
	a.mu.Lock()
	longest := a.maxTimeout
	a.mu.Unlock()
	draining.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), longest+drainMargin)
		defer cancel()
		_ = a.Engine.Wait(ctx) // an exchange that has not ended by then never will
		f()
	})
}

// Destruct implements caddy.Destructor. It closes the caches after the running exchanges
// have ended.
func (a *Account) Destruct() error {
	a.AfterDrain(func() {
		a.Cache.Close()
		a.Forced.Close()
		a.Hints.Close()
	})
	return nil
}

// Limits are the settings that all handlers of one account must share within a config.
type Limits struct {
	MaxConcurrent, MaxWaiting, MaxEntries int

	BreakerOff        bool          // the other fields of the breaker are ignored
	Failures          int           // consecutive failures that open the breaker; see config.Breaker
	Open              time.Duration // how long the breaker stays open
	RegistrationRate  rate.Limit
	RegistrationBurst int
	TLS               string // the fingerprint of the files of the option tls
	Store             string // the PoolKey of the shared store; empty: none
}

// UpstreamKey returns the part of an upstream's pool key that depends on the limits. If
// one of the other limits changes, the upstream and its breaker keep their state.
func (l Limits) UpstreamKey() string {
	return fmt.Sprintf("%d %t %d %s %s", l.MaxConcurrent, l.BreakerOff, l.Failures, l.Open, l.TLS)
}
