package caddymodule_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// authServer is an authentication server with the paths and headers of Authelia.
type authServer struct {
	*httptest.Server
	mu       sync.Mutex
	handler  http.HandlerFunc // nil: the response depends on the session in Cookie or Authorization
	requests []*http.Request
}

// authSessions maps the sessions that authServer accepts to their users.
var authSessions = map[string]string{"s-ada": "ada@x.example", "s-bob": "bob@x.example"}

func newAuthServer(t testing.TB) *authServer {
	s := new(authServer)
	s.Server = testutil.NewServer(t, http.HandlerFunc(s.serve))
	return s
}

// startAuthServer starts an authServer without TLS.
func startAuthServer(t testing.TB) *authServer {
	s := newAuthServer(t)
	s.Start()
	return s
}

func (s *authServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Clone(context.Background()))
	respond := s.handler
	s.mu.Unlock()
	if r.URL.Path != "/api/authz/forward-auth" {
		http.NotFound(w, r)
		return
	}
	if respond != nil {
		respond(w, r)
		return
	}
	session := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if c, err := r.Cookie("authelia_session"); err == nil {
		session = c.Value
	}
	email, ok := authSessions[session]
	if !ok {
		w.Header().Set("Set-Cookie", "authelia_session=new")
		w.Header().Set("Location", "https://auth.x.example/")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header()["Set-Cookie"] = []string{"authelia_session=" + session + "; HttpOnly", "seen=1"}
	w.Header().Set("Remote-User", session)
	w.Header().Set("Remote-Email", email)
	w.Header().Set("Remote-Name", "Zoë Ångström")
	w.Header().Set("X-Internal", "CANARY")
}

// setHandler sets the response to all requests. If handler is nil, the response depends
// on the session.
func (s *authServer) setHandler(respond http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = respond
}

// received returns the requests since the last call.
func (s *authServer) received() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.requests = nil }()
	return s.requests
}

// authSession returns an edit that adds the session cookie of authServer to a request.
func authSession(id string) func(*http.Request) { return header("Cookie", "authelia_session="+id) }

// callsAuthServer returns a Caddyfile with a directive that calls an auth server.
func callsAuthServer(s *authServer, options string) string {
	return "SITE {\nhuma_token {\nHUMA\n" + options + "\nidentity authelia {\nauth_server " + s.URL + "\n}\n}\n}"
}

// TestAuthServer checks that one block is enough, and that only the auth server decides
// which user is signed in.
func TestAuthServer(t *testing.T) {
	s := startAuthServer(t)
	d := open(t, callsAuthServer(s, ""))
	ada := d.wantTokenOf(t, "ada@x.example", path, authSession("s-ada"))
	if got := ada.Header.Values("Set-Cookie"); !slices.Equal(got, []string{"authelia_session=s-ada; HttpOnly", "seen=1"}) {
		t.Errorf("Set-Cookie is %q", got)
	}
	ada.Header.Del("Set-Cookie")
	noApplicationHeaders(t, ada)
	d.wantNames(t, "ada@x.example", "Zoë", "Ångström")
	d.wantTokenOf(t, "bob@x.example", path, bearer("s-bob"))
	if n := len(s.received()); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}

	// A forged header is neither forwarded nor used.
	for _, name := range []string{"Remote-Email", "Remote-User", "X-Forwarded-Email", "X-Auth-Request-Email"} {
		d.wantRejection(t, 401, "identity_missing", path, header(name, "mallory@evil.example"))
		d.wantRejection(t, 401, "identity_missing", path, header(name, "mallory@evil.example"), authSession("unknown"))
		d.wantTokenOf(t, "ada@x.example", path, header(name, "mallory@evil.example"), authSession("s-ada"))
		for _, r := range s.received() {
			if r.Header.Get(name) != "" {
				t.Errorf("%s is forwarded", name)
			}
		}
	}
	d.wantUsers(t, 2)
	d.noUserDataInLog(t)
}

