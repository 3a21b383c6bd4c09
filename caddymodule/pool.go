package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/memcache"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/resilience"
)

// What has to survive a reload of the config, also one that is rejected, lives
// here: in pools, counted by the handlers that use it, or in the process.
// Nothing of it depends on a config that may go away, and constructing it does
// no I/O.
var (
	accounts  = caddy.NewUsagePool() // account key → *account
	upstreams = caddy.NewUsagePool() // account key and limits → *upstream

	// registrations is the process's: a hold outlives also a config without
	// the directive. Its keys tell services apart.
	registrations = exchange.NewRegistrations()
)

// draining are exchanges whose config is gone and that still run. A process that
// exits waits for them.
var draining sync.WaitGroup

func init() {
	caddy.OnExit(func(context.Context) { draining.Wait() })
}

// drainMargin is how much longer than its timeout an exchange may take to end.
const drainMargin = 2 * time.Second

// account is the state of one account at a service: tokens, the exchanges that
// fetch them, and the brake on registrations.
type account struct {
	engine *exchange.Engine
	cache  *memcache.Cache
	recent *memcache.Cache
	hints  *memcache.Cache // whose last token of Human API was an id token

	mu      sync.Mutex
	claims  map[any]*claim
	brake   *rate.Limiter
	longest time.Duration // the longest timeout of its handlers
}

// claim is what the handlers of one config say about an account's limits.
type claim struct {
	limits limits
	uses   int
}

func newAccount() (caddy.Destructor, error) {
	cache, recent, hints := memcache.New(), memcache.New(), memcache.New()
	return &account{
		engine: exchange.NewEngine(cache, recent, hintCache{hints}),
		cache:  cache,
		recent: recent,
		hints:  hints,
		claims: make(map[any]*claim),
		brake:  rate.NewLimiter(0, 0),
	}, nil
}

// hintCache holds hints, which are no refusals: they go with the user's tokens.
type hintCache struct{ *memcache.Cache }

// ForgetTokens implements exchange.Forgetter.
func (c hintCache) ForgetTokens(user exchange.UserKey) { c.Forget(user) }

// allow takes one registration from the account's budget. The budget is the
// account's and how it grows the config's, so that a reload does not fill it.
func (a *account) allow(limit rate.Limit, burst int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.brake.Burst() == 0 { // the first one: a full budget
		a.brake = rate.NewLimiter(limit, burst)
	}
	if a.brake.Limit() != limit || a.brake.Burst() != burst {
		a.brake.SetLimit(limit)
		a.brake.SetBurst(burst)
	}
	return a.brake.Allow()
}

// errLimits is about two handlers that would fight over one account's state.
var errLimits = errors.New("sets differently what the handlers of an account share")

// claim notes the limits of a handler of the given config, and its timeout.
// Handlers of one config must agree; the next config may bring others.
func (a *account) claim(config any, l limits, timeout time.Duration) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.longest = max(a.longest, timeout)
	c, ok := a.claims[config]
	if !ok {
		c = &claim{limits: l}
		a.claims[config] = c
	}
	if c.limits != l {
		return errLimits
	}
	c.uses++
	return nil
}

// unclaim takes back one claim.
func (a *account) unclaim(config any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.claims[config]; c != nil {
		if c.uses--; c.uses == 0 {
			delete(a.claims, config)
		}
	}
}

// whenEnded calls f when the exchanges that run now have ended: at once, if there
// are none. A reload must not wait for others, so that is in the background; a
// process that exits waits for it.
func (a *account) whenEnded(f func()) {
	if a.engine.Idle() {
		f()
		return
	}
	a.mu.Lock()
	longest := a.longest
	a.mu.Unlock()
	draining.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), longest+drainMargin)
		defer cancel()
		_ = a.engine.Wait(ctx) // what began before and has not ended by then never will
		f()
	})
}

// Destruct implements caddy.Destructor.
func (a *account) Destruct() error {
	a.whenEnded(func() {
		a.cache.Close()
		a.recent.Close()
		a.hints.Close()
	})
	return nil
}

// limits are the settings that handlers of one account have to share.
type limits struct {
	maxConcurrent, maxWaiting, maxEntries int

	breakerOff        bool
	failures          int
	open              time.Duration
	registrationRate  rate.Limit
	registrationBurst int
	tls               string // a fingerprint of the files
	store             string // which one replicas share; empty: none
}

// upstreamKey names what an upstream depends on. The other limits may change
// without closing a breaker.
func (l limits) upstreamKey() string {
	return fmt.Sprintf("%d %t %d %s %s", l.maxConcurrent, l.breakerOff, l.failures, l.open, l.tls)
}

// upstream is the way to the service: its connections, the breaker and the
// limit on calls. With other settings of these it is another upstream, which
// starts afresh.
type upstream struct {
	provider  string // its name
	transport *http.Transport
	guard     *resilience.Guard

	// onBreaker is called when the breaker opens or closes: a function of the
	// handler that has made a call most recently, whose config runs, or has until a
	// moment ago.
	onBreaker atomic.Pointer[func(open bool)]
}

func newUpstream(provider string, l limits, transport *http.Transport) (caddy.Destructor, error) {
	u := &upstream{provider: provider, transport: transport}
	settings := resilience.Settings{MaxConcurrent: l.maxConcurrent, OnBreaker: u.breakerChanged}
	if !l.breakerOff {
		settings.Breaker = &resilience.BreakerSettings{Failures: l.failures, Open: l.open}
	}
	u.guard = resilience.New(settings)
	return u, nil
}

// Destruct implements caddy.Destructor. The upstream goes on serving exchanges
// of the old config; only connections that nobody uses are closed.
func (u *upstream) Destruct() error {
	u.transport.CloseIdleConnections()
	return nil
}

// breakerChanged tells that the breaker has opened or closed. It logs with the
// logger of the moment: the one of the config that made the breaker may be gone.
func (u *upstream) breakerChanged(open bool) {
	log := caddy.Log().Named(u.provider)
	if open {
		log.Warn("breaker opened: the service is down, calls are not made for a while", zap.Bool("open", open))
	} else {
		log.Info("breaker closed: the service answers again", zap.Bool("open", open))
	}
	if f := u.onBreaker.Load(); f != nil {
		(*f)(open)
	}
}

// releases gives back what a handler has acquired, in reverse, and each once.
type releases []func()

func (r *releases) push(f func()) { *r = append(*r, f) }

func (r *releases) run() {
	for i := len(*r) - 1; i >= 0; i-- {
		(*r)[i]()
	}
	*r = nil
}

// acquire takes a value from a pool, and notes its release.
func acquire[T any](r *releases, pool *caddy.UsagePool, key string, construct caddy.Constructor) (T, error) {
	v, _, err := pool.LoadOrNew(key, construct)
	if err != nil {
		var none T
		return none, err
	}
	r.push(func() { _, _ = pool.Delete(key) })
	return v.(T), nil
}
