package caddymodule_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
	"go.uber.org/goleak"

	_ "github.com/caddy-huma/caddy-huma/caddymodule"
	_ "github.com/caddy-huma/caddy-huma/caddymodule/redis"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// The tests of this package act as users do: a real Caddyfile, a real Caddy in
// this process, real HTTP calls over loopback, and the sandbox as the service.

// systemAuthority is the only authority that the system trusts in these tests.
var systemAuthority *testutil.Authority

// What these tests call most has short names.
var (
	eventually  = testutil.Eventually
	freeAddress = testutil.FreeAddress
	writeFile   = testutil.WriteFile
)

// storageDir is where Caddy keeps its certificates and locks.
var storageDir string

func TestMain(m *testing.M) {
	if config := os.Getenv(asCaddy); config != "" {
		beCaddy(config)
	}
	// Caddy's own files go to a place that ends with the tests.
	dir, err := os.MkdirTemp("", "caddy-huma-test")
	if err != nil {
		panic(err)
	}
	for _, v := range []string{"XDG_DATA_HOME", "XDG_CONFIG_HOME", "HOME"} {
		_ = os.Setenv(v, dir)
	}
	// Caddy has looked at the environment before TestMain could set it.
	caddy.ConfigAutosavePath = filepath.Join(dir, "autosave.json")
	storageDir = filepath.Join(dir, "storage")
	// The system's authorities are read once in a process.
	systemAuthority = testutil.NewAuthority(dir, "the system's authority")
	_ = os.Setenv("SSL_CERT_FILE", systemAuthority.File)
	_ = os.Setenv("SSL_CERT_DIR", filepath.Join(dir, "no-more-authorities"))
	code := m.Run()
	if err := goleak.Find(leftBehind...); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// leftBehind are goroutines that others leave behind: Caddy's rotation of log
// files, which ends with the process, and its keeper of a lock file, which ends after
// a while.
var leftBehind = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/DeRuina/timberjack.(*Logger).millRun"),
	goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
}

// fakeHuma is the sandbox on a loopback address: Huma, and Human API too.
type fakeHuma struct {
	*sandbox.Server
	URL    string
	holder *holder // nil: it holds nothing back
}

// newHuma starts a sandbox that ends with the test.
func newHuma(t testing.TB, cfg sandbox.Config) *fakeHuma {
	t.Helper()
	s := sandbox.New(cfg)
	h := &holder{next: s}
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return &fakeHuma{Server: s, URL: srv.URL, holder: h}
}

// holder is in front of a service, and holds calls back for as long as a test likes.
type holder struct {
	next http.Handler

	mu       sync.Mutex
	op       string        // the operation whose calls are held; empty: all
	released chan struct{} // nil: none is held
	now      int           // calls that are held
	most     int           // the most there have been at once
}

func (h *holder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	released := h.released
	if released == nil || h.op != "" && !strings.HasSuffix(r.URL.Path, "/"+h.op) {
		h.mu.Unlock()
		h.next.ServeHTTP(w, r)
		return
	}
	h.now++
	h.most = max(h.most, h.now)
	h.mu.Unlock()
	// A server learns that its client has left once it has read the body.
	body, err := io.ReadAll(r.Body)
	if err == nil {
		select {
		case <-released:
		case <-r.Context().Done():
			err = r.Context().Err()
		}
	}
	h.mu.Lock()
	h.now--
	h.mu.Unlock()
	if err == nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.next.ServeHTTP(w, r)
	}
}

// hold keeps calls from the service, of an operation or all of them, until they
// are let go. Those that come later are not held.
func (h *fakeHuma) hold(t testing.TB, op string) (letGo func()) {
	t.Helper()
	released := make(chan struct{})
	h.holder.mu.Lock()
	defer h.holder.mu.Unlock()
	h.holder.op, h.holder.released = op, released
	letGo = sync.OnceFunc(func() {
		h.holder.mu.Lock()
		defer h.holder.mu.Unlock()
		h.holder.released = nil
		close(released)
	})
	t.Cleanup(letGo) // before Caddy stops, which waits for its callers
	return letGo
}

// held is how many calls are held, and the most there have been at once.
func (h *fakeHuma) held() (now, most int) {
	h.holder.mu.Lock()
	defer h.holder.mu.Unlock()
	return h.holder.now, h.holder.most
}

// holds waits until so many calls are held.
func (h *fakeHuma) holds(t testing.TB, count int) {
	t.Helper()
	eventually(t, 10*time.Second, fmt.Sprint(count, " calls under way"), func() bool { now, _ := h.held(); return now == count })
}

// calls is how often an operation was called.
func (h *fakeHuma) calls(op string) int { return h.Calls().ByOp[op] }

// credentials are the options that the sandbox's defaults need.
func (h *fakeHuma) credentials() string {
	return `
		api ` + h.URL + `
		project_id p1
		deployment_id d1
		client_id ios c1
		client_id android c2
		client_id web c3
		secret sandbox-secret
	`
}

// site is a running Caddy. There is one at a time in a process.
type site struct {
	t       testing.TB
	URL     string // of the first address that the Caddyfile calls {site}
	address string
	logFile string
	loaded  time.Time // when the last config was
	client  *http.Client
	passed  *canaries
}

// serve runs Caddy with a Caddyfile, in which SITE stands for the site's
// address. The global options are the test's: no admin endpoint, nothing
// persisted, the debug log in a file.
func serve(t testing.TB, text string) *site {
	t.Helper()
	s := newSite(t)
	if err := s.load(text); err != nil {
		t.Fatalf("load: %v", err)
	}
	s.stopsAfter(t)
	return s
}

