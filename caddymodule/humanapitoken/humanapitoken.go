// Package humanapitoken is the module http.handlers.human_api_token: it responds to
// signed-in users with tokens of Human API Connect. The options are documented at
// HumanAPIToken.
package humanapitoken

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/account"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/apiurl"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/connect"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/humanapi"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userhash"
)

func init() {
	caddy.RegisterModule(new(HumanAPIToken))
	endpoint.RegisterDirective(endpoint.HumanAPI, func() endpoint.Handler { return new(HumanAPIToken) })
}

// defaultAPI is where Human API is, as its guide "Start a User Session"
// has it.
const defaultAPI = "https://auth.humanapi.co"

// What holds for tokens of Human API in the cache.
const (
	defaultTTL   = 24 * time.Hour  // the longest that any lives
	expiryMargin = 5 * time.Minute // before its end a token is not handed out any more: a page works with it for a while
)

// connectKind is what kinds of token begin with: of which type one has to be
// only the service knows.
const connectKind = "connect "

// CaddyModule returns the Caddy module information.
func (*HumanAPIToken) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.human_api_token",
		New: func() caddy.Module { return new(HumanAPIToken) },
	}
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	human_api_token [<matcher>] {
//	    # whose service
//	    api           <url>
//	    client_id     <id>
//	    client_secret <secret>
//	    extra_scopes  <scope...>
//
//	    # who is asking, and how it behaves
//	    ...           as in huma_token
//	}
//
// None of its own options may be repeated.
func (h *HumanAPIToken) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return config.Unmarshal(d, h.serviceOptions(), &h.Common)
}

// serviceOptions are the options that say whose service is called.
func (h *HumanAPIToken) serviceOptions() option.Options {
	return option.Options{
		"api":           option.Text(&h.API),
		"client_id":     h.parseClientID,
		"client_secret": option.Secret(&h.ClientSecret),
		"extra_scopes":  option.List(&h.ExtraScopes),
	}
}

// parseClientID reads the client id, of which there is one here.
func (h *HumanAPIToken) parseClientID(d *caddyfile.Dispenser) error {
	if h.ClientID != "" {
		return d.Err("option 'client_id' is given twice: write one human_api_token for each")
	}
	return option.Text(&h.ClientID)(d)
}

// Provision sets up the handler. It calls nobody, and takes its state from the
// pools.
func (h *HumanAPIToken) Provision(ctx caddy.Context) error {
	h.endpoint.Init(ctx, endpoint.HumanAPI, source{h}, h, &h.Common)
	var p option.Errors
	s := h.readSettings(&p)
	limits := h.endpoint.Load(ctx, defaultTTL, &p)
	transport := account.NewTransport(account.TLSFiles{}, limits.MaxConcurrent, &p)
	if err := p.Err(); err != nil {
		return err
	}
	if err := h.endpoint.AcquireState(ctx, []string{s.API.String(), h.ClientID, h.ClientSecret}, limits, transport); err != nil {
		return err
	}
	h.endpoint.Policy.Margin = expiryMargin
	if h.endpoint.Policy.Cache != nil {
		h.hints.Store = h.endpoint.Account.Hints.Limit(limits.MaxEntries)
	}
	return h.endpoint.Start(ctx, s)
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. It never calls next.
func (h *HumanAPIToken) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	return h.endpoint.ServeHTTP(w, r, nil)
}

// Cleanup implements caddy.CleanerUpper.
func (h *HumanAPIToken) Cleanup() error { return h.endpoint.Cleanup() }

// SetDryRun prepares the handler, before Provision, for a command that runs it without
// a server.
func (h *HumanAPIToken) SetDryRun(r *endpoint.DryRun) { h.endpoint.DryRun = r }

// settings are the options of Human API's part of the config, with values
// in place of placeholders.
type settings struct {
	h *HumanAPIToken
	humanapi.Config
}

// source evaluates the handler's options for its endpoint.
type source struct{ handler *HumanAPIToken }

// Settings implements endpoint.Source.
func (s source) Settings(p *option.Errors) endpoint.Settings { return s.handler.readSettings(p) }

// Names implements credentialSource.
func (s source) Names() endpoint.AccountNames {
	h := s.handler
	return endpoint.AccountNames{API: cmp.Or(h.API, defaultAPI), ClientID: h.ClientID}
}