// TestAuthServerMethods checks that each request whose response depends on the user
// causes one call, and that other requests cause none.
func TestAuthServerMethods(t *testing.T) {
	s := startAuthServer(t)
	huma := newHuma(t, sandbox.Config{})
	d := &testSite{serve(t, strings.Replace(fill(huma, callsAuthServer(s, "")), "cache off", "", 1)), huma}
	for _, test := range []struct {
		method string
		status int
		calls  int
		edit   func(*http.Request)
	}{
		{"GET", 200, 1, authSession("s-ada")},
		{"GET", 200, 1, authSession("s-ada")}, // the token is cached
		{"POST", 200, 1, authSession("s-ada")},
		{"DELETE", 204, 1, authSession("s-ada")},
		{"DELETE", 401, 1, authSession("unknown")},
		{"DELETE", 401, 0, header("X-Other", "s-ada")},
		{"GET", 401, 0, header("X-Other", "s-ada")},
		{"OPTIONS", 204, 0, authSession("s-ada")},
		{"HEAD", 405, 0, authSession("s-ada")},
		{"PUT", 405, 0, authSession("s-ada")},
		{"GET", 403, 0, func(r *http.Request) {
			authSession("s-ada")(r)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}},
	} {
		a := d.request(test.method, path, test.edit)
		if calls := len(s.received()); a.StatusCode != test.status || calls != test.calls {
			t.Errorf("%s: status %d after %d calls; want %d after %d", test.method, a.StatusCode, calls, test.status, test.calls)
		}
		if cookies := a.Header["Set-Cookie"]; (cookies != nil) != (a.StatusCode < 300 && test.method != "OPTIONS") {
			t.Errorf("%s: status %d with Set-Cookie %q", test.method, a.StatusCode, cookies)
		}
	}
}

