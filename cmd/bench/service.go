package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// The credentials of the plugin, which the sandbox accepts by default.
const (
	projectID    = "p1"
	deploymentID = "d1"
	clientID     = "c1"
	secret       = "sandbox-secret"
)

// service is a sandbox with an HTTP server. It counts calls and connections.
type service struct {
	address            string
	server             *http.Server
	huma               *sandbox.Server
	calls, connections atomic.Int64
}

// newService starts a service with a number of users.
func newService(ctx context.Context, users int) (*service, error) {
	var c net.ListenConfig
	listener, err := c.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &service{
		address: listener.Addr().String(),
		// No token expires during a measurement.
		huma: sandbox.New(sandbox.Config{AuthTokenLifetime: caddy.Duration(24 * time.Hour)}),
	}
	for i := range users {
		s.huma.AddUser(userName(i))
	}
	s.server = &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.calls.Add(1)
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

// close closes the server. Further calls do nothing.
func (s *service) close() {
	if s.server != nil {
		_ = s.server.Close()
	}
}

// signIn returns a sign-in of an existing user, as huma_token sends it.
func signIn(host string, user int) []byte {
	body := fmt.Appendf(nil, `{"clientId":%q,"projectId":%q,"email":%q}`, clientID, projectID, userName(user))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return fmt.Appendf(nil, "POST /api/integration/v1/auth/signin HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\ndeploymentId: %s\r\nsignature: %s\r\nContent-Length: %d\r\n\r\n%s",
		host, deploymentID, hex.EncodeToString(mac.Sum(nil)), len(body), body)
}
