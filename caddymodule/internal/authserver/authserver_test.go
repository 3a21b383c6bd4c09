package authserver

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
)

// server is an auth server that records the last request.
type server struct {
	*httptest.Server
	calls atomic.Int64
	last  atomic.Pointer[http.Request]
}

func serve(t *testing.T, respond http.HandlerFunc) *server {
	t.Helper()
	s := new(server)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		s.last.Store(r)
		respond(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func mustNew(t *testing.T, cfg subrequest.Config) *Client {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = subrequest.DefaultTimeout
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// signedIn returns a request with a session.
func signedIn(more ...string) identity.AuthRequest {
	r := identity.AuthRequest{
		Host: "app.example.com", Method: "POST", URI: "/private/huma-token?client_type=ios",
		RemoteAddr: "192.0.2.7:1234", TLS: true,
		Header: http.Header{"Cookie": {"session=s"}, "User-Agent": {"Clinic/3"}},
	}
	for i := 0; i < len(more); i += 2 {
		r.Header.Add(more[i], more[i+1])
	}
	return r
}

func ok(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

// TestRequest checks the headers of the call: those in the table and no others.
func TestRequest(t *testing.T) {
	s := serve(t, ok)
	base := map[string]string{
		"Accept": "application/json", "Accept-Encoding": "identity", "X-Requested-With": "XMLHttpRequest",
		"User-Agent": "Clinic/3", "Cookie": "session=s", "Host": "app.example.com",
		"X-Forwarded-Method": "POST", "X-Forwarded-Uri": "/private/huma-token?client_type=ios",
		"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example.com",
	}
	forged := []string{
		"X-Forwarded-For", "203.0.113.9", "X-Forwarded-For", "203.0.113.10", "X-Forwarded-Proto", "http", "X-Forwarded-Proto", "gopher",
		"X-Forwarded-Host", "a.example", "X-Forwarded-Host", "b.example",
	}
	for _, test := range []struct {
		name    string
		request identity.AuthRequest
		change  func(*identity.AuthRequest)
		want    map[string]string // beside base; "": not sent
	}{
		{"no User-Agent", signedIn(), func(r *identity.AuthRequest) { r.Header.Del("User-Agent") }, map[string]string{"User-Agent": ""}},
		{"forged by an untrusted peer", signedIn(forged...), nil, nil},
		{"from a trusted proxy", signedIn(forged...), func(r *identity.AuthRequest) { r.TrustedProxy = true }, map[string]string{
			"X-Forwarded-For": "203.0.113.9, 203.0.113.10, 192.0.2.7", "X-Forwarded-Proto": "gopher", "X-Forwarded-Host": "b.example",
		}},
		{"from a trusted proxy without headers", signedIn(), func(r *identity.AuthRequest) { r.TrustedProxy = true }, nil},
		{"IPv6 with a zone", signedIn(), func(r *identity.AuthRequest) { r.RemoteAddr = "[fe80::1%eth0]:99" }, map[string]string{"X-Forwarded-For": "fe80::1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.change != nil {
				test.change(&test.request)
			}
			c := mustNew(t, subrequest.Config{URL: s.URL + "/auth?rd=1"})
			if _, err := c.Check(t.Context(), test.request); err != nil {
				t.Fatal(err)
			}
			want := maps.Clone(base)
			maps.Copy(want, test.want)
			maps.DeleteFunc(want, func(_, v string) bool { return v == "" })
			r := s.last.Load()
			got := map[string]string{"Host": r.Host}
			for name, values := range r.Header {
				got[name] = strings.Join(values, " | ")
			}
			if !maps.Equal(got, want) {
				t.Errorf("sent\n%v\nwant\n%v", got, want)
			}
			if r.Method != http.MethodGet || r.RequestURI != "/auth?rd=1" {
				t.Errorf("%s %s", r.Method, r.RequestURI)
			}
		})
	}
}

// TestNoCredentials checks that a request without credentials makes no call: some auth
// servers create a session for each.
func TestNoCredentials(t *testing.T) {
	s := serve(t, ok)
	c := mustNew(t, subrequest.Config{URL: s.URL, ForwardHeaders: []string{"X-Api-Key"}})
	for _, header := range []http.Header{
		{}, {"Cookie": {""}}, {"User-Agent": {"x"}}, {"Remote-Email": {"a@x.example"}}, {"Cookie": {"a=\x01"}}, {"Authorization": {}},
	} {
		r := signedIn()
		r.Header = header
		if _, err := c.Check(t.Context(), r); !errors.Is(err, identity.ErrNoCredentials) {
			t.Errorf("%v: %v", header, err)
		}
	}
	r := signedIn()
	r.Host = "a b"
	if _, err := c.Check(t.Context(), r); !errors.Is(err, identity.ErrNoCredentials) {
		t.Errorf("host %q: %v", r.Host, err)
	}
	if n := s.calls.Load(); n != 0 {
		t.Errorf("%d calls", n)
	}
	r = signedIn()
	r.Header = http.Header{"X-Api-Key": {"k"}}
	if _, err := c.Check(t.Context(), r); err != nil {
		t.Error(err)
	}
}

// TestUnavailable tests a server that never responds.
func TestUnavailable(t *testing.T) {
	hold := make(chan struct{})
	hangs := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(hold) })
	var logged error
	c := mustNew(t, subrequest.Config{URL: hangs.URL + "/path?secret=s3cret", Timeout: 100 * time.Millisecond, OnError: func(err error) { logged = err }})
	if _, err := c.Check(t.Context(), signedIn()); !errors.Is(err, identity.ErrAuthServerUnavailable) {
		t.Error(err)
	}
	if logged == nil || strings.Contains(logged.Error(), "s3cret") {
		t.Errorf("logged %v", logged)
	}
	t.Run("the client cancels", func(t *testing.T) {
		c := mustNew(t, subrequest.Config{URL: hangs.URL, OnError: func(err error) { t.Errorf("logged %v", err) }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		time.AfterFunc(50*time.Millisecond, cancel)
		if _, err := c.Check(ctx, signedIn()); err == nil {
			t.Error("no error")
		}
	})
}

// TestLargeBody checks that the identity is used although the body is not read to its
// end.
// TestStatusIsExplained checks that the error for the log says what to check if the auth
// server responds with an unexpected status.
func TestStatusIsExplained(t *testing.T) {
	for status, part := range map[int]string{400: "set trusted_proxies", 404: "check the path of the URL", 405: "check the path of the URL", 500: "unexpected status 500"} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		var logged error
		c := mustNew(t, subrequest.Config{URL: s.URL, OnError: func(err error) { logged = err }})
		if _, err := c.Check(t.Context(), signedIn()); err != identity.ErrAuthServerUnavailable || logged == nil || !strings.Contains(logged.Error(), part) {
			t.Errorf("status %d: %v; logged %v, want %q", status, err, logged, part)
		}
	}
}

func TestLargeBody(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Remote-Email", "a@x.example")
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
	})
	header, err := mustNew(t, subrequest.Config{URL: s.URL}).Check(t.Context(), signedIn())
	if err != nil || header.Get("Remote-Email") == "" {
		t.Errorf("%v, %v", header, err)
	}
}

