package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// service is the sandbox at an address of its own. It counts what comes, and keeps
// calls to send them again.
type service struct {
	*counts
	address string
	server  *http.Server
	huma    *sandbox.Server

	mu   sync.Mutex
	keep bool
	kept [][]byte
}

// counts are what has come to a service. They outlive it.
type counts struct{ calls, connections atomic.Int64 }

// newService starts a service that knows some users.
func newService(ctx context.Context, users int) (*service, error) {
	var c net.ListenConfig
	listener, err := c.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &service{
		counts:  new(counts),
		address: listener.Addr().String(),
		// Calls are sent again much later: a token that lasts outlives the rounds.
		huma: sandbox.New(sandbox.Config{AuthTokenLifetime: 24 * time.Hour, MaxClockSkew: 24 * time.Hour}),
	}
	for i := range users {
		s.huma.AddUser(userName(i))
	}
	s.server = &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.calls.Add(1)
			s.note(r)
			s.huma.ServeHTTP(w, r)
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.connections.Add(1)
			}
		},
	}
	go func() { _ = s.server.Serve(listener) }()
	return s, nil
}

// note keeps a call as it came, if calls are kept.
func (s *service) note(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.keep {
		return
	}
	if call, err := httputil.DumpRequest(r, true); err == nil { // it gives the body back
		s.kept = append(s.kept, call)
	}
}

// during returns the calls that come while f runs.
func (s *service) during(f func() error) ([][]byte, error) {
	s.keeps(true)
	err := f()
	s.keeps(false)
	return s.kept, err
}

func (s *service) keeps(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep = on
}

func (s *service) close() { _ = s.server.Close() }
