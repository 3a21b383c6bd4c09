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

// backend is an application with sessions of its own, as teams have it: it
// signs people in at /login, and says at /api/me who is.
type backend struct {
	*httptest.Server
	mu       sync.Mutex
	sessions map[string]string // session → address
	answer   http.HandlerFunc  // of /api/me, in place of what it would say
	asked    []*http.Request   // at /api/me
}

// newBackend starts an application that knows nobody yet.
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

// answers sets the handler of /api/me. nil: the default one.
func (p *backend) answers(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// requests are those of /api/me so far.
func (p *backend) requests() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*http.Request(nil), p.asked...)
}

// who is the user of a request.
func (p *backend) who(r *http.Request) string {
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
	p.asked = append(p.asked, r.Clone(context.Background()))
	answer := p.answer
	p.mu.Unlock()
	// What an application says besides, and nobody else is to see.
	for name, value := range map[string]string{
		"Set-Cookie": "sid=CANARY-renewed", "Access-Control-Allow-Origin": "https://evil.example", "Access-Control-Allow-Credentials": "true",
		"Cache-Control": "public, max-age=600", "Etag": `"CANARY"`, "X-Powered-By": "CANARY", "Www-Authenticate": "CANARY", "Location": "/CANARY",
	} {
		w.Header().Set(name, value)
	}
	if answer != nil {
		answer(w, r)
		return
	}
	email := p.who(r)
	if email == "" {
		http.Error(w, "CANARY: sign in first", http.StatusUnauthorized)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"user": map[string]any{"id": 7, "email": email, "full_name": "Zoë Ångström", "confirmed": true}})
}

// says answers with a text.
func says(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

// asksApplication is a site in front of an application. In its options HUMA is
// what it is for open.
func asksApplication(p *backend, more, options string) string {
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

// openApplication opens a site in front of an application.
func openApplication(t testing.TB, more string) (*desk, *backend) {
	t.Helper()
	p := newBackend(t)
	return open(t, asksApplication(p, more, "HUMA")), p
}

// cookie signs a request in by its session.
func cookie(session string) func(*http.Request) { return header("Cookie", "theme=dark; sid="+session) }

// bearer signs a request in by its session, as an app does.
func bearer(session string) func(*http.Request) { return header("Authorization", "Bearer "+session) }

// hushed checks that nothing of these tests' users is in the log.
func (d *desk) hushed(t testing.TB) {
	t.Helper()
	d.quiet(t, ".example", "Zo", "ngstr", "CANARY", "theme=dark", "sandbox-secret")
}

// onlyOurs checks that an answer has the headers of this directive and of Caddy
// alone.
func onlyOurs(t testing.TB, a *answer) {
	t.Helper()
	for name, values := range a.Header {
		switch name {
		case "Cache-Control", "Pragma", "X-Content-Type-Options", "Content-Type", "Content-Length", "Retry-After", "Allow", "Server", "Date", "Vary", "Www-Authenticate":
		default:
			t.Errorf("the answer has the header %s: %q", name, values)
		}
		if strings.Contains(strings.Join(values, " "), "CANARY") {
			t.Errorf("the header %s is the application's: %q", name, values)
		}
	}
	a.noStore(t)
}

// waiting is an application that is being asked and has not answered.
type waiting struct {
	came chan struct{} // one for each question
	left chan struct{} // one for each asker who left
	on   chan struct{} // closed: it answers
}

// waits makes the application wait before it answers.
func (p *backend) waits() *waiting {
	w := &waiting{make(chan struct{}, 10), make(chan struct{}, 10), make(chan struct{})}
	p.answers(func(rw http.ResponseWriter, r *http.Request) {
		w.came <- struct{}{}
		select {
		case <-w.on:
			says(200, `{"user":{"email":"ada@x.example"}}`)(rw, r)
		case <-r.Context().Done():
			w.left <- struct{}{}
		}
	})
	return w
}

// soon waits for something that happens in another goroutine.
func soon(t testing.TB, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("not within 10s: %s", what)
	}
}
