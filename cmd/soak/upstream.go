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
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/faultproxy"
	"github.com/caddy-huma/caddy-huma/internal/redisserver"
)

// hold is the directive's registration { hold }: the time after a sign-up with an
// unclear end in which no other one of the user may be sent.
const hold = time.Minute

// upstream is what can fail: the sandbox behind a proxy that breaks connections, and
// Redis.
type upstream struct {
	*sandbox.Server
	proxy *faultproxy.Proxy
	http  *http.Server
	redis *redisserver.Server // nil: none
	rand  *rand.Rand          // for one goroutine
	hold  time.Duration

	mu            sync.Mutex
	signUps       map[string]*signUp // by address
	secondSignUps int                // sign-ups that should not have been sent
}

// signUp is the last sign-up of a user that may have had an effect.
type signUp struct {
	at      time.Time
	running bool
	created bool
}

// newUpstream starts the service.
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

// close ends the service.
func (u *upstream) close() {
	_ = u.proxy.Close()
	_ = u.http.Close()
}

// ServeHTTP hands a call to the sandbox, and records it if it is a sign-up.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path.Base(r.URL.Path) != sandbox.OpSignUp {
		u.Server.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // it has not arrived
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var who struct{ Email string }
	_ = json.Unmarshal(body, &who) // the sandbox refuses what is no JSON
	recorded := &statusWriter{ResponseWriter: w}
	defer u.beginSignUp(who.Email)(recorded)
	u.Server.ServeHTTP(recorded, r)
}

// beginSignUp records a sign-up. It should not have been sent if an earlier one of the
// user still runs, has worked, or had an unclear end within the hold: only a definite
// refusal allows another one. The returned function records the end.
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

// statusWriter keeps the status of a response.
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
