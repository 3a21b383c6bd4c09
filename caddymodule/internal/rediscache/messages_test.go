package rediscache

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
)

// TestMessagesReachTheOthers checks that messages reach the other replicas with the
// account, and not the sender.
func TestMessagesReachTheOthers(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	a, b, stranger := ready(t, r.Addr()), ready(t, r.Addr()), ready(t, r.Addr())
	other := ready(t, r.Addr(), func(c *Config) { c.KeyPrefix = "other:" })
	b.account("acc")
	other.account("acc")
	stranger.account("another")
	acc := a.account("acc")
	_, _, seen, err := acc.Get(t.Context(), "u", "ios")
	if err != nil {
		t.Fatal(err)
	}
	for _, replaces := range []bool{false, true} {
		if _, err := acc.Put(t.Context(), "u", "ios", storetest.RecordOf("t", time.Minute), seen, replaces); err != nil {
			t.Fatal(err)
		}
	}
	if err := acc.Evict(t.Context(), "v"); err != nil {
		t.Fatal(err)
	}
	if err := acc.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"evict acc u", "evict acc v", "flush acc"}
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

// TestALostSubscription checks that messages arrive again after it.
func TestALostSubscription(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	a, b := ready(t, r.Addr()), ready(t, r.Addr())
	b.account("acc")
	r.Do("CLIENT", "KILL", "TYPE", "pubsub")
	acc := a.account("acc")
	eventually(t, 5*time.Second, "heard", func() bool {
		return acc.Evict(t.Context(), "u") == nil && len(b.all()) > 0
	})
	time.Sleep(3 * b.config.interval)
	if states := readEvents(b.events, func() []bool { return b.states }); !slices.Equal(states, []bool{true}) {
		t.Errorf("a lost subscription has taken the store down: %v", states)
	}
}

// TestAKilledConnection checks that the Store recovers after the server has closed all
// connections.
func TestAKilledConnection(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	s := ready(t, r.Addr())
	a := s.account("a")
	put(t, a, "u", "t")
	for range 5 {
		r.Do("CLIENT", "KILL", "TYPE", "normal")
		eventually(t, 5*time.Second, "found again", func() bool {
			rec, _, _, err := a.Get(t.Context(), "u", "ios")
			return err == nil && storetest.TokenOf(rec) == "t"
		})
	}
}

// TestForeignMessages checks that other texts on the channel are ignored.
func TestForeignMessages(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	s := ready(t, r.Addr())
	s.account("acc")
	id, account := randomID(), nameOf("acc")
	for _, text := range []string{
		"", "1", "1 x y z", "hello " + id + " " + account + " dQ", "1 " + id + " " + account + " not*base64",
		"1 " + id + " x dQ", "1 " + id + " ", "1 " + id + " " + account, "1 " + id + " " + account + " dQ more",
		"1 " + id + " " + account + " dR", "2 " + id + " " + account + " dQ", "1 " + s.id + " " + account + " dQ",
		"1 " + id + " " + account + " dQ\r", "1 " + id + " " + nameOf("another") + " dQ",
	} {
		r.Do("PUBLISH", s.channel(), text)
	}
	r.Do("PUBLISH", s.channel(), message{replica: id, account: account, user: exchange.UserKey("\x00u v")}.String())
	eventually(t, 5*time.Second, "the last one is heard", func() bool { return len(s.all()) > 0 })
	if got := s.all(); !slices.Equal(got, []string{"evict acc \x00u v"}) {
		t.Errorf("heard %q", got)
	}
}

func FuzzReadMessage(f *testing.F) {
	id, account := randomID(), nameOf("a")
	f.Add(message{replica: id, account: account}.String())
	f.Add(message{replica: id, account: account, user: "u"}.String())
	f.Add(message{replica: id, account: account, user: "u"}.String() + "\r")
	f.Fuzz(func(t *testing.T, text string) {
		m, ok := readMessage(text)
		if ok && m.String() != text {
			t.Errorf("%q is read as %q", text, m.String())
		}
	})
}
