package assertion

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
)

// source is a fake key server for tests of when keys are fetched. They use the time of
// synctest.
type source struct {
	fetches []time.Time
	takes   time.Duration
	set     *keySet
	err     error
	panic   bool
}

func (s *source) fetch(ctx context.Context) (*keySet, error) {
	s.fetches = append(s.fetches, time.Now())
	set, err := s.set, s.err
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return nil, subrequest.ErrTimeout
	}
	if s.panic {
		panic("canary")
	}
	if err != nil {
		return nil, err
	}
	again := *set
	return &again, nil
}

func newSource(kid string) (*source, *keyCache, *reports) {
	s, reported := &source{takes: 100 * time.Millisecond, set: &keySet{keys: []publicKey{{kid: kid, key: p256().Public()}}}}, new(reports)
	return s, &keyCache{fetch: s.fetch, log: Log{FetchFailed: reported.add}}, reported
}

// want fails unless get returns one key with this id, or this error, after this time.
func want(t *testing.T, c *keyCache, kid string, err error, took time.Duration) {
	t.Helper()
	start := time.Now()
	set, gotErr := c.get(t.Context(), noLimit)
	var gotKid string
	if set != nil {
		gotKid = set.keys[0].kid
	}
	if gotTook := time.Since(start); gotKid != kid || gotErr != err || gotTook != took {
		t.Fatalf("got %q, %v after %v; want %q, %v after %v", gotKid, gotErr, gotTook, kid, err, took)
	}
}

func TestWhenKeysAreFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, reported := newSource("a")
		fetches := func(n int) {
			t.Helper()
			synctest.Wait()
			if len(s.fetches) != n {
				t.Fatalf("%d fetches, want %d", len(s.fetches), n)
			}
		}
		want(t, c, "a", nil, s.takes) // the first caller waits
		want(t, c, "a", nil, 0)
		time.Sleep(refreshAfter)
		want(t, c, "a", nil, 0)
		fetches(1)

		// Old keys are fetched again in the background.
		s.set = &keySet{keys: []publicKey{{kid: "b"}}}
		time.Sleep(time.Second)
		want(t, c, "a", nil, 0)
		want(t, c, "a", nil, 0)
		time.Sleep(s.takes)
		synctest.Wait()
		want(t, c, "b", nil, 0)
		fetches(2)

		// The fetch fails: it is retried a minute later, and the old keys are used
		// until then.
		s.err = errNotJWKS
		time.Sleep(refreshAfter + time.Second)
		for range 5 * 60 {
			want(t, c, "b", nil, 0)
			time.Sleep(time.Second)
		}
		fetches(2 + 5)

		// The keys were not used for an hour: the next caller waits, once.
		time.Sleep(maxIdle + time.Second)
		want(t, c, "b", nil, s.takes)
		want(t, c, "b", nil, 0)
		fetches(2 + 5 + 1)

		// The key server is back.
		s.err = nil
		s.set = &keySet{keys: []publicKey{{kid: "c"}}}
		time.Sleep(maxIdle + time.Second)
		want(t, c, "c", nil, s.takes)
		fetches(2 + 5 + 1 + 1)
		if got := reported.All(); len(got) != 6 {
			t.Errorf("reported %q", got)
		}
	})
}

func TestFirstFetchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := newSource("a")
		s.err = errNotJWKS
		want(t, c, "", identity.ErrKeysUnavailable, s.takes)
		for range 4 {
			want(t, c, "", identity.ErrKeysUnavailable, 0)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second)
		s.err = nil
		want(t, c, "a", nil, s.takes)
		if gap := s.fetches[1].Sub(s.fetches[0]); len(s.fetches) != 2 || gap < MinInterval {
			t.Errorf("%d fetches, %v apart", len(s.fetches), gap)
		}
	})
}

// A fetch has its own deadline, independent of the waiting caller's.
func TestFetchHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, reported := newSource("a")
		s.takes = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := c.get(ctx, noLimit); err != identity.ErrKeysUnavailable || time.Since(start) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		want(t, c, "", identity.ErrKeysUnavailable, fetchTimeout-time.Second)
		if got := reported.All(); len(got) != 1 || got[0] != subrequest.ErrTimeout.Error() || len(s.fetches) != 1 {
			t.Errorf("reported %q after %d fetches", got, len(s.fetches))
		}
	})
}

// TestRefreshCountsAsFetch checks that a token with an unknown key waits for a running
// refresh, and that a refresh counts as a fetch for MinInterval.
func TestRefreshCountsAsFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := newSource("a")
		set, _ := c.get(t.Context(), noLimit)
		time.Sleep(refreshAfter + time.Second)
		s.set = &keySet{keys: []publicKey{{kid: "b", key: p256().Public()}}}
		c.prefetch()
		newer, _ := c.newer(t.Context(), noLimit, set, false)
		if newer == nil || newer == set {
			t.Error("did not wait for the refresh")
		} else if again, _ := c.newer(t.Context(), noLimit, newer, false); again != nil {
			t.Error("fetched again at once")
		}
		if len(s.fetches) != 2 {
			t.Errorf("%d fetches", len(s.fetches))
		}
	})
}

func TestPanicWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, reported := newSource("a")
		s.panic = true
		want(t, c, "", identity.ErrKeysUnavailable, s.takes)
		synctest.Wait()
		if got := reported.All(); len(got) != 1 || got[0] != errPanicked.Error() {
			t.Errorf("reported %q", got)
		}
		time.Sleep(MinInterval)
		s.panic = false
		want(t, c, "a", nil, s.takes)
	})
}

// TestLeeway tests the limits of the times, to the second.
func TestLeeway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := newSource("k1")
		keys := keysOf(t, Source{URL: "https://x"}, nil)
		keys.set = c
		v := verifierOf(t, keys)
		if _, err := c.get(t.Context(), noLimit); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second - s.takes) // to a whole second
		now := time.Now().Unix()
		for _, test := range []struct {
			change object
			want   error
		}{
			{object{"exp": now - 29}, nil}, {object{"exp": now - 30}, identity.ErrAssertionExpired},
			{object{"nbf": now + 30}, nil}, {object{"nbf": now + 31}, identity.ErrAssertionNotYetValid},
			{object{"iat": now + 30}, nil}, {object{"iat": now + 31}, identity.ErrAssertionNotYetValid},
		} {
			if _, err := v.Verify(t.Context(), es256(test.change), ""); !errors.Is(err, test.want) {
				t.Errorf("%v at %d: got %v, want %v", test.change, now, err, test.want)
			}
		}
		token := sign(jwt.SigningMethodES256, p256(), object{"kid": "k1"}, goodClaims(object{"exp": now + 10}))
		accept(t, v, token)
		time.Sleep(time.Minute)
		reject(t, v, token, identity.ErrAssertionExpired)
	})
}
