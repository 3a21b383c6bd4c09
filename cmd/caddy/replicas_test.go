package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/redistest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// replicas has three replicas of a site, the Redis that they share, and the sandbox.
// Each is a process.
type replicas struct {
	t         *testing.T
	timeout   time.Duration // of exchanges
	redis     *redistest.Server
	huma      string
	addresses [3]string
	admins    [3]string // their admin endpoints
	processes [3]*caddyProcess
	client    *http.Client
}

// startReplicas starts the processes. timeout is that of token exchanges.
func startReplicas(t *testing.T, timeout time.Duration) *replicas {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	r := &replicas{t: t, timeout: timeout, redis: redistest.Start(t), client: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
	huma := testutil.FreeAddress(t)
	r.huma = "http://" + huma
	const global = "{\nadmin %s\npersist_config off\nauto_https off\n}\n"
	startCaddy(t, fmt.Sprintf(global, "off")+r.huma+" {\nhuma_sandbox\n}\n", huma)
	for i := range r.addresses {
		r.addresses[i], r.admins[i] = testutil.FreeAddress(t), testutil.FreeAddress(t)
		r.processes[i] = startCaddy(t, fmt.Sprintf(global, r.admins[i])+`http://`+r.addresses[i]+` {
			huma_token {
				api `+r.huma+`
				project_id p1
				deployment_id d1
				client_id ios c1
				client_id android c2
				client_id web c3
				secret sandbox-secret
				identity {
					email X-Test-User
				}
				trust proxies 127.0.0.1
				timeout `+r.timeout.String()+`
				cache 1m {
					redis {
						address `+r.redis.Addr()+`
						encryption_keys AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
					}
				}
			}
		}`, r.addresses[i])
	}
	r.waitConnected()
	return r
}

// waitConnected waits until all replicas have subscribed to invalidations.
func (r *replicas) waitConnected() {
	r.t.Helper()
	testutil.Eventually(r.t, patience, "the replicas join", func() bool {
		list := r.redis.Do("PUBSUB", "NUMSUB", "caddy-huma:news").([]any)
		return len(list) == 2 && list[1] == int64(len(r.addresses))
	})
	time.Sleep(200 * time.Millisecond) // until the first health check of the store has finished
}

// request requests a user's token of the client type ios from a replica.
func (r *replicas) request(ctx context.Context, i int, method, user string, headers ...string) (status int, token string, err error) {
	return r.requestAs(ctx, i, "ios", method, user, headers...)
}

// requestAs is like request, with another client type.
func (r *replicas) requestAs(ctx context.Context, i int, clientType, method, user string, headers ...string) (status int, token string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.addresses[i]+"/private/huma-token?client_type="+clientType, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("X-Test-User", user)
	for n := 0; n < len(headers); n += 2 {
		req.Header.Set(headers[n], headers[n+1])
	}
	res, err := r.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, "", err
	}
	var v struct{ AuthToken string }
	_ = json.Unmarshal(body, &v) // stays empty if the body is not a token
	return res.StatusCode, v.AuthToken, nil
}

// token is like request, and fails the test unless the response is a token.
func (r *replicas) token(i int, user string, headers ...string) string {
	r.t.Helper()
	status, token, err := r.request(r.t.Context(), i, http.MethodGet, user, headers...)
	if err != nil || status != http.StatusOK || token == "" {
		r.t.Fatalf("replica %d: %d %q %v", i, status, token, err)
	}
	return token
}

// faults sets the faults of the sandbox.
func (r *replicas) faults(faults string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPut, r.huma+"/_sandbox/faults", strings.NewReader(faults))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if status, body := do(r.t, req); status >= 300 {
		r.t.Fatalf("faults: %d %s", status, body)
	}
}

// accounts returns the number of users at the sandbox.
func (r *replicas) accounts() int {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.huma+"/_sandbox/users", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	_, body := do(r.t, req)
	var v struct{ Users []any }
	if err := json.Unmarshal(body, &v); err != nil {
		r.t.Fatal(err)
	}
	return len(v.Users)
}

