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

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// mergingCache is a fake of a cache that merges concurrent requests with one method and
// URL, as cache-handler with Souin does. It handles one of them, and sends its response
// to the others that have equal headers according to Vary. The headers are compared after
// the response, with their values at that time.
type mergingCache struct {
	mu      *sync.Mutex
	running map[string]*mergedRequest
}

// mergedRequest is a running request, and then its response.
type mergedRequest struct {
	done     chan struct{}
	header   http.Header // of the request
	response *httptest.ResponseRecorder
	err      error
}

func init() {
	caddy.RegisterModule(mergingCache{})
	httpcaddyfile.RegisterHandlerDirective("test_merging", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return new(mergingCache), nil
	})
	httpcaddyfile.RegisterDirectiveOrder("test_merging", httpcaddyfile.Before, "map")
}

func (mergingCache) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_merging", New: func() caddy.Module { return new(mergingCache) }}
}

func (m *mergingCache) Provision(caddy.Context) error {
	m.mu, m.running = new(sync.Mutex), make(map[string]*mergedRequest)
	return nil
}

func (m *mergingCache) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	key := r.Method + " " + r.URL.String()
	m.mu.Lock()
	one, others := m.running[key]
	if !others {
		one = &mergedRequest{done: make(chan struct{}), header: r.Header, response: httptest.NewRecorder()}
		m.running[key] = one
	}
	m.mu.Unlock()
	if others {
		<-one.done
		if one.err != nil || !one.matches(r) {
			return next.ServeHTTP(w, r)
		}
	} else {
		time.Sleep(time.Millisecond) // so that other requests are merged
		one.err = next.ServeHTTP(one.response, r)
		m.mu.Lock()
		delete(m.running, key)
		m.mu.Unlock()
		close(one.done)
		if one.err != nil {
			return one.err
		}
	}
	for name, values := range one.response.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(one.response.Code)
	_, err := io.Copy(w, bytes.NewReader(one.response.Body.Bytes()))
	return err
}

// matches reports whether the response may be sent for another request.
func (one *mergedRequest) matches(r *http.Request) bool {
	for _, line := range one.response.Header().Values("Vary") {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); r.Header.Get(name) != one.header.Get(name) {
				return false
			}
		}
	}
	return true
}

// countCrossed counts the responses with a token, and those with the token of another
// client. Each of the three clients sends the given number of requests, concurrently.
func countCrossed(t *testing.T, rounds int, url string, clients [3]*http.Client, edits [3]func(*http.Request), owns func(client int, body []byte) bool) (answered, wrong int64) {
	var all, others atomic.Int64
	for range rounds {
		var round sync.WaitGroup
		for i, client := range clients {
			round.Go(func() {
				req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if edits[i] != nil {
					edits[i](req)
				}
				res, err := client.Do(req)
				if err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
				defer res.Body.Close()
				body, err := io.ReadAll(res.Body)
				if err != nil {
					t.Errorf("client %d: %v", i, err)
				}
				if res.StatusCode == http.StatusOK {
					all.Add(1)
					if !owns(i, body) {
						others.Add(1)
					}
				}
			})
		}
		round.Wait()
	}
	return all.Load(), others.Load()
}

