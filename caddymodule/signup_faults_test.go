package caddymodule_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/faultproxy"
)

// longTest reports whether long tests are enabled (CADDY_HUMA_LONG).
func longTest() bool { return os.Getenv("CADDY_HUMA_LONG") != "" }

// signUpFaults returns faults that occur after the service has received a sign-up.
func signUpFaults() []sandbox.Fault {
	ms := func(most int) time.Duration { return time.Duration(rand.IntN(most)+1) * time.Millisecond }
	faults := []sandbox.Fault{
		{Reset: sandbox.ResetAfter},
		{Status: 500, Processed: true},
		{Status: 502, Processed: true},
		{Status: 503, Processed: true, Headers: http.Header{"Retry-After": {"1"}}},
		{Status: 504, Processed: true},
		{Status: 307, Processed: true, Headers: http.Header{"Location": {"/x"}}},
		{Status: 409, Processed: true},
		{Truncate: rand.IntN(100) + 1},
		{Delay: ms(50)},
		{Delay: ms(50), Reset: sandbox.ResetAfter},
		{AppearAfter: ms(900)},
		{AppearAfter: ms(900), Reset: sandbox.ResetAfter},
		{Drip: time.Second},
		{Body: "{}", Status: 200, Processed: true},
		{Body: `{"uid":"u"}`, Status: 201, Processed: true},
		{Body: "<html>", Status: 200, Processed: true},
	}
	for i := range faults {
		faults[i].Op, faults[i].Times = "signup", 1
	}
	return faults
}

// TestH10H11H12_OneAccountAfterAnyFault injects random faults into sign-ups and
// connections, and reloads the config in between. Every user must get a token and have
// exactly one account and one sign-up.
func TestH10H11H12_OneAccountAfterAnyFault(t *testing.T) {
	users := 150
	if longTest() {
		users = 1000
	}
	l := newFaultyService(t, sandbox.Config{})
	config := simpleSite(l.fakeHuma, "timeout 2s\nattempt_timeout 1s\nbreaker off\nregistration {\nhold 3s\nrate 1000/s 5000\n}\ncache off")
	s := serve(t, config)

	// The connection to the service fails at random, in both directions.
	err := l.proxy.Each(func() faultproxy.Fault {
		kinds := []faultproxy.Fault{
			{}, {}, {}, {},
			{Kind: faultproxy.Refuse},
			{Kind: faultproxy.Reset},
			{Kind: faultproxy.Reset, After: rand.IntN(600)},
			{Kind: faultproxy.Cut, After: rand.IntN(600)},
			{Slice: 40}, {Delay: 30 * time.Millisecond},
		}
		return kinds[rand.IntN(len(kinds))]
	})
	if err != nil {
		t.Fatal(err)
	}
	again := func() {
		all := signUpFaults()
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		l.SetFaults(all)
	}
	again()
	stop := make(chan struct{})
	var faults, callers sync.WaitGroup
	faults.Go(func() {
		for reload := 0; ; reload++ {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			again()
			if reload%50 == 9 {
				if err := s.load(strings.Replace(config, "cache off", fmt.Sprintf("cache off\nmax_waiting %d", 3000+reload), 1)); err != nil {
					t.Error(err)
				}
			}
		}
	})
	next := make(chan int)
	var errorResponses atomic.Int64
	for range 24 {
		callers.Go(func() {
			for n := range next {
				errorResponses.Add(retryUntilToken(t, s, n))
			}
		})
	}
	for n := range users {
		next <- n
	}
	close(next)
	callers.Wait()
	close(stop)
	faults.Wait()

	if errorResponses.Load() < 5 {
		t.Errorf("%d error responses: too few faults were injected", errorResponses.Load())
	}
	accounts := make(map[string]int)
	for _, u := range l.Users() {
		accounts[u.Email]++
	}
	signUps := make(map[string]int)
	for _, c := range l.Calls().Calls {
		if c.Op == "signup" {
			signUps[c.Email]++
		}
	}
	for n := range users {
		email := fmt.Sprintf("user%d@x.example", n)
		if accounts[email] != 1 || signUps[email] != 1 {
			t.Errorf("%s: %d accounts, %d sign-ups", email, accounts[email], signUps[email])
		}
	}
}

// retryUntilToken repeats a request until the user gets a token. It returns the number of
// error responses, which must have one of the codes in allowed.
func retryUntilToken(t *testing.T, s *site, n int) (errorResponses int64) {
	allowed := []string{"upstream_unavailable", "upstream_timeout", "upstream_bad_response"}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		a, err := s.tryRequest(t.Context(), "GET", iosPath, user(n)...)
		switch {
		case err != nil: // a reload may close a connection
		case a.StatusCode == http.StatusOK:
			return errorResponses
		case !slices.ContainsFunc(allowed, func(code string) bool { return strings.Contains(string(a.Body), `"`+code+`"`) }):
			t.Errorf("user %d: %d %s", n, a.StatusCode, a.Body)
			return errorResponses
		default:
			errorResponses++
		}
	}
	t.Errorf("user %d has no token after a minute", n)
	return errorResponses
}
