package probe

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// canary is part of every credential, token and other text that must not be printed.
const canary = "canary"

// webApp is the origin of a web app that the fake endpoint allows.
const webApp = "https://web.example"

// fake is a token endpoint that passes all checks. Its fields change that.
type fake struct {
	respond func(w http.ResponseWriter, r *http.Request) bool // reports whether it has responded
	token   func(members map[string]any)                      // changes a token response
	header  func(status int, h http.Header)                   // changes the header of a response
	status  int                                               // of a token response; 0: 200
	human   bool                                              // tokens of Human API

	mu     sync.Mutex
	issued int
	served int
}

// writer calls the field header before the header is written.
type writer struct {
	http.ResponseWriter
	change func(status int, h http.Header)
}

func (w *writer) WriteHeader(status int) {
	w.change(status, w.Header())
	w.ResponseWriter.WriteHeader(status)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.served++
	if f.header != nil {
		w = &writer{w, f.header}
	}
	if f.respond == nil || !f.respond(w, r) {
		f.serve(w, r)
	}
}

// serve responds as an endpoint of the plugin does.
func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	h, origin := w.Header(), r.Header.Get("Origin")
	h.Set("Cache-Control", "private, no-store")
	h.Set("Vary", "Authorization, Cookie, X-User, Origin, Huma-Request")
	if origin == webApp {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	fail := func(status int, code string) {
		h.Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"code":%q,"detail":"canary"}`, code)
	}
	signedIn := r.Header.Get("Cookie")+r.Header.Get("Authorization")+r.Header.Get("X-User") != ""
	crossSite := r.Header.Get("Sec-Fetch-Site") == "cross-site" || origin != ""
	clientType := r.URL.Query().Get("client_type")
	switch {
	case r.Method == "OPTIONS":
		h.Set("Allow", "GET, POST, DELETE, OPTIONS")
		if origin == webApp {
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Cache-Control")
		}
		w.WriteHeader(204)
	case r.Method != "GET" && r.Method != "DELETE":
		h.Set("Allow", "GET, POST, DELETE, OPTIONS")
		fail(405, "method_not_allowed")
	case crossSite && origin != webApp:
		fail(403, "cross_site")
	case !signedIn:
		h.Set("WWW-Authenticate", "Bearer")
		fail(401, "identity_missing")
	case r.Method == "DELETE":
		f.issued++
		w.WriteHeader(204)
	case !f.human && !slices.Contains([]string{"", "ios", "android", "web"}, clientType):
		fail(400, "client_type_unknown")
	default:
		if r.Header.Get("Cache-Control") != "" {
			f.issued++
		}
		h.Set("Content-Type", "application/json")
		w.WriteHeader(cmp.Or(f.status, 200))
		_ = json.NewEncoder(w).Encode(f.members())
	}
}

// members returns a token response.
func (f *fake) members() map[string]any {
	token := fmt.Sprint("canary-token-", f.issued)
	m := map[string]any{
		"uid": "canary-uid", "authToken": token, "authTokenExpiresIn": 900 - f.served,
		"refreshToken": "canary-refresh", "refreshTokenExpiresIn": 90000 - f.served, "expiresIn": 90000 - f.served,
	}
	if f.human {
		m = map[string]any{"token": token, "type": "session", "session_token": token, "expires_in": 3600 - f.served, "human_id": "canary-human"}
	}
	if f.token != nil {
		f.token(m)
	}
	return m
}

// signedIn are the flags with credentials of each kind.
func signedIn() options {
	return options{cookies: []string{"session=canary-cookie"}, bearer: "canary-bearer", headers: []string{"X-User: canary-user@clinic.example"}, timeout: defaultTimeout}
}

// examine runs the command against a URL, and checks both forms of output.
func examine(t *testing.T, url string, o options) []report.Entry {
	t.Helper()
	p, err := newProbe(url, &o, 0)
	if err != nil {
		t.Fatal(err)
	}
	p.options.json = true
	var out bytes.Buffer
	code, err := p.run(t.Context(), &out)
	var all []report.Entry
	if err := json.Unmarshal(out.Bytes(), &all); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if problems := report.Count(all, report.Problem); code > 1 || (code == 1) != (problems > 0) || err != nil {
		t.Errorf("exit code %d and %v with %d problems", code, err, problems)
	}
	if text := fmt.Sprintln(out.String(), err); strings.Contains(strings.ToLower(text), canary) {
		t.Errorf("a secret is printed: %s", text)
	}
	if text := fmt.Sprintf("%v %+v %#v", p.credentials, p.credentials, p.credentials); strings.Contains(text, canary) {
		t.Errorf("credentials can be printed: %s", text)
	}
	for _, e := range all {
		if e.Detail == "" || (e.Fix != "") != (e.Result == report.Problem || e.Result == report.Warning) {
			t.Errorf("a detail or a fix is missing, or not needed: %+v", e)
		}
	}
	return all
}

// finds checks which entries are warnings or problems, as "check result: part of the
// detail → part of the fix".
func finds(t *testing.T, all []report.Entry, want ...string) {
	t.Helper()
	var rest []report.Entry
	for _, e := range all {
		if e.Result == report.Warning || e.Result == report.Problem {
			rest = append(rest, e)
		}
	}
	for _, line := range want {
		head, what, _ := strings.Cut(line, ": ")
		detail, fix, _ := strings.Cut(what, " → ")
		at := slices.IndexFunc(rest, func(e report.Entry) bool {
			return e.Check+" "+string(e.Result) == head && strings.Contains(e.Detail, detail) && strings.Contains(e.Fix, fix)
		})
		if at < 0 {
			t.Errorf("not found: %s", line)
			continue
		}
		rest = slices.Delete(rest, at, at+1)
	}
	for _, e := range rest {
		t.Errorf("found as well: %s %s: %s → %s", e.Check, e.Result, e.Detail, e.Fix)
	}
}

// resultOf returns the results of a check, separated by spaces.
func resultOf(all []report.Entry, check string) string {
	var results []string
	for _, e := range all {
		if e.Check == check {
			results = append(results, string(e.Result))
		}
	}
	return strings.Join(results, " ")
}

// serve starts a fake endpoint.
func serve(t *testing.T, f *fake) string {
	t.Helper()
	return testutil.Serve(t, f.ServeHTTP)
}
