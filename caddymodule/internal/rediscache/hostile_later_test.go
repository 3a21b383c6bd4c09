package rediscache

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
)

// TestHostile_Later tests a server that sends wrong replies after it was in use.
func TestHostile_Later(t *testing.T) {
	t.Parallel()
	limitStacks()
	type oneCase struct {
		topology string
		response
	}
	var cases []oneCase
	at := func(moment, topology string, responses ...response) {
		for _, a := range responses {
			a.when = moment
			cases = append(cases, oneCase{topology, a})
		}
	}
	much := some("10^15 elements", "arrays in arrays", "endless line", "200 GB with zeros before")
	at("HMGET", "single", append(much, some("status", "integer", "null", "null array", "empty array", "array of an integer",
		"array of arrays", "array of nulls", "array of errors", "map", "push", "cut in an array", "silence in an array")...)...)
	at("HMGET", "single",
		text("integers", "*2\r\n:1\r\n:2\r\n"),
		text("a list as the value", "*2\r\n$-1\r\n*1\r\n+a\r\n"),
		text("a text as the value", bulks("", "hello")),
		text("two responses", "*2\r\n$-1\r\n$-1\r\n*2\r\n$-1\r\n$-1\r\n"),
		text("MOVED", "-MOVED 1 127.0.0.1:1\r\n"),
	)
	at("HMGET", "cluster", append(much, some("null", "empty array", "array of errors", "MOVED without an address", "MOVED to an empty address",
		"MOVED to no address", "MOVED to a socket", "ASK without an address", "ASK to no address")...)...)
	at("HMGET", "sentinel", some("10^15 elements", "array of errors", "cut in an array", "noise")...)
	at("EVALSHA", "single", append(much, some("status", "bulk string", "null", "empty array", "array of an integer", "huge integer",
		"no integer", "map", "boolean", "nothing", "silence")...)...)
	at("EVALSHA", "single", text("NOSCRIPT", "-NOSCRIPT \r\n"))
	at("EVALSHA", "cluster", some("array of an integer", "MOVED to no address", "ASK to no address", "nothing")...)
	at("GET", "single", append(much, some("integer", "empty array", "array of an integer", "map", "silence in a bulk string", "nothing")...)...)
	at("SET", "single", append(much, some("integer", "empty array", "null array", "boolean", "silence", "nothing")...)...)
	at("SCAN", "single", append(much, some("status", "null", "empty array", "array of an integer", "array of arrays", "array of nulls",
		"array of errors", "cut in an array")...)...)
	at("SCAN", "single",
		text("no cursor", "*2\r\n+a\r\n*0\r\n"),
		text("a negative cursor", "*2\r\n:-1\r\n*0\r\n"),
		text("keys that are null", "*2\r\n:0\r\n*-1\r\n"),
		text("keys that are lists", "*2\r\n:0\r\n*1\r\n*0\r\n"),
	)
	at("SCAN", "cluster", some("array of arrays", "nothing")...)
	at("UNLINK", "single", some("status", "empty array", "array of an integer", "10^15 elements", "nothing")...)
	at("PUBLISH", "single", some("status", "empty array", "null", "10^15 elements", "nothing")...)
	at("CLUSTER", "cluster", some("status", "empty array", "array of arrays", "10^15 elements in an array", "nothing")...)
	at("SENTINEL", "sentinel", some("null", "array of an integer", "nothing")...)
	t.Logf("%d cases", len(cases))
	atOnce(t, cases, func(c oneCase) string { return c.topology + " " + c.when + " " + c.name }, func(t *testing.T, c oneCase) {
		h := startHostile(t, nil)
		s := ready(t, h.addr(), brief, topologies[c.topology])
		a, l := s.account("a"), s.locks("s")
		h.wrong.Store(&c.wrongReply)
		start := time.Now()
		var err error
		switch c.when {
		case "HMGET":
			wantMiss(t, a)
		case "EVALSHA":
			var kept bool
			if kept, err = a.Put(t.Context(), "u", "ios", storetest.RecordOf("t", time.Minute), "", false); kept && c.name != "NOSCRIPT" {
				t.Error("it is kept")
			}
			_ = a.Evict(t.Context(), "u")
			_ = l.Unhold(t.Context(), "u")
		case "GET", "SET":
			var lock exchange.SignUpLock
			if lock, err = l.Lock(t.Context(), "u", time.Minute); err == nil && lock.State == exchange.SignUpAcquired && c.when == "SET" {
				t.Error("the lock is ours")
			}
			_, _ = l.Peek(t.Context(), "u")
		default:
			if err = a.Flush(t.Context()); err == nil && c.topology == "single" {
				t.Error("Flush has succeeded")
			}
		}
		if d := time.Since(start); d > 3*hostileTimeout+connectTimeout+slack {
			t.Errorf("it took %s", d)
		}
		if err != nil && len(err.Error()) > 2*maxLine {
			t.Errorf("the error has %d bytes", len(err.Error()))
		}
		wantClosed(t, s)
	})
}

// TestHostile_Messages checks that data that is sent to a subscriber is not treated as
// a message of another replica.
func TestHostile_Messages(t *testing.T) {
	t.Parallel()
	limitStacks()
	cases := append(some("status", "error", "integer", "null", "null array", "empty array", "array of an integer", "array of arrays",
		"array of nulls", "array of errors", "map", "push", "attribute", "10^15 elements", "arrays in arrays", "large arrays in arrays",
		"endless line", "nothing", "cut in an array", "silence in an array", "HTTP", "noise"),
		text("one text", bulks("message")),
		text("two texts", bulks("message", "caddy-huma:news")),
		text("a pmessage that is too short", bulks("pmessage", "a", "b")),
		text("a message that is an integer", "*3\r\n+message\r\n+caddy-huma:news\r\n:1\r\n"),
		text("a channel that is an integer", "*3\r\n+message\r\n:1\r\n+a\r\n"),
		text("a message that is a list of integers", "*3\r\n+message\r\n+caddy-huma:news\r\n*1\r\n:1\r\n"),
		text("a message of no sense", bulks("message", "caddy-huma:news", "1 a b c d")),
		text("a subscription that is counted in texts", bulks("subscribe", "a", "b")),
		text("a pong of an integer", "*2\r\n+pong\r\n:1\r\n"),
		text("an unknown variant", bulks("unknown", "a", "b")),
	)
	t.Logf("%d cases", len(cases))
	atOnce(t, cases, func(a response) string { return a.name }, func(t *testing.T, a response) {
		h := startHostile(t, nil)
		s := ready(t, h.addr(), brief)
		s.account("a")
		before := h.count("SUBSCRIBE")
		h.push(a.wrongReply)
		time.Sleep(100 * time.Millisecond)
		if heard := s.all(); len(heard) > 0 {
			t.Errorf("heard %q", heard)
		}
		if again := h.count("SUBSCRIBE") - before; again > 2 {
			t.Errorf("subscribed %d more times", again)
		}
		wantClosed(t, s)
	})
}

// sealedFor returns a reply to HMGET with a token for a user.
func sealedFor(t *testing.T, s opened, a *accountStore, u exchange.UserKey) string {
	t.Helper()
	rec := storetest.RecordOf("the token of "+string(u), time.Minute)
	plain, err := rec.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed := string(s.seal.Seal(plain, a.prefix+keyOf(u), "ios"))
	return fmt.Sprintf("*2\r\n$-1\r\n$%d\r\n%s\r\n", len(sealed), sealed)
}
