package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/faultproxy"
	"github.com/caddy-huma/caddy-huma/internal/redisserver"
)

// hold is the default of registration { hold }: the time after a sign-up with an unknown
// result in which no other sign-up of the user may be sent.
const hold = time.Minute

// upstream has the servers with faults: the sandbox, behind a proxy that injects
// connection faults, and Redis.
type upstream struct {
	*sandbox.Server
	proxy *faultproxy.Proxy
	http  *http.Server
	redis *redisserver.Server // nil without -redis
	rand  *rand.Rand          // not safe for concurrent use
	hold  time.Duration

	mu            sync.Mutex
	signUps       map[string]*signUp // by email address
	secondSignUps int                // number of sign-ups that must not have been sent
}

// signUp is the last sign-up of a user that may have created the user.
type signUp struct {
	at      time.Time
	running bool
	created bool
}

// newUpstream starts the sandbox and the proxy, but not Redis.
func newUpstream(ctx context.Context, seed uint64) (*upstream, error) {
	var c net.ListenConfig
	listener, err := c.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{
		Server:  sandbox.New(sandbox.Config{}),
		rand:    rand.New(rand.NewPCG(seed, 1)),
		hold:    hold,
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

// close stops the sandbox and the proxy.
func (u *upstream) close() {
	_ = u.proxy.Close()
	_ = u.http.Close()
}

// ServeHTTP calls the sandbox and checks sign-ups.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path.Base(r.URL.Path) != sandbox.OpSignUp {
		u.Server.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the call was not received completely
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var members struct{ Email string }
	_ = json.Unmarshal(body, &members) // the sandbox rejects invalid JSON
	recorded := &statusWriter{ResponseWriter: w}
	defer u.beginSignUp(members.Email)(recorded)
	u.Server.ServeHTTP(recorded, r)
}

// beginSignUp records a sign-up. It must not have been sent if an earlier one of the
// user is in progress, has succeeded, or had an unknown result within the hold. Only a
// definite rejection allows another one. The caller must call end with the response.
func (u *upstream) beginSignUp(email string) (end func(*statusWriter)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if last := u.signUps[email]; last != nil && (last.running || last.created || time.Since(last.at) < u.hold) {
		u.secondSignUps++
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

// statusWriter is an http.ResponseWriter that records the status.
type statusWriter struct {
	http.ResponseWriter
	status int // 0: no response
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController, since the sandbox hijacks connections.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