// TestR03_OneSignUpForAllReplicas checks that 300 concurrent first requests of a new user
// at three replicas cause one sign-up, with one client type and with three.
func TestR03_OneSignUpForAllReplicas(t *testing.T) {
	r := startReplicas(t, 10*time.Second)
	for _, clientTypes := range [][]string{{"ios"}, {"ios", "android", "web"}} {
		t.Run(strings.Join(clientTypes, " "), func(t *testing.T) {
			user := fmt.Sprintf("new-%d@x.example", len(clientTypes))
			before := calls(t, r.huma)
			var wg sync.WaitGroup
			start, tokens := make(chan struct{}), make(chan string, 300)
			for i := range 300 {
				wg.Go(func() {
					<-start
					clientType := clientTypes[i/len(r.addresses)%len(clientTypes)]
					status, token, err := r.requestAs(t.Context(), i%len(r.addresses), clientType, http.MethodGet, user)
					if err != nil || status != http.StatusOK || token == "" {
						t.Errorf("request %d: %d %v", i, status, err)
					}
					tokens <- token
				})
			}
			close(start)
			wg.Wait()
			close(tokens)
			seen := make(map[string]int)
			for token := range tokens {
				seen[token]++
			}
			all := strings.TrimPrefix(calls(t, r.huma), before)
			if n := strings.Count(all, "signup"); n != 1 {
				t.Errorf("%d sign-ups: %s", n, all)
			}
			// Each exchange starts with a sign-in. One that has waited for the sign-up of
			// another one may send a second sign-in.
			exchanges := len(r.addresses) * len(clientTypes)
			if n := strings.Count(all, "signin"); n > 2*exchanges {
				t.Errorf("%d sign-ins: %s", n, all)
			}
			if len(seen) > exchanges {
				t.Errorf("%d different tokens", len(seen))
			}
		})
	}
}

// TestR04_TheReplicaThatSignsUpIsKilled checks that in the end there is one account, and
// the other replicas have tokens. If the sign-up was not processed, they wait until the
// lock expires: the timeout and 5 s.
func TestR04_TheReplicaThatSignsUpIsKilled(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	for _, test := range []struct {
		name   string
		fault  string // of the sign-up
		killed func(r *replicas) bool
		signUp int // further ones
	}{
		{"before the sign-up is processed", `{"op":"signup","status":503,"delay":"3s","times":1}`, (*replicas).signsUp, 1},
		{"while it is processed", `{"op":"signup","appear_after":"700ms","delay":"3s","times":1}`, (*replicas).signsUp, 0},
		{"after it was processed", `{"op":"signup","appear_after":"100ms","delay":"3s","times":1}`, func(r *replicas) bool { return r.accounts() == 1 }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := startReplicas(t, timeout)
			r.faults("[" + test.fault + "]")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			returned := make(chan struct{})
			go func() {
				defer close(returned)
				_, _, _ = r.request(ctx, 0, http.MethodGet, "new@x.example")
			}()
			testutil.Eventually(t, patience, "the sign-up is in this state", func() bool { return test.killed(r) })
			r.processes[0].Kill()
			start := time.Now()
			cancel()
			<-returned

			var wg sync.WaitGroup
			for i := 1; i < len(r.addresses); i++ {
				wg.Go(func() {
					testutil.Eventually(t, patience, fmt.Sprintf("replica %d has a token", i), func() bool {
						status, _, err := r.request(t.Context(), i, http.MethodGet, "new@x.example")
						if err != nil || status != http.StatusOK && status != http.StatusServiceUnavailable {
							t.Errorf("replica %d: %d %v", i, status, err)
						}
						return status == http.StatusOK
					})
				})
			}
			wg.Wait()
			if d := time.Since(start); d > timeout+5*time.Second+3*time.Second {
				t.Errorf("took %s", d)
			}
			if n := r.accounts(); n != 1 {
				t.Errorf("%d accounts", n)
			}
			if all := calls(t, r.huma); strings.Count(all, "signup") > 1+test.signUp {
				t.Errorf("too many sign-ups: %s", all)
			}
		})
	}
}

// signsUp reports whether a sign-up is in progress.
func (r *replicas) signsUp() bool {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.huma+"/_sandbox/calls", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	_, body := do(r.t, req)
	var v struct{ InFlight int }
	if err := json.Unmarshal(body, &v); err != nil {
		r.t.Fatal(err)
	}
	return len(r.redis.Texts("KEYS", "caddy-huma:s:*")) == 1 && v.InFlight == 1
}