// clientFrom returns a client with a local address.
func clientFrom(t *testing.T, address string) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// withCertificate returns a client with a certificate for the addresses, or without a
// certificate if there are none.
func withCertificate(t *testing.T, a *testutil.Authority, emails ...string) *http.Client {
	config := &tls.Config{RootCAs: a.Pool}
	if emails != nil {
		config.Certificates = []tls.Certificate{*clientCertificate(a, emails...)}
	}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// TestG03_MergingCacheInFront checks that a cache that merges concurrent requests sends
// no client the token of another one, for each source of the identity.
func TestG03_MergingCacheInFront(t *testing.T) {
	rounds := 300
	if l, err := net.Listen("tcp", "127.0.0.3:0"); err != nil {
		t.Skipf("this system has one loopback address: %v", err)
	} else {
		l.Close()
	}
	// The auth server identifies users by a cookie or a token.
	auth := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if c, err := r.Cookie("session"); err == nil {
			user = c.Value
		}
		if user != "alice" && user != "bob" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Remote-Email", user+"@x.example")
	}))
	t.Cleanup(auth.Close)
	ca := testutil.NewAuthority(t.TempDir(), "ours")
	certFile, keyFile := ca.ServerFiles()
	_, port, _ := net.SplitHostPort(freeAddress(t))
	secure := "https://localhost:" + port
	fake := newHuma(t, sandbox.Config{})
	forwardAuth := "forward_auth " + auth.URL + " {\nuri /verify\n}\nhuma_token * {\nHUMA\nidentity authelia\ntrust forward_auth\n}\n"
	text := `SITE {
		route {
			test_merging
			handle /header {
				` + forwardAuth + `
			}
			handle /cookie {
				` + forwardAuth + `
			}
			handle /proxies {
				huma_token * {
					HUMA
					identity {
						email X-Test-User
					}
					trust proxies 127.0.0.1 127.0.0.2
				}
			}
			map {http.request.remote.host} {user_email} {
				127.0.0.1 alice@x.example
				127.0.0.2 bob@x.example
			}
			handle /address {
				huma_token * {
					HUMA
					identity {
						email {user_email}
					}
				}
			}
			handle /without {
				respond "{user_email}"
			}
		}
	}
	` + secure + ` {
		bind 127.0.0.1
		tls ` + certFile + ` ` + keyFile + ` {
			client_auth {
				mode verify_if_given
				trust_pool file ` + ca.File + `
			}
		}
		route {
			test_merging
			huma_token * {
				HUMA
				identity {
					email {http.request.tls.client.san.emails.0}
				}
			}
		}
	}`
	// Tokens are cached, so that most responses are fast.
	s := serve(t, strings.ReplaceAll(text, "HUMA", fake.credentials()+"client_type ios\n"))
	users := [3]string{"alice@x.example", "bob@x.example"}
	uids := make(map[string]string)
	for _, email := range users[:2] {
		a := s.request("GET", "/proxies", as(email))
		uids[email] = a.tokens(t).UID
	}
	ownsToken := func(client int, body []byte) bool {
		var v tokens
		return json.Unmarshal(body, &v) == nil && v.UID != "" && v.UID == uids[users[client]]
	}
	near := [3]*http.Client{clientFrom(t, "127.0.0.1"), clientFrom(t, "127.0.0.2"), clientFrom(t, "127.0.0.3")}
	cookie := func(v string) func(*http.Request) { return header("Cookie", "session="+v) }
	bearer := func(v string) func(*http.Request) { return header("Authorization", "Bearer "+v) }
	for _, c := range []struct {
		name, url string
		clients   [3]*http.Client
		edits     [3]func(*http.Request)
	}{
		{"header", s.URL + "/header", near, [3]func(*http.Request){bearer("alice"), bearer("bob")}},
		{"cookie", s.URL + "/cookie", near, [3]func(*http.Request){cookie("alice"), cookie("bob")}},
		{"trust proxies, forged", s.URL + "/proxies", near, [3]func(*http.Request){as(users[0]), as(users[1]), as(users[0])}},
		{"client certificate", secure + "/", [3]*http.Client{withCertificate(t, ca, users[0]), withCertificate(t, ca, users[1]), withCertificate(t, ca)}, [3]func(*http.Request){}},
		{"map over the address", s.URL + "/address", near, [3]func(*http.Request){}},
	} {
		t.Run(c.name, func(t *testing.T) {
			answered, wrong := countCrossed(t, rounds, c.url, c.clients, c.edits, ownsToken)
			// A 401 response of the auth server may be merged.
			if wrong != 0 || answered < int64(rounds) {
				t.Errorf("%d responses with a token, of which %d were for another client; want at least %d and 0", answered, wrong, rounds)
			}
		})
	}
	t.Run("a handler without Vary", func(t *testing.T) {
		_, wrong := countCrossed(t, 50, s.URL+"/without", near, [3]func(*http.Request){}, func(client int, body []byte) bool {
			return string(body) == users[client]
		})
		if wrong == 0 {
			t.Error("no response was crossed: this test cannot fail")
		}
	})
	s.notLogged(t, "@x.example")
}

