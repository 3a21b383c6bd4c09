package caddymodule

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

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/humanapi"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

func init() {
	caddy.RegisterModule(new(HumanAPIToken))
	registerDirective(humanProvider, func() handler { return new(HumanAPIToken) })
}

// defaultHumanAPI is where Human API is, as its guide "Start a User Session"
// has it.
const defaultHumanAPI = "https://auth.humanapi.co"

// What holds for tokens of Human API in the cache.
const (
	humanTTL    = 24 * time.Hour  // the longest that any lives
	humanMargin = 5 * time.Minute // before its end a token is not handed out any more: a page works with it for a while
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
	return unmarshal(d, h.serviceOptions(), &h.Common)
}

// serviceOptions are the options that say whose service is called.
func (h *HumanAPIToken) serviceOptions() option.Table {
	return option.Table{
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
	h.endpoint.begin(ctx, humanProvider, h, &h.Common)
	var p option.Problems
	s := h.readHuman(&p)
	limits := h.endpoint.read(ctx, humanTTL, &p)
	transport := newTransport(tlsSettings{}, limits.maxConcurrent, &p)
	if err := p.Err(); err != nil {
		return err
	}
	if err := h.endpoint.acquire(ctx, []string{s.API.String(), h.ClientID, h.ClientSecret}, limits, transport); err != nil {
		return err
	}
	h.endpoint.policy.Margin = humanMargin
	if h.endpoint.policy.Cache != nil {
		h.hints.Store = h.endpoint.account.hints.Limit(limits.maxEntries)
	}
	return h.endpoint.use(ctx, s)
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. It never calls next.
func (h *HumanAPIToken) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	return h.endpoint.ServeHTTP(w, r, nil)
}

// Cleanup implements caddy.CleanerUpper.
func (h *HumanAPIToken) Cleanup() error { return h.endpoint.Cleanup() }

// humanSettings are the options of Human API's part of the config, with values
// in place of placeholders.
type humanSettings struct {
	h *HumanAPIToken
	humanapi.Config
}

// settings implements credentialSource.
func (h *HumanAPIToken) settings(p *option.Problems) settings { return h.readHuman(p) }

// named implements credentialSource.
func (h *HumanAPIToken) named() accountNames {
	return accountNames{API: cmp.Or(h.API, defaultHumanAPI), ClientID: h.ClientID}
}

// readHuman evaluates whose service is called, and notes every problem in it.
func (h *HumanAPIToken) readHuman(p *option.Problems) *humanSettings {
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
		p.AddAll(errors.New("extra_scopes: one of them is empty")) // unless its placeholder is why
	}
	if api := p.Text("api", cmp.Or(h.API, defaultHumanAPI)); api != "" {
		var err error
		c.API, err = parseAPI(api)
		p.Add("api", err)
	}
	return &humanSettings{h, c}
}

// account implements settings.
func (s *humanSettings) account() []byte {
	return derive(s.h.endpoint.rootKey(s.ClientSecret), "token", s.h.endpoint.service.name, s.API.String(), s.ClientID, s.ClientSecret.Reveal())
}

// service implements settings. Nobody is signed up here.
func (s *humanSettings) service() []byte { return nil }

// sum implements settings.
func (s *humanSettings) sum() string {
	parts := []string{s.API.String(), s.ClientID, s.ClientSecret.Reveal()}
	return string(derive(nil, append(parts, s.ExtraScopes...)...))
}

// tokens implements settings.
func (s *humanSettings) tokens(users *userHasher, _ exchange.SignUpLocks) tokenService {
	config := s.Config
	config.HTTP, config.Do = s.h.endpoint.roundTripper(), s.h.endpoint.call
	return &humanTokens{
		client: humanapi.New(config),
		hints:  s.h.hints,
		users:  users,
		name:   connectKind + string(derive(nil, s.ExtraScopes...)[:8]),
	}
}

// humanTokens are Human API's tokens, as they are fetched with certain
// credentials.
type humanTokens struct {
	client *humanapi.Client
	hints  exchange.Hints
	users  *userHasher
	name   string // of their kind, by the scopes that they have
}

// kind implements tokenService. A page may choose nothing.
func (t *humanTokens) kind(*http.Request) (kind string, _ exchange.ClientType, bad exchange.Code) {
	return t.name, "", ""
}

// mint implements tokenService.
func (t *humanTokens) mint(q *request) mint {
	return &exchange.Connect{
		API:       t.client,
		Hints:     t.hints,
		OnlyKnown: q.endpoint.rehearsal.onlyKnown(),
		User:      t.users.key(q.user),
		Person:    exchange.ConnectUser{ID: q.user.ID, Email: q.user.Email},
	}
}

// releaseHold implements tokenService. Nobody is signed up here.
func (*humanTokens) releaseHold(context.Context, identity.User) error { return nil }

// again implements tokenService.
func (t *humanTokens) again(m mint) mint {
	connect := *m.(*exchange.Connect)
	connect.API = t.client
	return &connect
}

// Interface guards
var (
	_ caddy.Module                = (*HumanAPIToken)(nil)
	_ caddy.Provisioner           = (*HumanAPIToken)(nil)
	_ caddy.CleanerUpper          = (*HumanAPIToken)(nil)
	_ caddyfile.Unmarshaler       = (*HumanAPIToken)(nil)
	_ caddyhttp.MiddlewareHandler = (*HumanAPIToken)(nil)
	_ credentialSource            = (*HumanAPIToken)(nil)
	_ tokenService                = (*humanTokens)(nil)
)
