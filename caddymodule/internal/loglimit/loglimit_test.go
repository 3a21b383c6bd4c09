package loglimit_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/loglimit"
)

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		var l loglimit.Limiter
		allow := func(kind string, suppressed int, ok bool) {
			t.Helper()
			if n, got := l.Allow(kind, time.Second); n != suppressed || got != ok {
				t.Errorf("%s: %d, %t; want %d, %t", kind, n, got, suppressed, ok)
			}
		}
		allow("a", 0, true)
		allow("a", 0, false)
		allow("b", 0, true)
		allow("a", 0, false)
		time.Sleep(999 * time.Millisecond)
		allow("a", 0, false)
		time.Sleep(time.Millisecond)
		allow("a", 3, true)
		time.Sleep(time.Hour)
		allow("a", 0, true)
	})
}