// TestMaxWaiting checks the limit of concurrent calls.
func TestMaxWaiting(t *testing.T) {
	hold := make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) { <-hold })
	c := mustNew(t, subrequest.Config{URL: s.URL, MaxWaiting: 2})
	done := make(chan error)
	for range 2 {
		go func() { _, err := c.Check(t.Context(), signedIn()); done <- err }()
	}
	for s.calls.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	if _, err := c.Check(t.Context(), signedIn()); !errors.Is(err, identity.ErrAuthServerBusy) {
		t.Error(err)
	}
	close(hold)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestDefaultPath checks the path of a URL without one.
func TestDefaultPath(t *testing.T) {
	s := serve(t, ok)
	for _, test := range [][3]string{{"", "/oauth2/auth", "/oauth2/auth"}, {"/", "/oauth2/auth", "/oauth2/auth"}, {"/", "", "/"}, {"/x", "/oauth2/auth", "/x"}, {"", "", "/"}, {"?a=b", "/v", "/v?a=b"}} {
		if _, err := mustNew(t, subrequest.Config{URL: s.URL + test[0], DefaultPath: test[1]}).Check(t.Context(), signedIn()); err != nil {
			t.Fatal(err)
		}
		if got := s.last.Load().RequestURI; got != test[2] {
			t.Errorf("%q with the default %q: %s", test[0], test[1], got)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for _, test := range []struct {
		cfg  subrequest.Config
		want []string
	}{
		{subrequest.Config{URL: "authelia:9091"}, []string{"auth_server: ", "http://authelia:9091"}},
		{subrequest.Config{URL: "http://u:s3cret@authelia"}, []string{"auth_server: "}},
		{subrequest.Config{URL: "http://authelia#x"}, []string{"auth_server: "}},
		{subrequest.Config{URL: "http://authelia:99999"}, []string{"auth_server: "}},
		{subrequest.Config{URL: "http://a", ForwardHeaders: []string{"X-Forwarded-Uri", "host", "a b", "Connection"}}, []string{"X-Forwarded-Uri", "Host", `"a b"`, "Connection"}},
		{subrequest.Config{URL: "http://a", Timeout: -1}, []string{"timeout: "}},
	} {
		_, err := New(test.cfg)
		if err == nil {
			t.Errorf("%+v: no error", test.cfg)
			continue
		}
		if missing := slices.DeleteFunc(slices.Clone(test.want), func(w string) bool { return strings.Contains(err.Error(), w) }); len(missing) > 0 || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v lacks %q", err, missing)
		}
	}
}
