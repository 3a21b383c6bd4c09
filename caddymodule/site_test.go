package caddymodule_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-huma/caddy-huma/caddymodule"
	_ "github.com/caddy-huma/caddy-huma/caddymodule/redis"
)

// site is a running Caddy. There is at most one per process.
type site struct {
	t        testing.TB
	URL      string // the URL of the first address, SITE in a Caddyfile
	address  string
	logFile  string
	loaded   time.Time // when the current config was loaded
	client   *http.Client
	canaries *canaries
}

// serve runs Caddy with a Caddyfile. SITE is replaced by the site's address. The global
// options disable the admin endpoint and persistence, and write the debug log to a file.
func serve(t testing.TB, text string) *site {
	t.Helper()
	s := newSite(t)
	if err := s.load(text); err != nil {
		t.Fatalf("load: %v", err)
	}
	s.stopAfter(t)
	return s
}

// newSite returns a site that is not running yet.
func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{
		t:        t,
		address:  freeAddress(t),
		logFile:  filepath.Join(t.TempDir(), "caddy.log"),
		canaries: newCanaries(),
		client: &http.Client{
			Timeout:       30 * time.Second,
			Transport:     &http.Transport{MaxIdleConnsPerHost: 1000},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	s.URL = "http://" + s.address
	return s
}

// stopAfter stops Caddy at the end of the test.
func (s *site) stopAfter(t testing.TB) {
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		if err := caddy.Stop(); err != nil {
			t.Errorf("stop Caddy: %v", err)
		}
		s.canaries.check(t, s.log())
	})
}

// serveParallel runs independent subtests concurrently, because they mostly wait. One
// Caddy has a site for each of them. It starts once all of them have called serve. They
// share one log file.
func serveParallel(t *testing.T, tests map[string]func(t *testing.T, serve func(text string) *site)) {
	t.Helper()
	var (
		all            = newSite(t)
		loaded         = make(chan struct{})
		errLoad        = errors.New("no site")
		mu             sync.Mutex
		sites          strings.Builder
		waiting, ended sync.WaitGroup
	)
	for name, test := range tests {
		waiting.Add(1)
		isWaiting := sync.OnceFunc(waiting.Done)
		ended.Go(func() {
			defer isWaiting()
			// t.Parallel would limit the number of subtests to the number of cores.
			t.Run(name, func(t *testing.T) {
				defer isWaiting()
				test(t, func(text string) *site {
					s := *all
					s.t = t
					s.move()
					mu.Lock()
					sites.WriteString(strings.ReplaceAll(text, "SITE", s.URL) + "\n")
					mu.Unlock()
					isWaiting()
					if <-loaded; errLoad != nil {
						t.Fatalf("load: %v", errLoad)
					}
					s.loaded = time.Now()
					return &s
				})
			})
		})
	}
	defer ended.Wait()
	defer close(loaded)
	waiting.Wait()
	all.stopAfter(t)
	errLoad = all.load(sites.String())
}

// load replaces the running config.
func (s *site) load(text string) error {
	defer func() {
		s.loaded = time.Now()
		s.client.CloseIdleConnections() // connections to the server of the previous config
	}()
	return loadConfig(s.adapt(text))
}

// adapt adapts a Caddyfile to JSON. It may begin with further global options.
func (s *site) adapt(text string) []byte {
	s.t.Helper()
	global := fmt.Sprintf(`{
		storage file_system %s
		admin off
		persist_config off
		auto_https off
		grace_period 5s
		log {
			output file %s {
				mode 0600
			}
			level DEBUG
		}
	}
	`, storageDir, s.logFile)
	if rest, ok := strings.CutPrefix(text, "{\n"); ok {
		global, text = strings.TrimRight(global, "\n\t}")+"\n}\n", rest
	}
	text = strings.ReplaceAll(text, "SITE", "http://"+s.address)
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	config, _, err := adapter.Adapt([]byte(global+text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		s.t.Fatalf("adapt: %v\n%s", err, text)
	}
	return config
}

// response is a response with its body.
type response struct {
	*http.Response
	Body []byte
}

// request sends a request to the site. Each edit may change it.
func (s *site) request(method, path string, edit ...func(*http.Request)) *response {
	s.t.Helper()
	return s.requestURL(method, s.URL+path, edit...)
}

// requestURL is like request for a URL.
func (s *site) requestURL(method, url string, edit ...func(*http.Request)) *response {
	s.t.Helper()
	a, err := s.tryURL(context.Background(), method, url, edit...)
	for err != nil && time.Since(s.loaded) < time.Second {
		// Caddy may close a connection while it closes the listener of the previous
		// config.
		time.Sleep(20 * time.Millisecond)
		a, err = s.tryURL(context.Background(), method, url, edit...)
	}
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, url, err)
	}
	return a
}