// TestG03_RequestMarkIsUnique checks that the value of Huma-Request is different for each
// request, so that it is useless to a client that learns one, for example from an error
// page.
func TestG03_RequestMarkIsUnique(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	s := serve(t, strings.ReplaceAll(`SITE {
		huma_token {
			HUMA
			identity {
				email X-Test-User
			}
			trust proxies 127.0.0.1
			errors caddy
		}
		handle_errors {
			respond "{http.request.header.Huma-Request}"
		}
	}`, "HUMA", fake.credentials()))
	seen := make(map[string]bool)
	for range 100 {
		seen[string(s.request("GET", path, header("Huma-Request", "mine")).Body)] = true
	}
	if len(seen) != 100 || seen["mine"] || seen[""] {
		t.Errorf("%d values of 100 requests: %v", len(seen), seen)
	}
}

// TestVaryHeader checks that every response lists all headers that it depends on.
func TestVaryHeader(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"email":"a@x.example"}`)
	}))
	t.Cleanup(app.Close)
	fake := newHuma(t, sandbox.Config{})
	s := serve(t, strings.ReplaceAll(`SITE {
		header Vary Accept-Language
		huma_token /header {
			HUMA
			identity {
				email x-test-user
				first_name X-Name
			}
			trust proxies 127.0.0.1
			cache {
				vary {header.X-Device-Id} {query.tab}
			}
		}
		huma_token /userinfo {
			HUMA
			userinfo `+app.URL+` {
				forward_headers Cookie X-Session
				email email
			}
		}
		huma_token /errors {
			HUMA
			identity {
				email X-Test-User
			}
			trust proxies 127.0.0.1
			errors caddy
		}
		handle_errors {
			huma_token /errors {
				HUMA
				identity {
					email X-Test-User
				}
				trust proxies 127.0.0.1
			}
		}
	}`, "HUMA", fake.credentials()+"client_type ios\n"))
	const plain = "Authorization, Cookie, X-Test-User, Huma-Request"
	for _, c := range []struct {
		method, target string
		edit           []func(*http.Request)
		status         int
		vary           string
	}{
		{"GET", "/header", []func(*http.Request){as("a@x.example")}, 200, "Authorization, Cookie, X-Device-Id, X-Name, X-Test-User, Huma-Request"}, // a new token
		{"GET", "/header", []func(*http.Request){as("a@x.example")}, 200, "Authorization, Cookie, X-Device-Id, X-Name, X-Test-User, Huma-Request"}, // a cached token
		{"GET", "/header", nil, 401, "Authorization, Cookie, X-Device-Id, X-Name, X-Test-User, Huma-Request"},
		{"PUT", "/header", nil, 405, "Authorization, Cookie, X-Device-Id, X-Name, X-Test-User, Huma-Request"},
		{"OPTIONS", "/header", nil, 204, "Authorization, Cookie, X-Device-Id, X-Name, X-Test-User, Huma-Request"},
		{"DELETE", "/header", []func(*http.Request){as("a@x.example")}, 204, "Authorization, Cookie, X-Device-Id, X-Name, X-Test-User, Huma-Request"},
		{"GET", "/userinfo", []func(*http.Request){header("Cookie", "a=b")}, 200, "Authorization, Cookie, X-Session, Huma-Request"},
		{"GET", "/errors", nil, 401, plain},
		{"GET", "/errors", []func(*http.Request){header("Sec-Fetch-Site", "cross-site")}, 403, plain},
	} {
		// A client that sends the header changes nothing.
		a := s.request(c.method, c.target, append(c.edit, header("Huma-Request", "x"))...)
		if a.StatusCode != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.target, a.StatusCode, c.status)
		}
		if vary := a.Header.Values("Vary"); len(vary) != 2 || vary[0] != "Accept-Language" || vary[1] != c.vary {
			t.Errorf("%s %s: Vary is %q, want Accept-Language and %s", c.method, c.target, vary, c.vary)
		}
		if cc := a.Header.Values("Cache-Control"); fmt.Sprint(cc) != "[private, no-store]" {
			t.Errorf("%s %s: Cache-Control is %q", c.method, c.target, cc)
		}
		if challenge := a.Header.Get("WWW-Authenticate"); (challenge == "Bearer") != (a.StatusCode == 401) {
			t.Errorf("%s %s: WWW-Authenticate is %q", c.method, c.target, challenge)
		}
	}
}
