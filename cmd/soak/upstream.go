package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/faultproxy"
	"github.com/caddy-huma/caddy-huma/internal/process"
)

// upstream is the service: the sandbox, behind a proxy that breaks connections.
type upstream struct {
	*sandbox.Server
	proxy *faultproxy.Proxy
	http  *http.Server
	hold  time.Duration

	mu      sync.Mutex
	byOp    map[string]int
	signUps map[string]*signUp // by address
	again   int                // sign-ups that should not have been sent
}

// signUp is the last sign-up of a user that may have had an effect.
type signUp struct {
	at      time.Time
	running bool
	created bool
}

// newUpstream starts the service.
func newUpstream(ctx context.Context, hold time.Duration) (*upstream, error) {
	var c net.ListenConfig
	listener, err := c.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{
		Server:  sandbox.New(sandbox.Config{}),
		hold:    hold,
		byOp:    make(map[string]int),
		signUps: make(map[string]*signUp),
	}
	u.http = &http.Server{Handler: u, ReadHeaderTimeout: time.Minute}
	go func() { _ = u.http.Serve(listener) }()
	if u.proxy, err = faultproxy.New(listener.Addr().String()); err != nil {
		_ = u.http.Close()
		return nil, err
	}
	return u, nil
}

// close ends the service.
func (u *upstream) close() {
	_ = u.proxy.Close()
	_ = u.http.Close()
}

// ServeHTTP counts a call and hands it to the sandbox.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op := path.Base(r.URL.Path)
	u.mu.Lock()
	u.byOp[op]++
	u.mu.Unlock()
	if op != sandbox.OpSignUp {
		u.Server.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // it never came, so it is no sign-up
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var who struct{ Email string }
	_ = json.Unmarshal(body, &who) // the sandbox says what is wrong with it
	recorded := &statusWriter{ResponseWriter: w}
	defer u.beginSignUp(who.Email)(recorded)
	u.Server.ServeHTTP(recorded, r)
}

// calls is how many calls of an operation have come so far.
func (u *upstream) calls(op string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.byOp[op]
}

// beginSignUp notes a sign-up, and whether it should not have been sent: an
// earlier one of the user still runs, has worked, or had an unclear end within
// the hold. Only a clear refusal allows another one. It returns what notes the
// end.
func (u *upstream) beginSignUp(email string) (end func(*statusWriter)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if last := u.signUps[email]; last != nil && (last.running || last.created || time.Since(last.at) < u.hold) {
		u.again++
	}
	s := &signUp{at: time.Now(), running: true}
	u.signUps[email] = s
	return func(w *statusWriter) {
		u.mu.Lock()
		defer u.mu.Unlock()
		s.running = false
		s.created = w.status >= 200 && w.status < 300
		if w.status >= 400 && w.status < 500 && w.status != http.StatusRequestTimeout && u.signUps[email] == s {
			delete(u.signUps, email)
		}
	}
}

// statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int // 0: none was sent
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController: the sandbox takes connections over.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// traffic is what the service has been asked so far.
type traffic struct {
	requests    int64          // at the proxy, also those that were swallowed or reset
	connections int64          // at the proxy
	refused     process.Amount // dials while nobody listened, on the whole machine
}

func (u *upstream) traffic() traffic {
	s := u.proxy.Stats()
	return traffic{s.Requests, s.Accepted, process.RefusedDials()}
}

// since is what has come since an earlier moment.
func (t traffic) since(before traffic) traffic {
	t.requests -= before.requests
	t.connections -= before.connections
	if t.refused != process.Unknown {
		t.refused -= before.refused
	}
	return t
}

// calls is how many calls were attempted.
func (t traffic) calls() int64 { return t.requests + max(0, int64(t.refused)) }
