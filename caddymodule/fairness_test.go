package caddymodule_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// slowHuma is a fake of Huma that takes 50 ms for each call. If the address of a user
// begins with a status, it responds with that status. The user "refused" gets 403 for
// sign-in and sign-up. New users are signed up.
type slowHuma struct {
	*httptest.Server
	mu         sync.Mutex
	known      map[string]bool
	calls      map[string]int // by operation and local part, such as "signup u1"
	running    map[string]int // by local part
	maxRunning map[string]int // the maximum number of concurrent calls

	signsInFirst bool // the sign-in of a user with a status responds with 403, as for an unknown user
}

func newSlowHuma(t *testing.T) *slowHuma {
	h := &slowHuma{known: map[string]bool{}, calls: map[string]int{}, running: map[string]int{}, maxRunning: map[string]int{}}
	h.Server = httptest.NewServer(h)
	t.Cleanup(func() {
		h.CloseClientConnections()
		h.Close()
	})
	return h
}

func (h *slowHuma) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct{ Email string }
	_ = json.NewDecoder(r.Body).Decode(&body)
	user, _, _ := strings.Cut(body.Email, "@")
	op := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	h.mu.Lock()
	h.calls[op+" "+user]++
	h.running[user]++
	h.maxRunning[user] = max(h.maxRunning[user], h.running[user])
	h.mu.Unlock()
	time.Sleep(50 * time.Millisecond)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running[user]--
	w.Header().Set("Content-Type", "application/json")
	var status int
	_, _ = fmt.Sscanf(user, "%d", &status)
	switch {
	case status != 0 && !(h.signsInFirst && op == "signin"):
		w.WriteHeader(status)
	case user == "refused", op == "signin" && !h.known[user]:
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"code":300011,"message":"user does not exist"}`)
	default:
		h.known[user] = true
		_, _ = fmt.Fprintf(w, `{"uid":%q,"authToken":%q,"authTokenExpiresIn":900,"refreshToken":"r","expiresIn":3888000}`, user, user)
	}
}

// count returns how often an operation was called for a user.
func (h *slowHuma) count(op, user string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls[op+" "+user]
}

// attack sends requests of one user until end is called.
type attack struct {
	stop    chan struct{}
	workers sync.WaitGroup
	mu      sync.Mutex
	codes   map[int]int
	maxWait time.Duration // the longest wait of a request
}

func (a *attack) end() {
	close(a.stop)
	a.workers.Wait()
}

// repeat sends requests one after the other, with a pause between them.
func (a *attack) repeat(s *site, client *http.Client, method string, pause time.Duration, edit func(n int) []func(*http.Request)) {
	a.workers.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-a.stop:
				return
			case <-time.After(pause):
			}
			req, err := http.NewRequestWithContext(context.Background(), method, s.URL+iosPath, nil)
			if err != nil {
				panic(err)
			}
			for _, e := range edit(n) {
				e(req)
			}
			start := time.Now()
			res, err := client.Do(req)
			if err != nil {
				continue
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			a.mu.Lock()
			a.codes[res.StatusCode]++
			a.maxWait = max(a.maxWait, time.Since(start))
			a.mu.Unlock()
		}
	})
}

// TestFairness checks that 100 concurrent new users all get a token, regardless of the
// requests of another user (F1 to F5). With -v it logs the maximum latency with and
// without the attack.
func TestFairness(t *testing.T) {
	huma := newSlowHuma(t)
	ca := testutil.NewAuthority(t.TempDir(), "ours")
	certFile, keyFile := ca.ServerFiles()
	_, port, _ := net.SplitHostPort(freeAddress(t))
	secure := "https://localhost:" + port
	directive := simpleSite(&fakeHuma{URL: huma.URL}, "cache {\nvary {header.X-Device-Id}\n}\nregistration {\nrate 1000/s\n}")
	s := serve(t, directive+"\n"+secure+" {\nbind 127.0.0.1\ntls "+certFile+" "+keyFile+"\n"+strings.TrimPrefix(directive, "SITE {"))
	s.URL = secure
	overHTTP2 := func() *http.Client {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool}, ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
		res, err := client.Get(secure + "/other") // all other requests share the connection
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return client
	}
	others, attackers := overHTTP2(), make([]*http.Client, 9)
	for i := range attackers {
		attackers[i] = overHTTP2()
	}

	var users atomic.Int64
	// newUsers makes concurrent requests of 100 new users and returns the maximum
	// latency.
	newUsers := func(t *testing.T) (slowest time.Duration) {
		t.Helper()
		var (
			all sync.WaitGroup
			mu  sync.Mutex
		)
		for range 100 {
			all.Go(func() {
				req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, secure+iosPath, nil)
				if err != nil {
					t.Error(err)
					return
				}
				as(fmt.Sprintf("new%d@x.example", users.Add(1)))(req)
				start := time.Now()
				res, err := others.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				body, _ := io.ReadAll(res.Body)
				res.Body.Close()
				if res.StatusCode != http.StatusOK {
					t.Errorf("another user got %d: %s", res.StatusCode, body)
				}
				mu.Lock()
				defer mu.Unlock()
				slowest = max(slowest, time.Since(start))
			})
		}
		all.Wait()
		return slowest
	}
	without := newUsers(t)
	for _, c := range []struct {
		name  string
		start func(a *attack)
		check func(t *testing.T, a *attack)
	}{
		{"F01 gets and deletes of one user", func(a *attack) {
			for _, client := range attackers {
				for range 240 {
					a.repeat(s, client, "GET", 0, func(int) []func(*http.Request) { return []func(*http.Request){as("flood@x.example")} })
				}
				a.repeat(s, client, "DELETE", 80*time.Millisecond, func(int) []func(*http.Request) { return []func(*http.Request){as("flood@x.example")} })
			}
		}, func(t *testing.T, a *attack) {
			// Every wait ends at timeout, which is 10 s. The rest is tolerance for a busy
			// machine.
			if huma.maxRunning["flood"] > 1 || a.maxWait > 15*time.Second {
				t.Errorf("%d concurrent calls of the user, and a latency of %s", huma.maxRunning["flood"], a.maxWait)
			}
		}},
		{"F02 many devices of one user", func(a *attack) {
			for i := range 64 {
				a.repeat(s, attackers[i%9], "GET", 0, func(n int) []func(*http.Request) {
					return []func(*http.Request){as("devices@x.example"), header("X-Device-Id", fmt.Sprint(i, " ", n))}
				})
			}
		}, func(t *testing.T, a *attack) {
			if huma.maxRunning["devices"] > 8 || a.codes[503] == 0 {
				t.Errorf("%d concurrent calls of the user, responses %v", huma.maxRunning["devices"], a.codes)
			}
		}},
		{"F04 the service rejects one user", func(a *attack) {
			a.repeat(s, attackers[0], "GET", 10*time.Millisecond, func(int) []func(*http.Request) { return []func(*http.Request){as("400@x.example")} })
		}, func(t *testing.T, a *attack) {
			if n := huma.count("signin", "400"); n != 1 || a.codes[502] < 2 {
				t.Errorf("%d calls, responses %v", n, a.codes)
			}
		}},
		{"F05 a refused user deletes and asks", func(a *attack) {
			a.repeat(s, attackers[0], "GET", 10*time.Millisecond, func(int) []func(*http.Request) { return []func(*http.Request){as("refused@x.example")} })
			a.repeat(s, attackers[0], "DELETE", 10*time.Millisecond, func(int) []func(*http.Request) { return []func(*http.Request){as("refused@x.example")} })
		}, func(t *testing.T, a *attack) {
			if n := huma.count("signup", "refused"); n != 1 || a.codes[403] < 2 || a.codes[204] < 2 {
				t.Errorf("%d sign-ups, responses %v", n, a.codes)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &attack{stop: make(chan struct{}), codes: make(map[int]int)}
			c.start(a)
			time.Sleep(100 * time.Millisecond) // until the attack is running
			with := newUsers(t)
			a.end()
			c.check(t, a)
			t.Logf("%v; the slowest of 100 new users waited %s, and %s with the attack: %.2f x", a.codes, without, with, float64(with)/float64(without))
		})
	}
}

// TestF04_ErrorLinesAreSampled checks that errors that one user can cause repeatedly are
// logged at level ERROR at most once per second.
func TestF04_ErrorLinesAreSampled(t *testing.T) {
	huma := newSlowHuma(t)
	s := serve(t, simpleSite(&fakeHuma{URL: huma.URL}, "cache {\nnegative_ttl 0s\nvary {header.X-Device-Id}\n}"))
	start := time.Now()
	for range 3 {
		for _, a := range s.concurrently(iosPath, 8, func(i int) []func(*http.Request) {
			return []func(*http.Request){as("400@x.example"), header("X-Device-Id", fmt.Sprint(i))}
		}) {
			a.problem(t, http.StatusBadGateway, "upstream_rejected")
		}
	}
	errs, all := 0, s.logLines(`"msg":"token exchange failed"`)
	for _, line := range all {
		if strings.Contains(line, `"level":"error"`) {
			errs++
		}
	}
	if most := 1 + int(time.Since(start)/time.Second); len(all) != 24 || errs < 1 || errs > most {
		t.Errorf("%d lines, of which %d are errors; want 24 and at most %d", len(all), errs, most)
	}
}

// TestF05_RefusedUserOfManyDevices checks that a user whom the service refuses, with
// another device ID in each request, does not consume the rate limit of sign-ups.
func TestF05_RefusedUserOfManyDevices(t *testing.T) {
	for user, code := range map[string]string{"refused": "refused", "400": "upstream_rejected"} {
		t.Run(user, func(t *testing.T) {
			huma := newSlowHuma(t)
			huma.signsInFirst = true
			s := serve(t, simpleSite(&fakeHuma{URL: huma.URL}, "cache {\nvary {header.X-Device-Id}\n}\nregistration {\nrate 1/h 2\n}"))
			for _, a := range s.concurrently(iosPath, 8, func(i int) []func(*http.Request) {
				return []func(*http.Request){as(user + "@x.example"), header("X-Device-Id", fmt.Sprint(i))}
			}) {
				if !strings.Contains(string(a.Body), `"`+code+`"`) {
					t.Errorf("%d %s", a.StatusCode, a.Body)
				}
			}
			if in, up := huma.count("signin", user), huma.count("signup", user); up != 1 {
				t.Errorf("%d sign-ins and %d sign-ups, want 1 sign-up", in, up)
			}
			s.request("GET", iosPath, as("another@x.example")).tokens(t)
		})
	}
}

// TestF04_RejectionOfOneHandler checks that a rejected call of one handler does not stop
// another handler of the same account from calling, because the handlers may send
// different requests.
func TestF04_RejectionOfOneHandler(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.HasSuffix(r.URL.Path, "/signup") && !strings.Contains(string(body), "right-code") {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		huma.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	handler := func(path, more string) string {
		return "huma_token " + path + " {\n" + (&fakeHuma{URL: front.URL}).credentials() + "client_type ios\n" + more + "identity {\nemail X-Test-User\n}\ntrust proxies 127.0.0.1\n}\n"
	}
	s := serve(t, "SITE {\n"+handler("/without", "")+handler("/with", "registration {\nactivation_code right-code\n}\n")+"}")
	s.request("GET", "/without", as("a@x.example")).problem(t, http.StatusBadGateway, "upstream_rejected")
	s.request("GET", "/with", as("a@x.example")).tokens(t)
	for range 2 {
		s.request("GET", "/without", as("b@x.example")).problem(t, http.StatusBadGateway, "upstream_rejected")
	}
	if n := huma.calls("signin"); n != 3 { // two of the one handler, and one of the other handler for user a
		t.Errorf("%d sign-ins, want 3", n)
	}
}
