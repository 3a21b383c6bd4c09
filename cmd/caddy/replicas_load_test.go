package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/redistest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// The load of TestR02. A replica has only a fraction of the users in memory, and each
// user's requests alternate between the replicas, so that nearly all requests read from
// Redis.
const (
	loadRate    = 200 // requests per second
	loadUsers   = 100
	loadEntries = 15
)

// timing is the latency of a request.
type timing struct {
	due  time.Time
	took time.Duration // since it was due
}

// load requests tokens of existing users from all replicas until stop is called, which
// returns the latencies.
func (r *replicas) load(owners map[string]string) (stop func() []timing) {
	ctx, cancel := context.WithCancel(r.t.Context())
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		all []timing
	)
	send := func(n int, due time.Time) {
		user := loadUser(n % loadUsers)
		status, token, err := r.request(r.t.Context(), n%len(r.addresses), http.MethodGet, user)
		a := timing{due, time.Since(due)}
		mu.Lock()
		defer mu.Unlock()
		if all = append(all, a); err != nil || status != http.StatusOK || subject(token) != owners[user] {
			r.t.Errorf("%s: %d %v, a token of %q", user, status, err, subject(token))
		}
	}
	wg.Go(func() {
		tick := time.NewTicker(time.Second / loadRate)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case due := <-tick.C:
				wg.Go(func() { send(n, due) })
			case <-ctx.Done():
				return
			}
		}
	})
	return func() []timing {
		cancel()
		wg.Wait()
		return all
	}
}

// owners signs the users up and returns the subjects of their tokens by user.
func (r *replicas) owners() map[string]string {
	r.t.Helper()
	owners, users := make(map[string]string), make(map[string]string)
	for i := range loadUsers {
		user := loadUser(i)
		owner := subject(r.token(0, user))
		if owner == "" || users[owner] != "" {
			r.t.Fatalf("%s and %s have the subject %q", user, users[owner], owner)
		}
		owners[user], users[owner] = owner, user
	}
	return owners
}

// loadUser returns the email address of a user.
func loadUser(i int) string { return fmt.Sprintf("user-%d@x.example", i) }

// subject returns the claim "sub" of a token, or "" if it is malformed.
func subject(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Sub string }
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return ""
	}
	return claims.Sub
}

// slower returns how many requests took longer than limit, for each second after from.
func slower(all []timing, from time.Time, seconds int, limit time.Duration) []int {
	counts := make([]int, seconds)
	for _, a := range all {
		i := int(a.due.Sub(from) / time.Second)
		if !a.due.Before(from) && i < seconds && a.took > limit {
			counts[i]++
		}
	}
	return counts
}

// TestR02_RedisIsKilledOrHangsUnderLoad checks that all requests get the user's token.
// Within the first second, some wait 100 ms for Redis; after that, none does. When Redis
// is back, the replicas share tokens again.
func TestR02_RedisIsKilledOrHangsUnderLoad(t *testing.T) {
	for _, test := range []struct {
		name       string
		begin, end func(*redistest.Server)
	}{
		{"hangs", (*redistest.Server).Stop, (*redistest.Server).Continue},
		{"killed", (*redistest.Server).Kill, (*redistest.Server).Run},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := startReplicas(t, "max_entries "+strconv.Itoa(loadEntries))
			owners := r.owners()
			first := r.redis.CommandCalls("hmget")
			stop := r.load(owners)
			const before, settling, settled = 2, 2, 3 // seconds
			time.Sleep(before * time.Second)
			read, fault := r.redis.CommandCalls("hmget")-first, time.Now()
			test.begin(r.redis)
			time.Sleep((settling + settled) * time.Second)
			all := stop()
			test.end(r.redis)

			var usual []time.Duration
			for _, a := range all {
				if a.due.Add(a.took).Before(fault) {
					usual = append(usual, a.took)
				}
			}
			if len(usual) == 0 || read < len(usual)/2 {
				t.Fatalf("%d responses and %d reads before the fault: the load does not depend on Redis", len(usual), read)
			}
			slices.Sort(usual)
			limit := usual[len(usual)*9/10] + 90*time.Millisecond
			slow := slower(all, fault, settling+settled, limit)
			t.Logf("%d requests; p50 %s and p90 %s before the fault; beyond %s in each second of it: %d",
				len(all), usual[len(usual)/2], usual[len(usual)*9/10], limit, slow)
			// This must hold for most seconds, since other processes may use the machine.
			later := slices.Sorted(slices.Values(slow[settling:]))
			if later[settled/2] > loadRate/10 {
				t.Errorf("more than a tenth of the requests is slow; slow ones per second of the fault: %d", slow)
			}

			r.waitConnected()
			n := 0
			testutil.Eventually(t, patience, "the replicas share tokens", func() bool {
				n++
				user := fmt.Sprintf("%s-%d@x.example", test.name, n)
				return r.token(0, user) == r.token(1, user)
			})
		})
	}
}
