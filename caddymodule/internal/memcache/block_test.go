package memcache

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// TestTextsOfEveryLength: whatever its length, a token comes out as it was put.
func TestTextsOfEveryLength(t *testing.T) {
	c := New()
	defer c.Close()
	s := c.Limit(10_000)
	until := time.Now().Add(time.Hour)
	text := func(n int) string { return strings.Repeat(string(rune('a'+n%26)), n) }
	for n := range 4200 {
		g := exchange.NewGrant(time.Now()).Text("t", text(n)).Grant()
		s.Put(exchange.UserKey(fmt.Sprintf("%032d", n)), "k", exchange.Record{Grant: g, Until: until})
	}
	for n := range 4200 {
		r, ok := s.Get(exchange.UserKey(fmt.Sprintf("%032d", n)), "k", time.Now())
		if want := `{"t":"` + text(n) + `"}`; !ok || string(r.Grant.AppendJSON(nil, time.Now())) != want {
			t.Fatalf("a text of %d bytes came out as %s", n, r.Grant.AppendJSON(nil, time.Now()))
		}
	}
}

// TestEntrySize: newBlock's sizes count on it.
func TestEntrySize(t *testing.T) {
	if size := unsafe.Sizeof(entry{}); size != 136 {
		t.Errorf("an entry takes %d bytes", size)
	}
}