// TestAuthServerRequest checks the whole header of the call.
func TestAuthServerRequest(t *testing.T) {
	s := startAuthServer(t)
	socket := filepath.Join(t.TempDir(), "caddy.sock")
	site := callsAuthServer(s, "")
	sent := func(r *http.Request) {
		authSession("s-ada")(r)
		r.Header.Add("Cookie", "theme=dark")
		for name, value := range map[string]string{
			"Authorization": "Bearer s-bob", "User-Agent": "app/1.0", "Accept": "text/html", "X-Api-Key": "k", "X-Requested-With": "x",
			"Referer": "https://x.example/", "Remote-Email": "mallory@evil.example", "Content-Type": "text/plain", "Accept-Language": "de",
			"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.x.example", "X-Forwarded-Uri": "/evil", "X-Forwarded-Method": "PUT",
		} {
			r.Header.Set(name, value)
		}
	}
	trusted := func(server map[string]any) {
		server["trusted_proxies"] = map[string]any{"source": "static", "ranges": []string{"127.0.0.1"}}
	}
	const own = "X-Forwarded-For: 127.0.0.1, X-Forwarded-Host: SITE, X-Forwarded-Proto: http"
	const proxy = "X-Forwarded-For: 192.0.2.1, 127.0.0.1, X-Forwarded-Host: app.x.example, X-Forwarded-Proto: https"
	for _, test := range []struct {
		name, text string
		edit       func(server map[string]any)
		target     string
		socket     bool
		uri        string
		forwarded  string
		more       string // further headers
	}{
		{name: "direct", text: site, forwarded: own},
		{name: "query", text: site, target: path + "?client_type=ios&x=%2F", forwarded: own},
		{name: "rewritten", text: strings.Replace(site, "huma_token {", "rewrite /rewritten?a=b\nhuma_token /rewritten {", 1), target: "/original?x=y", forwarded: own},
		{name: "handle_path", text: strings.Replace(site, "huma_token {", "handle_path /api/* {\nhuma_token {", 1) + "\n}", target: "/api" + path, forwarded: own},
		{name: "trusted proxy", text: site, edit: trusted, forwarded: proxy},
		{name: "Unix socket", text: strings.Replace(site, "SITE {", "SITE {\nbind 127.0.0.1 unix/"+socket+"\n", 1), socket: true},
		{name: "trusted Unix socket", text: strings.Replace(site, "SITE {", "SITE {\nbind 127.0.0.1 unix/"+socket+"\n", 1), socket: true,
			edit:      func(server map[string]any) { server["trusted_proxies_unix"] = true },
			forwarded: "X-Forwarded-For: 192.0.2.1, X-Forwarded-Host: app.x.example, X-Forwarded-Proto: https"},
		{name: "forward_headers", text: strings.Replace(site, "auth_server "+s.URL, "auth_server "+s.URL+" {\nforward_headers X-Api-Key\n}", 1), forwarded: own, more: "X-Api-Key: k"},
	} {
		t.Run(test.name, func(t *testing.T) {
			edit := test.edit
			if edit == nil {
				edit = func(map[string]any) {}
			}
			d := openEdited(t, test.text, edit)
			if test.socket {
				d.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "unix", socket)
				}}
				t.Cleanup(d.client.CloseIdleConnections)
			}
			target := test.target
			if target == "" {
				target = path
			}
			uri, query, _ := strings.Cut(target, "?")
			d.request("POST", uri, sent, func(r *http.Request) { r.URL.RawQuery = query }).tokens(t)
			received := s.received()
			if len(received) != 1 {
				t.Fatalf("%d calls", len(received))
			}
			r := received[0]
			if r.Method != "GET" || r.URL.String() != "/api/authz/forward-auth" || r.Host != d.address || r.ContentLength > 0 {
				t.Errorf("%s %s of %s, %d bytes", r.Method, r.URL, r.Host, r.ContentLength)
			}
			want := []string{
				"Accept: application/json", "Accept-Encoding: identity", "Authorization: Bearer s-bob", "Cookie: authelia_session=s-ada; theme=dark", "User-Agent: app/1.0",
				"X-Forwarded-Method: POST", "X-Forwarded-Uri: " + target, "X-Requested-With: XMLHttpRequest",
			}
			for _, more := range []string{strings.ReplaceAll(test.forwarded, "SITE", d.address), test.more} {
				for line := range strings.SplitSeq(strings.ReplaceAll(more, ", X-", "\nX-"), "\n") {
					if line != "" {
						want = append(want, line)
					}
				}
			}
			var got []string
			for name, values := range r.Header {
				got = append(got, name+": "+strings.Join(values, " | "))
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("received\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// TestAuthServerURI checks that X-Forwarded-Uri contains the path that Caddy's path
// matcher compares, in any spelling of the request line, so that rules by path match it
// too.
func TestAuthServerURI(t *testing.T) {
	s := startAuthServer(t)
	d := open(t, callsAuthServer(s, ""))
	for target, uri := range map[string]string{
		"http://SITE" + path + "?x=%2F":           path + "?x=%2F",
		"HTTPS://SITE" + path:                     path,
		path + "?u=http://app.x.example/../%2e//": path + "?u=http://app.x.example/../%2e//",
		path + "?":                           path + "?",
		"/" + path:                           path,
		"/public/.." + path:                  path,
		"/./" + path:                         path,
		"/%2e%2E/%70rivate%2Fhuma-token?a=b": "/private/huma-token?a=b",
		"/PRIVATE//huma-token":               "/PRIVATE/huma-token",
	} {
		d.raw(t, "GET "+target+" HTTP/1.1", "Host: SITE", "Cookie: authelia_session=s-ada").tokens(t)
		if r := s.received(); len(r) != 1 || r[0].Header.Get("X-Forwarded-Uri") != uri {
			t.Errorf("%s: received %+v", target, r)
		}
	}
}

// TestAuthServerResponses checks the response to the client for each response of the auth
// server. The cookies of a 2xx response are always passed on.
func TestAuthServerResponses(t *testing.T) {
	s := startAuthServer(t)
	d := open(t, callsAuthServer(s, ""))
	lines := func(status int, lines ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Set-Cookie", "rotated=1")
			w.Header().Set("Location", "/login")
			for i := 0; i < len(lines); i += 2 {
				w.Header().Add(lines[i], lines[i+1])
			}
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, strings.Repeat("CANARY", 2000))
		}
	}
	email := []string{"Remote-Email", "ada@x.example"}
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		status  int
		code    string
		cookie  bool
	}{
		{"200", lines(200, email...), 200, "", true},
		{"202", lines(202, email...), 200, "", true},
		{"200 without identity", lines(200), 401, "identity_missing", true},
		{"200 with an empty address", lines(200, "Remote-Email", ""), 401, "identity_missing", true},
		{"200 with two addresses", lines(200, "Remote-Email", "ada@x.example", "Remote-Email", "bob@x.example"), 401, "identity_ambiguous", true},
		{"200 with two addresses in one line", lines(200, "Remote-Email", "ada@x.example, bob@x.example"), 401, "identity_invalid", true},
		{"200 with another header", lines(200, "X-Email", "ada@x.example"), 401, "identity_missing", true},
		{"302", lines(302, email...), 401, "identity_missing", false},
		{"307", lines(307, email...), 401, "identity_missing", false},
		{"401", lines(401, email...), 401, "identity_missing", false},
		{"403", lines(403, email...), 403, "identity_forbidden", false},
		{"400", lines(400, email...), 503, "identity_unavailable", false},
		{"404", lines(404, email...), 503, "identity_unavailable", false},
		{"429", lines(429, email...), 503, "identity_unavailable", false},
		{"500", lines(500, email...), 503, "identity_unavailable", false},
		{"none", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 503, "identity_unavailable", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.setHandler(test.handler)
			a := d.request("GET", path, authSession("s-ada"))
			if test.status == 200 {
				a.tokens(t)
			} else {
				a.problem(t, test.status, test.code)
			}
			if got := a.Header.Values("Set-Cookie"); slices.Equal(got, []string{"rotated=1"}) != test.cookie || !test.cookie && got != nil {
				t.Errorf("Set-Cookie is %q", got)
			}
			if (a.Header.Get("Retry-After") != "") != (test.status == 503) {
				t.Errorf("Retry-After is %q", a.Header.Get("Retry-After"))
			}
		})
	}
	// Within a second, only the first failure is a warning.
	found := slices.DeleteFunc(d.logLines(`"msg":"auth server request failed"`), func(line string) bool { return strings.Contains(line, `"level":"debug"`) })
	if len(found) != 1 || !strings.Contains(found[0], "unexpected status 400: if a proxy") {
		t.Errorf("logged %q", found)
	}
	s.Close()
	d.wantRejection(t, 503, "identity_unavailable", path, authSession("s-ada"))
	d.notLogged(t, "CANARY", "s-ada", "ada@x.example")
}

