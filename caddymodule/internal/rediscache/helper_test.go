package rediscache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func TestMain(m *testing.M) {
	redis.SetLogger(discardLogger{})
	goleak.VerifyTestMain(m)
}

// discardLogger is a logger for the client that drops all messages.
type discardLogger struct{}

func (discardLogger) Printf(context.Context, string, ...any) {}

// slack is the tolerance of durations for a busy machine.
const slack = time.Second

// key returns an encryption key that differs for each n.
func key(n byte) masked.String { return masked.New(strings.Repeat(string(rune(n)), KeySize)) }

// events collects what a Store reports.
type events struct {
	mu         sync.Mutex
	states     []bool
	errs       []error
	heard      []string
	unreadable int
}

func (e *events) note(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

func (e *events) into(c *Config) {
	c.OnState = func(up bool, err error) {
		e.note(func() { e.states, e.errs = append(e.states, up), append(e.errs, err) })
	}
	c.OnUnreadable = func() { e.note(func() { e.unreadable++ }) }
}

// all returns the evictions that the memory has received.
func (e *events) all() []string {
	return readEvents(e, func() []string { return slices.Clone(e.heard) })
}

// memory is the memory cache of an account. It records the evictions that it receives.
type memory struct {
	*events
	account string
}

func (m memory) record(text string) { m.note(func() { m.heard = append(m.heard, text) }) }

func (m memory) Evict(u exchange.UserKey) { m.record("evict all " + m.account + " " + string(u)) }

func (m memory) EvictTokens(u exchange.UserKey) {
	m.record("evict " + m.account + " " + string(u))
}

func (m memory) Flush() { m.record("flush " + m.account) }

// readEvents returns the result of f, which may read the events.
func readEvents[T any](e *events, f func() T) T {
	e.mu.Lock()
	defer e.mu.Unlock()
	return f()
}

// opened is a Store with the events that it has reported.
type opened struct {
	*Store
	*events
}

// account returns the records of an account. Its memory receives the evictions of
// others.
func (o opened) account(id string) *accountStore {
	m, _ := o.Join(id, "s", memory{o.events, id})
	return m.Store.(*accountStore)
}

// locks returns the locks of a service.
func (o opened) locks(service string) *signUpLocks {
	m, leave := o.Join("of no account", service, memory{o.events, ""})
	leave()
	return m.Locks.(*signUpLocks)
}

// newTestStore returns a Store for a server. Its operations have a long timeout, so that a busy
// machine does not affect a test.
func newTestStore(t testing.TB, addr string, edit ...func(*Config)) opened {
	t.Helper()
	c := Config{Addresses: []string{addr}, Keys: []masked.String{key(1)}, Timeout: 5 * time.Second, interval: 100 * time.Millisecond}
	e := &events{}
	e.into(&c)
	for _, f := range edit {
		f(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return opened{s, e}
}

// open returns a Store that is connecting.
func open(t testing.TB, addr string, edit ...func(*Config)) opened {
	t.Helper()
	o := newTestStore(t, addr, edit...)
	o.Connect()
	return o
}

// ready returns a Store that can be used.
func ready(t testing.TB, addr string, edit ...func(*Config)) opened {
	t.Helper()
	o := open(t, addr, edit...)
	o.wantUp(t, true, 30*time.Second) // on a busy machine
	return o
}

func (o opened) wantUp(t testing.TB, up bool, within time.Duration) {
	t.Helper()
	eventually(t, within, fmt.Sprintf("up: %v", up), func() bool { return o.Up() == up })
}

// wantWhy fails unless the last reported state is down, with a reason that contains
// word.
func (o opened) wantWhy(t testing.TB, word string) {
	t.Helper()
	eventually(t, 10*time.Second, "reported why: "+word, func() bool {
		return readEvents(o.events, func() bool {
			n := len(o.states)
			return n > 0 && !o.states[n-1] && o.errs[n-1] != nil && strings.Contains(o.errs[n-1].Error(), word)
		})
	})
}

var (
	eventually   = testutil.Eventually
	wantNoCanary = testutil.NoSecrets
)

// put stores a token that is valid for one minute.
func put(t testing.TB, s exchange.SharedStore, u exchange.UserKey, token string) {
	t.Helper()
	_, _, seen, err := s.Get(t.Context(), u, "ios")
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := s.Put(t.Context(), u, "ios", storetest.RecordOf(token, time.Minute), seen, false); err != nil || !kept {
		t.Fatalf("Put = %v, %v", kept, err)
	}
}

// wantToken fails unless the token is stored; "" means a miss.
func wantToken(t testing.TB, s exchange.SharedStore, u exchange.UserKey, token string) {
	t.Helper()
	rec, found, _, err := s.Get(t.Context(), u, "ios")
	if err != nil || found != (token != "") || storetest.TokenOf(rec) != token {
		t.Errorf("Get(%q) = %q, %v, %v; want %q", u, storetest.TokenOf(rec), found, err, token)
	}
}

// wantDown fails unless all operations fail at once.
func wantDown(t testing.TB, o opened) {
	t.Helper()
	a, l := o.account("a"), o.locks("s")
	for name, do := range map[string]func(context.Context) error{
		"Get": func(ctx context.Context) error { _, _, _, err := a.Get(ctx, "u", "ios"); return err },
		"Put": func(ctx context.Context) error {
			_, err := a.Put(ctx, "u", "ios", storetest.RecordOf("t", time.Minute), "", false)
			return err
		},
		"Lock": func(ctx context.Context) error { _, err := l.Lock(ctx, "u", time.Minute); return err },
		"Peek": func(ctx context.Context) error { _, err := l.Peek(ctx, "u"); return err },
		"Release": func(ctx context.Context) error {
			return l.Release(ctx, "u", exchange.SignUpLock{ID: "x"}, exchange.SignUpEnd{}, time.Minute)
		},
		"Flush": a.Flush,
	} {
		start := time.Now()
		if err := do(t.Context()); !errors.Is(err, exchange.ErrDown) {
			t.Errorf("%s = %v; want the store down", name, err)
		}
		if d := time.Since(start); d > slack {
			t.Errorf("%s took %s", name, d)
		}
	}
}

func startServer(t testing.TB, args ...string) *redistest.Server {
	t.Helper()
	return redistest.Start(t, args...)
}
