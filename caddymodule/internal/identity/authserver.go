package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// AuthServer asks the authentication server about a request (the option auth_server).
type AuthServer interface {
	// Check returns the header of the auth server's 2xx response. Its error is always a
	// *Rejection.
	Check(ctx context.Context, r AuthRequest) (http.Header, error)
}

// AuthRequest holds the parts of a request that an AuthServer needs. The fields are
// those of Request.
type AuthRequest struct {
	Host         string
	Header       http.Header
	Method, URI  string
	RemoteAddr   string
	TLS          bool // the connection of the request uses TLS
	TrustedProxy bool
}

// UsesAuthServer reports whether Identify calls an auth server, which needs the fields
// Method and URI of the Request.
func (i *Identifier) UsesAuthServer() bool { return i.authServer != nil }

// callAuthServer calls the auth server, once for each Request. It returns the reason to
// reject the request, or nil.
func (i *Identifier) callAuthServer(ctx context.Context, r *Request) *Rejection {
	if !r.auth.called {
		header, err := i.authServer.Check(ctx, AuthRequest{
			Host: r.Host, Header: r.Header, Method: r.Method, URI: r.URI,
			RemoteAddr: r.RemoteAddr, TLS: r.TLS != nil, TrustedProxy: r.TrustedProxy,
		})
		r.auth.called, r.auth.header, r.auth.rejection = true, header, rejectionOf(err, ErrAuthServerUnavailable)
	}
	return r.auth.rejection
}

// authServerHeader returns the value of a header in the auth server's response.
func (r *Request) authServerHeader(name string) (string, *Rejection) {
	if r.auth.rejection != nil {
		return "", r.auth.rejection
	}
	switch values := r.auth.header[name]; len(values) {
	case 0:
		return "", ErrNoResponseHeader
	case 1:
		return values[0], nil
	}
	return "", ErrDuplicateResponseHeader
}

// useAuthServer changes the sources that are header names to headers of the auth
// server's response. The option excludes the other ways to trust a header.
func (i *Identifier) useAuthServer(c Config, options []option) (errs []error) {
	i.authServer, i.forwards = c.AuthServer, c.Forwards
	if c.Trust.Mode != TrustNone {
		errs = append(errs, errors.New("trust: cannot be combined with auth_server, whose response is always trusted; remove one of them"))
	}
	if preset, _ := presets.Find(c.Preset); preset.Provider != nil {
		errs = append(errs, fmt.Errorf("auth_server: cannot be combined with the preset %s, which reads the app's own token; remove one of them", preset.Name))
	} else if c.Verify {
		errs = append(errs, errors.New("verify: cannot be combined with auth_server; remove one of them"))
	}
	for _, o := range options {
		switch {
		case o.target.kind != kindHeader:
		case strings.HasPrefix(o.configured.From, "{"):
			errs = append(errs, fmt.Errorf("%s: %s is a header of the client's request, which the client can forge; to read a header of the auth server's response, write its name alone: %s", o.name, o.configured.From, o.target.key))
		default:
			o.target.kind = kindAuthServer
		}
	}
	return append(errs, rejectDroppedForwards(c.Forwards, c.ForwardsHeader)...)
}