// TestAuthServerHTTPS checks that the certificate is verified, by default with the
// certificate authorities of the system, and that the call has the host of the URL.
func TestAuthServerHTTPS(t *testing.T) {
	s := newAuthServer(t)
	s.StartTLS()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, testutil.CertificatePEM(s.Certificate()), 0o600))
	d := open(t, callsAuthServer(s, ""))
	d.wantRejection(t, 503, "identity_unavailable", path, authSession("s-ada"))
	d = open(t, strings.Replace(callsAuthServer(s, ""), "auth_server "+s.URL, "auth_server "+s.URL+" {\nca "+ca+"\n}", 1))
	d.wantTokenOf(t, "ada@x.example", path, authSession("s-ada"))
	if r := s.received(); len(r) != 1 || "https://"+r[0].Host != s.URL || r[0].Header.Get("X-Forwarded-Host") != d.address {
		t.Errorf("received %+v", r)
	}
}

// TestAuthServerHumanAPI checks that human_api_token calls the auth server too.
func TestAuthServerHumanAPI(t *testing.T) {
	s := startAuthServer(t)
	fake := newHuma(t, sandbox.Config{HumanAPI: sandbox.HumanAPI{Clients: map[string]string{"hapi1": "secret"}}})
	site := serve(t, "SITE {\nhuman_api_token {\n"+fake.clientOptions("hapi1", "secret")+"identity authelia {\nauth_server "+s.URL+"\n}\n}\n}")
	site.request("GET", connectPath, authSession("s-ada")).connect(t)
	site.request("GET", connectPath, header("Remote-User", "s-ada")).problem(t, 401, "identity_missing")
	for _, c := range fake.Calls().Calls {
		if c.ClientUserID != "s-ada" {
			t.Errorf("Human API was called for %q", c.ClientUserID)
		}
	}
}