// readSettings evaluates whose service is called, and notes every problem in it.
func (h *HumanAPIToken) readSettings(p *option.Errors) *settings {
	c := humanapi.Config{
		ClientID:     p.Text("client_id", h.ClientID),
		ClientSecret: p.Secret("client_secret", h.ClientSecret),
		ExtraScopes:  p.Texts("extra_scopes", h.ExtraScopes),
	}
	if h.ClientID == "" {
		p.Addf("client_id", "the application's id at Human API is missing")
	}
	if h.ClientSecret == "" {
		p.Addf("client_secret", "the application's secret is missing: write it as {env.NAME} or {file./path}")
	}
	for name, value := range map[string]string{
		"client_id": c.ClientID, "client_secret": c.ClientSecret.Reveal(), "extra_scopes": strings.Join(c.ExtraScopes, " "),
	} {
		if !utf8.ValidString(value) {
			p.Addf(name, "it is not UTF-8, which is all that JSON can carry")
		}
	}
	if slices.ContainsFunc(c.ExtraScopes, func(scope string) bool { return strings.TrimSpace(scope) == "" }) {
		p.Join(errors.New("extra_scopes: one of them is empty")) // unless its placeholder is why
	}
	if api := p.Text("api", cmp.Or(h.API, defaultAPI)); api != "" {
		var err error
		c.API, err = apiurl.Parse(api)
		p.Add("api", err)
	}
	return &settings{h, c}
}

// CacheKey implements settings.
func (s *settings) CacheKey() []byte {
	return userhash.DeriveKey(s.h.endpoint.RootKey(s.ClientSecret), "token", s.h.endpoint.Service.Name, s.API.String(), s.ClientID, s.ClientSecret.Reveal())
}

// SignUpKey implements settings. Nobody is signed up here.
func (s *settings) SignUpKey() []byte { return nil }

// Fingerprint implements settings.
func (s *settings) Fingerprint() string {
	parts := []string{s.API.String(), s.ClientID, s.ClientSecret.Reveal()}
	return string(userhash.DeriveKey(nil, append(parts, s.ExtraScopes...)...))
}

// Tokens implements settings.
func (s *settings) Tokens(users *userhash.Hasher, _ exchange.SignUpLocks) endpoint.TokenSource {
	config := s.Config
	config.HTTP, config.Do = s.h.endpoint.Transport(), s.h.endpoint.Do
	return &tokenSource{
		client: humanapi.New(config),
		hints:  s.h.hints,
		users:  users,
		name:   connectKind + string(userhash.DeriveKey(nil, s.ExtraScopes...)[:8]),
	}
}

// tokenSource are Human API's tokens, as they are fetched with certain
// credentials.
type tokenSource struct {
	client *humanapi.Client
	hints  connect.Hints
	users  *userhash.Hasher
	name   string // of their kind, by the scopes that they have
}

// Variant implements tokenService. A page may choose nothing.
func (t *tokenSource) Variant(*http.Request) (endpoint.Variant, exchange.Code) {
	return endpoint.Variant{Kind: t.name}, ""
}

// Exchange implements tokenService.
func (t *tokenSource) Exchange(q *endpoint.Request) endpoint.Exchange {
	return &connect.Exchange{
		API:       t.client,
		Hints:     t.hints,
		OnlyKnown: q.OnlyKnownUsers(),
		User:      t.users.CacheKey(q.User),
		Person:    connect.Person{ID: q.User.ID, Email: q.User.Email},
	}
}

// ReleaseHold implements tokenService. Nobody is signed up here.
func (*tokenSource) ReleaseHold(context.Context, identity.User) error { return nil }

// RetryWith implements tokenService.
func (t *tokenSource) RetryWith(m endpoint.Exchange) endpoint.Exchange {
	again := *m.(*connect.Exchange)
	again.API = t.client
	return &again
}

// Interface guards
var (
	_ caddy.Module                = (*HumanAPIToken)(nil)
	_ caddy.Provisioner           = (*HumanAPIToken)(nil)
	_ caddy.CleanerUpper          = (*HumanAPIToken)(nil)
	_ caddyfile.Unmarshaler       = (*HumanAPIToken)(nil)
	_ caddyhttp.MiddlewareHandler = (*HumanAPIToken)(nil)
	_ endpoint.Source             = source{}
	_ endpoint.TokenSource        = (*tokenSource)(nil)
)
