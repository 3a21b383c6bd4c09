// Package account has the state of an account at a service that survives reloads of
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

// draining are exchanges whose config is gone and that still run. A process that
// exits waits for them.
var draining sync.WaitGroup

func init() {
	caddy.OnExit(func(context.Context) { draining.Wait() })
}

// drainMargin is how much longer than its timeout an exchange may take to end.
const drainMargin = 2 * time.Second

// Account is the state of one account at a service: tokens, the exchanges that
// fetch them, and the brake on registrations.
type Account struct {
	Engine *exchange.Engine
	Cache  *memcache.Cache
	Recent *memcache.Cache
	Hints  *memcache.Cache // whose last token of Human API was an id token

	mu                  sync.Mutex
	attached            map[any]*attachedConfig
	registrationLimiter *rate.Limiter
	maxTimeout          time.Duration // the longest timeout of its handlers
}

// attachedConfig is what the handlers of one config say about an account's limits.
type attachedConfig struct {
	limits Limits
	uses   int
}

// New returns an Account without tokens. It is a caddy.Constructor.
func New() (caddy.Destructor, error) {
	cache, recent, hints := memcache.New(), memcache.New(), memcache.New()
	return &Account{
		Engine:              exchange.NewEngine(cache, recent, hintCache{hints}),
		Cache:               cache,
		Recent:              recent,
		Hints:               hints,
		attached:            make(map[any]*attachedConfig),
		registrationLimiter: rate.NewLimiter(0, 0),
	}, nil
}

// hintCache holds hints, which are no refusals: they go with the user's tokens.
type hintCache struct{ *memcache.Cache }

// ForgetTokens implements exchange.Forgetter.
func (c hintCache) ForgetTokens(user exchange.UserKey) { c.Forget(user) }

// AllowRegistration takes one registration from the account's budget. The budget is the
// account's and how it grows the config's, so that a reload does not fill it.
func (a *Account) AllowRegistration(limit rate.Limit, burst int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.registrationLimiter.Burst() == 0 { // the first one: a full budget
		a.registrationLimiter = rate.NewLimiter(limit, burst)
	}
	if a.registrationLimiter.Limit() != limit || a.registrationLimiter.Burst() != burst {
		a.registrationLimiter.SetLimit(limit)
		a.registrationLimiter.SetBurst(burst)
	}
	return a.registrationLimiter.Allow()
}

// errLimits is about two handlers that would fight over one account's state.
var errLimits = errors.New("sets differently what the handlers of an account share")

// Attach notes the limits of a handler of the given config, and its timeout.
// Handlers of one config must agree; the next config may bring others.
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

// Detach takes back one claim.
func (a *Account) Detach(config any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.attached[config]; c != nil {
		if c.uses--; c.uses == 0 {
			delete(a.attached, config)
		}
	}
}

// AfterDrain calls f when the exchanges that run now have ended: at once, if there
// are none. A reload must not wait for others, so that is in the background; a
// process that exits waits for it.
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
		_ = a.Engine.Wait(ctx) // what began before and has not ended by then never will
		f()
	})
}

// Destruct implements caddy.Destructor.
func (a *Account) Destruct() error {
	a.AfterDrain(func() {
		a.Cache.Close()
		a.Recent.Close()
		a.Hints.Close()
	})
	return nil
}

// Limits are the settings that handlers of one account have to share.
type Limits struct {
	MaxConcurrent, MaxWaiting, MaxEntries int

	BreakerOff        bool
	Failures          int
	Open              time.Duration
	RegistrationRate  rate.Limit
	RegistrationBurst int
	TLS               string // a fingerprint of the files
	Store             string // which one replicas share; empty: none
}

// UpstreamKey names what an upstream depends on. The other limits may change
// without closing a breaker.
func (l Limits) UpstreamKey() string {
	return fmt.Sprintf("%d %t %d %s %s", l.MaxConcurrent, l.BreakerOff, l.Failures, l.Open, l.TLS)
}
