package rediscache

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
)

func (e *events) all() []string {
	return look(e, func() []string { return slices.Clone(e.heard) })
}

// TestNewsReachTheOthers: and not oneself, and not those without the account.
func TestNewsReachTheOthers(t *testing.T) {
	r := startServer(t)
	a, b, stranger := ready(t, r.Addr()), ready(t, r.Addr()), ready(t, r.Addr())
	other := ready(t, r.Addr(), func(c *Config) { c.KeyPrefix = "other:" })
	b.Account("acc")
	other.Account("acc")
	stranger.Account("another")
	acc := a.Account("acc")
	_, _, seen, err := acc.Get(t.Context(), "u", "ios")
	if err != nil {
		t.Fatal(err)
	}
	for _, news := range []bool{false, true} {
		if _, err := acc.Put(t.Context(), "u", "ios", storetest.RecordOf("t", time.Minute), seen, news); err != nil {
			t.Fatal(err)
		}
	}
	if err := acc.Forget(t.Context(), "v"); err != nil {
		t.Fatal(err)
	}
	if err := acc.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"news acc u", "forget acc v", "flush acc", "flush acc"}
	eventually(t, 5*time.Second, "b hears of it", func() bool { return len(b.all()) >= len(want) })
	if got := b.all(); !slices.Equal(got, want) {
		t.Errorf("b heard %q, want %q", got, want)
	}
	for name, o := range map[string]opened{"a itself": a, "a stranger": stranger, "another prefix": other} {
		if got := o.all(); len(got) > 0 {
			t.Errorf("%s heard %q", name, got)
		}
	}
}

// TestAnothersFlush: what was seen before it is not put after it.
func TestAnothersFlush(t *testing.T) {
	r := startServer(t)
	a, b := ready(t, r.Addr()), ready(t, r.Addr())
	acc := b.Account("acc")
	_, _, seen, err := acc.Get(t.Context(), "u", "ios")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Account("acc").Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "b hears of it", func() bool { return len(b.all()) == 2 })
	if kept, err := acc.Put(t.Context(), "u", "ios", storetest.RecordOf("t", time.Minute), seen, false); kept || err != nil {
		t.Errorf("Put = %v, %v", kept, err)
	}
}

// TestALostSubscription: it is told when messages may have been missed, and they
// come again.
func TestALostSubscription(t *testing.T) {
	r := startServer(t)
	a, b := ready(t, r.Addr()), ready(t, r.Addr())
	acc := b.Account("acc")
	_, _, seen, err := acc.Get(t.Context(), "u", "ios")
	if err != nil {
		t.Fatal(err)
	}
	r.Do("CLIENT", "KILL", "TYPE", "pubsub")
	eventually(t, 5*time.Second, "told", func() bool { return look(b.events, func() bool { return b.reconnects == 1 }) })
	if kept, err := acc.Put(t.Context(), "u", "ios", storetest.RecordOf("t", time.Minute), seen, false); kept || err != nil {
		t.Errorf("Put of what was seen before = %v, %v", kept, err)
	}
	if err := a.Account("acc").Forget(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "heard", func() bool { return len(b.all()) == 1 })
	if !b.Up() {
		t.Error("a lost subscription has taken the store down")
	}
}

// TestAKilledConnection: the server ends all connections; nothing else is wrong.
func TestAKilledConnection(t *testing.T) {
	r := startServer(t)
	s := ready(t, r.Addr())
	a := s.Account("a")
	put(t, a, "u", "t")
	for range 5 {
		r.Do("CLIENT", "KILL", "TYPE", "normal")
		eventually(t, 5*time.Second, "found again", func() bool {
			rec, _, _, err := a.Get(t.Context(), "u", "ios")
			return err == nil && storetest.TokenOf(rec) == "t"
		})
	}
}

// TestForeignMessages: whatever is said on the channel that is no message of
// ours.
func TestForeignMessages(t *testing.T) {
	r := startServer(t)
	s := ready(t, r.Addr())
	s.Account("acc")
	id, account := randomID(), nameOf("acc")
	for _, text := range []string{
		"", "1", "1 x forget", "hello " + id + " forget " + account + " dQ", "1 " + id + " forget " + account + " not*base64",
		"1 " + id + " forget x dQ", "1 " + id + " flush", "1 " + id + " flush " + account + " more", "1 " + id + " other " + account,
		"1 " + id + " forget " + account + " dQ more", "1 " + id + " forget " + account + " dR", "2 " + id + " forget " + account + " dQ",
		"1 " + s.id + " forget " + account + " dQ", "1 " + id + " beat",
		"1 " + id + " forget " + account + " dQ\r",
	} {
		r.Do("PUBLISH", s.channel(), text)
	}
	r.Do("PUBLISH", s.channel(), message{replica: id, what: newsForget, account: account, user: exchange.UserKey("\x00u v")}.String())
	eventually(t, 5*time.Second, "the last one is heard", func() bool { return len(s.all()) > 0 })
	if got := s.all(); !slices.Equal(got, []string{"forget acc \x00u v"}) {
		t.Errorf("heard %q", got)
	}
}

func FuzzReadMessage(f *testing.F) {
	id, account := randomID(), nameOf("a")
	for _, what := range []string{newsForget, newsBetter, newsFlush, newsBeat, "else"} {
		f.Add(message{replica: id, what: what, account: account, user: "u"}.String())
	}
	f.Add(message{replica: id, what: newsForget, account: account, user: "u"}.String() + "\r")
	f.Fuzz(func(t *testing.T, text string) {
		m, ok := readMessage(text)
		if ok && m.String() != text {
			t.Errorf("%q is read as %q", text, m.String())
		}
	})
}

// TestAFlushThatWasMissed: a replica that was away learns of it when it is back,
// once; what else it has missed leaves what it has in doubt.
func TestAFlushThatWasMissed(t *testing.T) {
	r := startServer(t)
	there := ready(t, r.Addr())
	for _, account := range []string{"flushed", "other"} {
		there.Account(account)
	}
	if err := there.Account("flushed").Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := made(t, r.Addr())
	back.Account("flushed")
	back.Account("other")
	back.Connect()
	eventually(t, 5*time.Second, "it is told of both", func() bool {
		return look(back.events, func() bool { return len(back.events.heard) == 1 && back.reconnects == 1 })
	})
	if got := back.all(); !slices.Equal(got, []string{"flush flushed"}) {
		t.Errorf("heard %q", got)
	}
	r.Do("CLIENT", "KILL", "TYPE", "pubsub")
	eventually(t, 5*time.Second, "both are in doubt", func() bool { return look(back.events, func() bool { return back.reconnects == 3 }) })
	if n := len(back.all()); n != 1 {
		t.Errorf("told %d times of one flush", n)
	}
}
