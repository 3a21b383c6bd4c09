package caddymodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// backend is a fake of an application with its own sessions: it signs users in at /login,
// and returns the current user at /api/me.
type backend struct {
	*httptest.Server
	mu       sync.Mutex
	sessions map[string]string // session → address
	handler  http.HandlerFunc  // of /api/me; nil: the default handler
	received []*http.Request   // the requests of /api/me
}

// newBackend starts an application without sessions.
func newBackend(t testing.TB) *backend {
	p := &backend{sessions: make(map[string]string)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/me", p.me)
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: p.signIn(r.FormValue("email")), Path: "/", HttpOnly: true})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the application's own page", http.StatusNotFound)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
	})
	return p
}

// signIn starts a session.
func (p *backend) signIn(email string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	session := fmt.Sprintf("CANARY-session-%d", len(p.sessions)+1)
	p.sessions[session] = email
	return session
}

// signOut ends a session.
func (p *backend) signOut(session string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions[session] = ""
}

// setHandler sets the handler of /api/me. If handler is nil, the default handler is used.
func (p *backend) setHandler(handler http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = handler
}

// requests returns the requests of /api/me so far.
func (p *backend) requests() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*http.Request(nil), p.received...)
}

// userOf returns the user of a request.
func (p *backend) userOf(r *http.Request) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if session, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return p.sessions[session]
	}
	if c, err := r.Cookie("sid"); err == nil {
		return p.sessions[c.Value]
	}
	return ""
}

func (p *backend) me(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.received = append(p.received, r.Clone(context.Background()))
	handler := p.handler
	p.mu.Unlock()
	// These headers of the application must not be passed on.
	for name, value := range map[string]string{
		"Set-Cookie": "sid=CANARY-renewed", "Access-Control-Allow-Origin": "https://evil.example", "Access-Control-Allow-Credentials": "true",
		"Cache-Control": "public, max-age=600", "Etag": `"CANARY"`, "X-Powered-By": "CANARY", "Www-Authenticate": "CANARY", "Location": "/CANARY",
	} {
		w.Header().Set(name, value)
	}
	if handler != nil {
		handler(w, r)
		return
	}
	email := p.userOf(r)
	if email == "" {
		http.Error(w, "CANARY: sign in first", http.StatusUnauthorized)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"user": map[string]any{"id": 7, "email": email, "full_name": "Zoë Ångström", "confirmed": true}})
}

// respondText returns a handler that responds with a status and a text.
func respondText(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

// userinfoSite returns a site in front of an application. HUMA in options is replaced as
// in open.
func userinfoSite(p *backend, more, options string) string {
	return `SITE {
		huma_token {
			` + options + `
			userinfo ` + p.URL + `/api/me {
				email user.email
				name user.full_name
				` + more + `
			}
		}
		reverse_proxy ` + p.URL + `
	}`
}

// openUserinfo serves a site in front of an application.
func openUserinfo(t testing.TB, more string) (*testSite, *backend) {
	t.Helper()
	p := newBackend(t)
	return open(t, userinfoSite(p, more, "HUMA")), p
}

// cookie adds the session cookie to a request, as a browser does.
func cookie(session string) func(*http.Request) { return header("Cookie", "theme=dark; sid="+session) }

// bearer adds the session to a request as a bearer token, as an app does.
func bearer(session string) func(*http.Request) { return header("Authorization", "Bearer "+session) }

// noUserDataInLog checks that the log contains no data of the users of these tests.
func (d *testSite) noUserDataInLog(t testing.TB) {
	t.Helper()
	d.notLogged(t, ".example", "Zo", "ngstr", "CANARY", "theme=dark", "sandbox-secret")
}

// noApplicationHeaders checks that a response has only the headers of this directive and
// of Caddy.
func noApplicationHeaders(t testing.TB, a *response) {
	t.Helper()
	for name, values := range a.Header {
		switch name {
		case "Cache-Control", "Pragma", "X-Content-Type-Options", "Content-Type", "Content-Length", "Retry-After", "Allow", "Server", "Date", "Vary", "Www-Authenticate":
		default:
			t.Errorf("the response has the header %s: %q", name, values)
		}
		if strings.Contains(strings.Join(values, " "), "CANARY") {
			t.Errorf("the header %s is the application's: %q", name, values)
		}
	}
	a.noStore(t)
}

// blockedBackend controls an application that blocks requests of /api/me.
type blockedBackend struct {
	started  chan struct{} // receives a value for each request
	canceled chan struct{} // receives a value for each canceled request
	release  chan struct{} // closed to unblock the requests
}

// blockResponses makes the application block requests of /api/me until release is closed.
func (p *backend) blockResponses() *blockedBackend {
	w := &blockedBackend{make(chan struct{}, 10), make(chan struct{}, 10), make(chan struct{})}
	p.setHandler(func(rw http.ResponseWriter, r *http.Request) {
		w.started <- struct{}{}
		select {
		case <-w.release:
			respondText(200, `{"user":{"email":"ada@x.example"}}`)(rw, r)
		case <-r.Context().Done():
			w.canceled <- struct{}{}
		}
	})
	return w
}

// waitFor waits for a value of c.
func waitFor(t testing.TB, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("not within 10s: %s", what)
	}
}
