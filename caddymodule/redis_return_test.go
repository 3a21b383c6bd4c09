package caddymodule_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// TestR02_RedisComesBackEmpty: users whose tokens are in memory are served from
// there, all of them at once, and Redis gets their tokens again. Who was forgotten
// meanwhile is not.
func TestR02_RedisComesBackEmpty(t *testing.T) {
	const users = 300
	r := redistest.Start(t)
	fake := newHuma(t, sandbox.Config{})
	s := serve(t, simpleSite(fake, withRedis(r, "10m", "timeout 5s")))
	s.shared(1)
	user := func(i int) func(*http.Request) { return as(fmt.Sprintf("u%d@x.example", i)) }
	all := func() [users]string {
		var got [users]string
		var wg sync.WaitGroup
		for i := range users {
			wg.Go(func() {
				a, err := s.try(context.Background(), "GET", iosPath, user(i))
				if err != nil || a.StatusCode != http.StatusOK {
					t.Errorf("user %d: %v %v", i, a, err)
					return
				}
				got[i] = a.tokens(t).AuthToken
			})
		}
		wg.Wait()
		return got
	}
	before := all()
	keys := tokenKeys(r)
	if len(keys) != users {
		t.Fatalf("%d users in the store", len(keys))
	}
	calls := len(fake.Calls().Calls)

	r.Kill()
	eventually(t, joins, "the log tells of it", func() bool { return len(s.lines("the shared store cannot be used")) > 0 })
	if all() != before {
		t.Error("other tokens while it is down")
	}
	r.Run()
	s.shared(2)
	// As a replica does that is back earlier, and whose message this one has missed.
	r.Do("HSET", keys[0], "g", "forgotten")
	r.Do("PEXPIRE", keys[0], "900000")
	var after [users]string
	eventually(t, joins, "who was forgotten has another token", func() bool {
		after = all()
		return after != before
	})
	if all() != after { // some may have been served before it was in doubt
		t.Error("other tokens once more")
	}
	changed := 0
	for i := range users {
		if after[i] != before[i] {
			changed++
		}
	}
	if n := len(fake.Calls().Calls) - calls; n != 1 || changed != 1 {
		t.Errorf("%d calls, and %d users have another token, want that of the one who was forgotten", n, changed)
	}
	if n := len(tokenKeys(r)); n != users {
		t.Errorf("%d users in the store afterwards", n)
	}
	reads := r.Calls("hmget")
	if all() != after || r.Calls("hmget") != reads {
		t.Error("what was looked up once is not certain")
	}
}
