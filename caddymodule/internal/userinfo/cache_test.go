package userinfo

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
)

func document(t testing.TB, text string) claims.Document {
	t.Helper()
	d, err := claims.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestCache checks how long responses are kept.
func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCache(time.Minute)
		start := time.Now()
		far := start.Add(time.Hour)
		c.Put("long", document(t, `{"email":"long@x.io"}`), far)
		c.Put("short", document(t, `{"email":"short@x.io"}`), start.Add(10*time.Second))
		c.Put("expired", document(t, `{"email":"expired@x.io"}`), start)
		c.Put("unknown", document(t, `{"email":"unknown@x.io"}`), time.Time{})
		c.Put("large", document(t, `{"email":"large@x.io","x":"`+strings.Repeat("x", maxDocument)+`"}`), far)
		for _, tt := range []struct {
			after time.Duration
			want  []string
		}{
			{0, []string{"long", "short"}},
			{9 * time.Second, []string{"long", "short"}},
			{11 * time.Second, []string{"long"}},
			{59 * time.Second, []string{"long"}},
			{61 * time.Second, nil},
		} {
			time.Sleep(time.Until(start.Add(tt.after)))
			var got []string
			for _, token := range []string{"long", "short", "expired", "unknown", "large"} {
				if d, ok := c.Get(token); ok {
					if email := lookup(t, d, "email"); email != token+"@x.io" {
						t.Errorf("%s: the response of %v", token, email)
					}
					got = append(got, token)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("after %s: %v, want %v", tt.after, got, tt.want)
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := c.items.ItemCount(); n != 0 || c.sweeping {
			t.Errorf("%d responses remain in memory, sweeping %t", n, c.sweeping)
		}
	})
}

// TestCacheLimit checks that the number of responses is limited, and that a response
// that is there can be replaced.
func TestCacheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCache(time.Minute)
		far := time.Now().Add(time.Hour)
		d := document(t, `{"email":"a@x.io"}`)
		for n := range maxEntries + 10 {
			c.Put(fmt.Sprint(n), d, far)
		}
		if n := c.items.ItemCount(); n != maxEntries {
			t.Errorf("%d responses, want %d", n, maxEntries)
		}
		c.Put("0", document(t, `{"email":"b@x.io"}`), far)
		if d, ok := c.Get("0"); !ok || lookup(t, d, "email") != "b@x.io" {
			t.Error("the response was not replaced")
		}
		time.Sleep(3 * time.Minute)
	})
}