// tryRequest is like request, but returns errors. It may be called from other goroutines.
func (s *site) tryRequest(ctx context.Context, method, path string, edit ...func(*http.Request)) (*response, error) {
	return s.tryURL(ctx, method, s.URL+path, edit...)
}

// tryURL is like tryRequest for a URL.
func (s *site) tryURL(ctx context.Context, method, url string, edit ...func(*http.Request)) (*response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	for _, e := range edit {
		e(req)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	a := &response{res, body}
	s.canaries.note(req, a)
	return a, err
}

// header returns an edit that adds a header to a request.
func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = append(r.Header[name], value) }
}

// as returns an edit that sets the user of a request.
func as(email string) func(*http.Request) { return header("X-Test-User", email) }

// tokens is a successful response of huma_token.
type tokens struct {
	UID                   string `json:"uid"`
	AuthToken             string `json:"authToken"`
	AuthTokenExpiresIn    *int64 `json:"authTokenExpiresIn"`
	RefreshToken          string `json:"refreshToken"`
	RefreshTokenExpiresIn *int64 `json:"refreshTokenExpiresIn"`
	ExpiresIn             *int64 `json:"expiresIn"`
}

// tokens decodes a successful response. It fails if one of the six members is missing, or
// if there is another one.
func (a *response) tokens(t testing.TB) tokens {
	t.Helper()
	if a.StatusCode != http.StatusOK {
		t.Fatalf("status %d, want 200: %s", a.StatusCode, a.Body)
	}
	var v tokens
	dec := json.NewDecoder(bytes.NewReader(a.Body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("read tokens: %v: %s", err, a.Body)
	}
	if v.UID == "" || v.AuthToken == "" || v.RefreshToken == "" ||
		v.AuthTokenExpiresIn == nil || v.RefreshTokenExpiresIn == nil || v.ExpiresIn == nil {
		t.Fatalf("a member is missing: %s", a.Body)
	}
	return v
}

// problem checks the status and the code of an error response, and its other members and
// headers.
func (a *response) problem(t testing.TB, status int, code string) {
	t.Helper()
	var v struct {
		Type, Title, Detail, Code string
		Status                    int
	}
	if err := json.Unmarshal(a.Body, &v); err != nil {
		t.Fatalf("status %d, want %d %s; no problem: %q", a.StatusCode, status, code, a.Body)
	}
	if a.StatusCode != status || v.Status != status || v.Code != code {
		t.Fatalf("got %d %s, want %d %s: %s", a.StatusCode, v.Code, status, code, a.Body)
	}
	if v.Title == "" || v.Detail == "" || !strings.HasSuffix(v.Type, "#"+code) || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("incomplete problem: %v %s", a.Header, a.Body)
	}
	a.noStore(t)
	if retry := a.Header.Get("Retry-After"); (status == http.StatusServiceUnavailable) != (retry != "") {
		t.Errorf("status %d with Retry-After %q", status, retry)
	}
}

// noStore checks the headers that every response has.
func (a *response) noStore(t testing.TB) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control": "private, no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff",
	} {
		if got := a.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	if vary := a.Header.Values("Vary"); len(vary) != 1 || !strings.HasPrefix(vary[0], "Authorization, Cookie, ") || !strings.HasSuffix(vary[0], ", Huma-Request") {
		t.Errorf("header Vary is %q", vary)
	}
	challenges := a.Header.Values("WWW-Authenticate")
	if a.StatusCode != http.StatusUnauthorized && challenges != nil ||
		a.StatusCode == http.StatusUnauthorized && (len(challenges) != 1 || !strings.HasPrefix(challenges[0], "Bearer")) {
		t.Errorf("status %d with WWW-Authenticate %q", a.StatusCode, challenges)
	}
}

// log returns the content of Caddy's log.
func (s *site) log() string {
	b, err := os.ReadFile(s.logFile)
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return string(b)
}

// noSecretsInLog checks that no log line contains one of the texts.
func (s *site) noSecretsInLog(texts ...string) {
	s.t.Helper()
	for line := range strings.SplitSeq(s.log(), "\n") {
		for _, text := range texts {
			if strings.Contains(line, text) {
				s.t.Errorf("the log contains %q: %s", text, line)
			}
		}
	}
}

// simpleSite returns a site with huma_token that reads the user from a header of loopback
// peers.
func simpleSite(h *fakeHuma, more string) string { return humaService.site(h, more) }