// newSite is a site that does not run yet.
func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{
		t:       t,
		address: freeAddress(t),
		logFile: filepath.Join(t.TempDir(), "caddy.log"),
		passed:  newCanaries(),
		client: &http.Client{
			Timeout:       30 * time.Second,
			Transport:     &http.Transport{MaxIdleConnsPerHost: 1000},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	s.URL = "http://" + s.address
	return s
}

// stopsAfter stops Caddy after a test.
func (s *site) stopsAfter(t testing.TB) {
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		if err := caddy.Stop(); err != nil {
			t.Errorf("stop Caddy: %v", err)
		}
		s.passed.check(t, s.log())
	})
}

// serveAtOnce runs subtests that have nothing to do with each other at the same
// time, because they wait: one Caddy has a site for each, which runs once all of them
// have called serve. They log into one file.
func serveAtOnce(t *testing.T, tests map[string]func(t *testing.T, serve func(text string) *site)) {
	t.Helper()
	var (
		all          = newSite(t)
		loaded       = make(chan struct{})
		errLoad      = errors.New("no site")
		mu           sync.Mutex
		sites        strings.Builder
		asked, ended sync.WaitGroup
	)
	for name, test := range tests {
		asked.Add(1)
		hasAsked := sync.OnceFunc(asked.Done)
		ended.Go(func() {
			defer hasAsked()
			// With t.Parallel no more would run than there are cores.
			t.Run(name, func(t *testing.T) {
				defer hasAsked()
				test(t, func(text string) *site {
					s := *all
					s.t = t
					s.move()
					mu.Lock()
					sites.WriteString(strings.ReplaceAll(text, "SITE", s.URL) + "\n")
					mu.Unlock()
					hasAsked()
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
	asked.Wait()
	all.stopsAfter(t)
	errLoad = all.load(sites.String())
}

// load replaces the running config.
func (s *site) load(text string) error {
	defer func() {
		s.loaded = time.Now()
		s.client.CloseIdleConnections() // those to the old config's server
	}()
	return caddy.Load(s.adapt(text), true)
}

// adapt makes JSON of a Caddyfile.
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
	text = strings.ReplaceAll(text, "SITE", "http://"+s.address)
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	config, _, err := adapter.Adapt([]byte(global+text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		s.t.Fatalf("adapt: %v\n%s", err, text)
	}
	return config
}

// answer is a response that has been read.
type answer struct {
	*http.Response
	Body []byte
}

// request makes a request of the site; edit may change it before it is sent.
func (s *site) request(method, path string, edit ...func(*http.Request)) *answer {
	s.t.Helper()
	return s.insist(method, s.URL+path, edit...)
}

// insist is request for another address.
func (s *site) insist(method, url string, edit ...func(*http.Request)) *answer {
	s.t.Helper()
	a, err := s.fetch(context.Background(), method, url, edit...)
	for err != nil && time.Since(s.loaded) < time.Second {
		// Caddy loses a connection now and then while the listener of the
		// config before goes away.
		time.Sleep(20 * time.Millisecond)
		a, err = s.fetch(context.Background(), method, url, edit...)
	}
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, url, err)
	}
	return a
}

// try is request for calls that may fail, and for other goroutines.
func (s *site) try(ctx context.Context, method, path string, edit ...func(*http.Request)) (*answer, error) {
	return s.fetch(ctx, method, s.URL+path, edit...)
}

// fetch is try for another address.
func (s *site) fetch(ctx context.Context, method, url string, edit ...func(*http.Request)) (*answer, error) {
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
	a := &answer{res, body}
	s.passed.note(req, a)
	return a, err
}

// header sets a header of a request.
func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = append(r.Header[name], value) }
}

// as signs a request in as the sites of these tests know it.
func as(email string) func(*http.Request) { return header("X-Test-User", email) }

// tokens is the success of the endpoint.
type tokens struct {
	UID                   string `json:"uid"`
	AuthToken             string `json:"authToken"`
	AuthTokenExpiresIn    *int64 `json:"authTokenExpiresIn"`
	RefreshToken          string `json:"refreshToken"`
	RefreshTokenExpiresIn *int64 `json:"refreshTokenExpiresIn"`
	ExpiresIn             *int64 `json:"expiresIn"`
}

// tokens reads a success, with all its six members and nothing else.
func (a *answer) tokens(t testing.TB) tokens {
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

// problem checks an error of the endpoint: its status and code, and what every
// error has.
func (a *answer) problem(t testing.TB, status int, code string) {
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
		t.Errorf("not a whole problem: %v %s", a.Header, a.Body)
	}
	a.noStore(t)
	if retry := a.Header.Get("Retry-After"); (status == http.StatusServiceUnavailable) != (retry != "") {
		t.Errorf("status %d with Retry-After %q", status, retry)
	}
}

// noStore checks the headers that every answer has.
func (a *answer) noStore(t testing.TB) {
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

// log is what Caddy has logged.
func (s *site) log() string {
	b, err := os.ReadFile(s.logFile)
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return string(b)
}

// noSecretsInLog checks that none of the given texts stands in a log line.
func (s *site) noSecretsInLog(texts ...string) {
	s.t.Helper()
	for line := range strings.SplitSeq(s.log(), "\n") {
		for _, text := range texts {
			if strings.Contains(line, text) {
				s.t.Errorf("the log holds %q: %s", text, line)
			}
		}
	}
}

// simpleSite is a site with huma_token, whose users come in a header from
// loopback peers.
func simpleSite(h *fakeHuma, more string) string { return humaProvider.site(h, more) }
