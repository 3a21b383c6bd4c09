package check

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/assertion"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/dryrun"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identify"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
)

// identitySource is the services that directives with the same options identity and
// userinfo call to identify users: the key server, the auth server or the application.
type identitySource struct {
	directive *dryrun.Directive // one of them
	called    bool

	issuer  string // of the discovery document; empty without discovery
	jwksURI string // from the discovery document
	keys    *assertion.Keys
	usable  int   // number of usable keys
	keysErr error // of fetching the keys

	rejection *identity.Rejection // of a request with a session that does not exist; nil: a user was identified
	callErr   error               // why the auth server or the application did not respond in a usable way
}

// groupSources sets the field source of the directives that call a service to identify
// users, and returns the sources.
func groupSources(targets []*target) (all []*identitySource) {
	byKey := make(map[string]*identitySource)
	for _, t := range targets {
		c := &t.directive.Common
		if c.Userinfo == nil && (c.Identity == nil || c.Identity.Verify == nil && c.Identity.AuthServer == nil) {
			continue
		}
		key, _ := json.Marshal([]any{t.directive.Service.ByID, c.Identity, c.Userinfo}) // they were decoded from JSON
		s := byKey[string(key)]
		if s == nil {
			s = &identitySource{directive: t.directive}
			byKey[string(key)] = s
			all = append(all, s)
		}
		t.source = s
	}
	return all
}

// try calls the services. The auth server and the application get a request with a
// session that does not exist.
func (s *identitySource) try(ctx context.Context) {
	var errs option.Errors
	onError := func(err error) { s.callErr = err }
	identifier := identify.New(&s.directive.Common, identify.Options{
		ByID:              s.directive.Service.ByID,
		ForwardsHeader:    s.directive.ForwardsHeader,
		OnAuthServerError: onError,
		OnUserinfoError:   onError,
		Keys: func(source assertion.Source) (*assertion.Keys, error) {
			var err error
			s.issuer = source.Issuer
			s.keys, err = assertion.NewKeys(source, assertion.Log{Discovered: func(uri string) { s.jwksURI = uri }})
			return s.keys, err
		},
	}, &errs)
	if len(errs) > 0 {
		return // checkConfig reports them
	}
	s.called = true
	if s.keys != nil {
		s.usable, s.keysErr = s.keys.Fetch(ctx)
	}
	const session = "caddy-huma-check"
	r := s.directive.Request()
	r.RemoteAddr = "192.0.2.1:4711"
	r.Header = http.Header{"Cookie": {session + "=1"}, "Authorization": {"Bearer " + session}}
	if s.keys != nil {
		s.rejection = identifier.FetchUserinfo(ctx, r) // Identify would reject the token first
	} else if _, err := identifier.Identify(ctx, r); err != nil {
		_ = errors.As(err, &s.rejection)
	}
}

// checkSource returns the results of the calls of the directive's identity source.
func (t *target) checkSource() (all []report.Entry) {
	s, c := t.source, &t.directive.Common
	if s == nil {
		return nil
	}
	add := func(check string, e report.Entry) {
		e.Check = check
		all = append(all, e)
	}
	skip := "the config is not valid"
	if t.skipReason == noCalls {
		skip = noCalls
	}
	if c.VerifiesTokens() {
		if s.issuer != "" {
			add("discovery", s.checkDiscovery(skip))
		}
		add("jwks", s.checkKeys(skip))
	}
	switch {
	case c.Userinfo != nil:
		add("userinfo", s.checkCall(skip, "the application", "userinfo"))
	case c.Identity.AuthServer != nil:
		add("auth_server", s.checkCall(skip, "the auth server", "auth_server"))
	}
	return all
}

// fixCA is added to the fix of a call whose certificate may not be trusted.
const fixCA = "; if its certificate is signed by a private authority, set the option ca"

func (s *identitySource) checkDiscovery(skip string) report.Entry {
	switch {
	case !s.called:
		return report.NewSkipped("%s", skip)
	case s.jwksURI != "":
		return report.NewOK("the discovery document of %s names the JWKS %s", s.issuer, s.jwksURI)
	}
	return report.NewProblem("correct the issuer, or set jwks to the URL of the keys; allow the connection"+fixCA+". Until then, every token is rejected with 503", "%v", s.keysErr)
}

func (s *identitySource) checkKeys(skip string) report.Entry {
	switch {
	case !s.called:
		return report.NewSkipped("%s", skip)
	case errors.Is(s.keysErr, assertion.ErrKeysByID):
		return report.NewSkipped("not checked: each key is fetched when a token names it")
	case s.issuer != "" && s.jwksURI == "":
		return report.NewSkipped("no discovery document")
	case s.keysErr != nil:
		return report.NewProblem("correct the URL of the keys (jwks or issuer), and allow the connection"+fixCA+". Until then, every token is rejected with 503", "%v", s.keysErr)
	}
	return report.NewOK("usable public keys: %d", s.usable)
}

// checkCall returns the result of the call with a session that does not exist.
func (s *identitySource) checkCall(skip, peer, option string) report.Entry {
	switch {
	case !s.called:
		return report.NewSkipped("%s", skip)
	case s.callErr != nil:
		return report.NewProblem("check the URL in "+option+", and start the service"+fixCA+". Until then, every request is rejected with 503", "%v", s.callErr)
	case s.rejection == nil:
		return report.NewProblem("let "+peer+" respond with 401 to requests without a session", "%s responds to a session that does not exist as to a signed-in user", peer)
	case errors.Is(s.rejection, identity.ErrNoResponseHeader):
		return report.NewWarning("let "+peer+" require a session for this path, without a bypass rule", "%s responds with 2xx to a session that does not exist, without the header of a user", peer)
	case s.rejection == identity.ErrAuthServerForbidden, s.rejection == identity.ErrForbidden:
		return report.NewWarning("let "+peer+" respond with 401 to requests without a session; apps do not sign in again after 403", "%s responds with 403 to a session that does not exist", peer)
	}
	return report.NewOK("%s responds, and rejects a session that does not exist", peer)
}
