package rediscache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(patient{m}) }

// patient gives what is about to end the time to do so: rueidis' client of a
// cluster has timers of up to 5 s that look once more at a client that is closed.
type patient struct{ *testing.M }

func (p patient) Run() int {
	code := p.M.Run()
	for end := time.Now().Add(8 * time.Second); goleak.Find() != nil && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	return code
}

// noise is what a busy machine may add to what takes no time.
const noise = 500 * time.Millisecond

// key is an encryption key that can be told from others.
func key(n byte) masked.String { return masked.New(strings.Repeat(string(rune(n)), KeySize)) }

// events collects what a Store tells.
type events struct {
	mu         sync.Mutex
	states     []bool
	errs       []error
	heard      []string
	reconnects int
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
	c.OnForget = func(a string, u exchange.UserKey) {
		e.note(func() { e.heard = append(e.heard, fmt.Sprintf("forget %s %s", a, u)) })
	}
	c.OnNews = func(a string, u exchange.UserKey) {
		e.note(func() { e.heard = append(e.heard, fmt.Sprintf("news %s %s", a, u)) })
	}
	c.OnFlush = func(a string) { e.note(func() { e.heard = append(e.heard, "flush "+a) }) }
	c.OnReconnect = func(string) { e.note(func() { e.reconnects++ }) }
	c.OnUnreadable = func() { e.note(func() { e.unreadable++ }) }
}

// look returns what f makes of the events.
func look[T any](e *events, f func() T) T {
	e.mu.Lock()
	defer e.mu.Unlock()
	return f()
}

// opened is a Store with what it told.
type opened struct {
	*Store
	*events
}

// made makes a Store for a server. Its operations have much time, so that a
// test on a busy machine is about what it is about.
func made(t testing.TB, addr string, edit ...func(*Config)) opened {
	t.Helper()
	c := Config{Addresses: []string{addr}, Keys: []masked.String{key(1)}, Timeout: 5 * time.Second}
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

// open is made, and connects.
func open(t testing.TB, addr string, edit ...func(*Config)) opened {
	t.Helper()
	o := made(t, addr, edit...)
	o.Connect()
	return o
}

// ready is open, once it serves.
func ready(t testing.TB, addr string, edit ...func(*Config)) opened {
	t.Helper()
	o := open(t, addr, edit...)
	o.wantUp(t, true, 10*time.Second)
	return o
}

func (o opened) wantUp(t testing.TB, up bool, within time.Duration) {
	t.Helper()
	eventually(t, within, fmt.Sprintf("up: %v", up), func() bool { return o.Up() == up })
}

// wantWhy fails unless the last thing told was that the store is down, and why.
func (o opened) wantWhy(t testing.TB, word string) {
	t.Helper()
	eventually(t, 10*time.Second, "told why: "+word, func() bool {
		return look(o.events, func() bool {
			n := len(o.states)
			return n > 0 && !o.states[n-1] && o.errs[n-1] != nil && strings.Contains(o.errs[n-1].Error(), word)
		})
	})
}

func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// put keeps a token that is good for a minute.
func put(t testing.TB, s exchange.Shared, u exchange.UserKey, token string) {
	t.Helper()
	_, _, seen, err := s.Get(t.Context(), u, "ios")
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := s.Put(t.Context(), u, "ios", storetest.RecordOf(token, time.Minute), seen, false); err != nil || !kept {
		t.Fatalf("Put = %v, %v", kept, err)
	}
}

// wantToken fails unless it is what is kept; "" is a miss.
func wantToken(t testing.TB, s exchange.Shared, u exchange.UserKey, token string) {
	t.Helper()
	rec, found, _, err := s.Get(t.Context(), u, "ios")
	if err != nil || found != (token != "") || storetest.TokenOf(rec) != token {
		t.Errorf("Get(%q) = %q, %v, %v; want %q", u, storetest.TokenOf(rec), found, err, token)
	}
}

// wantDown fails unless all operations are refused, and at once.
func wantDown(t testing.TB, s *Store) {
	t.Helper()
	a, u := s.Account("a"), s.SignUps("s")
	for name, do := range map[string]func(context.Context) error{
		"Get": func(ctx context.Context) error { _, _, _, err := a.Get(ctx, "somebody", "ios"); return err },
		"Put": func(ctx context.Context) error {
			_, err := a.Put(ctx, "somebody", "ios", storetest.RecordOf("t", time.Minute), exchange.Generation{}, false)
			return err
		},
		"Forget": func(ctx context.Context) error { return a.Forget(ctx, "somebody") },
		"Claim":  func(ctx context.Context) error { _, err := u.Claim(ctx, "somebody"); return err },
		"Look":   func(ctx context.Context) error { _, err := u.Look(ctx, "somebody"); return err },
		"Settle": func(ctx context.Context) error {
			return u.Settle(ctx, "somebody", exchange.Claim{}, exchange.SignUpEnd{})
		},
	} {
		start := time.Now()
		if err := do(t.Context()); !errors.Is(err, exchange.ErrDown) {
			t.Errorf("%s = %v; want the store down", name, err)
		}
		if d := time.Since(start); d > noise {
			t.Errorf("%s took %s", name, d)
		}
	}
}

func startServer(t testing.TB, args ...string) *redistest.Server {
	t.Helper()
	return redistest.Start(t, args...)
}
