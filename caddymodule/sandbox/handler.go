package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/control"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler is a fake of the Huma Integration API and of Human API Connect, for
// development and tests. It answers every request itself: the APIs, a control
// API under `/_sandbox/` and a page at `/`. Anybody who reaches it can read and
// change everything in it: bind it to loopback.
//
// Users, calls and faults survive config reloads. All fields are optional, and
// the placeholders `{env.*}` and `{file.*}` are replaced when the config is
// loaded, except in `name`, `prefix` and `signature.payload`.
type Handler struct {
	// The name of the state: handlers of one name share users, calls and
	// faults. Default: `default`.
	Name string `json:"name,omitempty"`

	// A path in front of the APIs' endpoints, such as `/huma`. The control API
	// and the page stay where they are. Default: none.
	Prefix string `json:"prefix,omitempty"`

	// The only accepted project id. Default: `p1`.
	ProjectID string `json:"project_id,omitempty"`

	// The only accepted deployment id. Default: `d1`.
	DeploymentID string `json:"deployment_id,omitempty"`

	// The accepted client ids by kind: `ios`, `android`, `web`. If any is
	// given, the others are not accepted.
	// Default: ios `c1`, android `c2`, web `c3`.
	ClientIDs map[string]string `json:"client_ids,omitempty"`

	// The secret that keys the signature. Line breaks at its end are dropped.
	// Default: `sandbox-secret`.
	Secret string `json:"secret,omitempty"`

	// How calls have to be signed. Default: an HMAC-SHA256 of the body in hex.
	Signature *Signature `json:"signature,omitempty"`

	// Human API's half. Default: one client, `hapi1`, with the secret
	// `sandbox-secret`.
	HumanAPI *HumanAPI `json:"human_api,omitempty"`

	// How long an auth token is good for. Default: `15m`.
	AuthTokenLifetime caddy.Duration `json:"auth_token_lifetime,omitempty"`

	// How long a refresh token is good for. Default: `45d`.
	RefreshTokenLifetime caddy.Duration `json:"refresh_token_lifetime,omitempty"`

	// How far a signed timestamp may be from the clock. Default: `1m`.
	MaxClockSkew caddy.Duration `json:"max_clock_skew,omitempty"`

	// E-mail addresses that are registered from the start.
	Users []string `json:"users,omitempty"`

	// Plays the older sign-up, which answers without tokens.
	SignUpWithoutToken bool `json:"sign_up_without_token,omitempty"`

	// Plays the older answers, in which lifetimes are strings: Huma's, and
	// Human API's with them.
	LifetimesAsStrings bool `json:"lifetimes_as_strings,omitempty"`

	server  *Server
	poolKey string // set once a reference to the state is held
}

// states holds the state of every name in use, across reloads.
var states = caddy.NewUsagePool()

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.huma_sandbox",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision checks the configuration and joins the state of its name. It
// changes nothing in there: the configuration may still be rejected.
func (h *Handler) Provision(caddy.Context) error {
	cfg, err := h.config()
	if err != nil {
		return err
	}
	if cfg, err = config.Complete(cfg); err != nil {
		return err
	}
	name := h.Name
	if name == "" {
		name = "default"
	}
	// The state is acquired last, so that nothing fails while it is held.
	st, _, err := states.LoadOrNew(name, func() (caddy.Destructor, error) { return control.NewState(time.Now), nil })
	if err != nil {
		return fmt.Errorf("name: %w", err)
	}
	h.poolKey = name
	h.server = newServer(cfg, st.(*control.State))
	return nil
}

// Cleanup leaves the state, if it was joined. Requests that are still running
// keep their own hold of it.
func (h *Handler) Cleanup() error {
	if h.poolKey == "" {
		return nil
	}
	key := h.poolKey
	h.poolKey = ""
	_, err := states.Delete(key)
	return err
}

// ServeHTTP serves the sandbox; the next handler is never called.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	h.server.serve(w, r, requestTarget(r.Context(), r))
	return nil
}

// requestTarget is what the client sent, whatever handle_path or rewrite made
// of it since: that is what was signed.
func requestTarget(ctx context.Context, r *http.Request) string {
	if original, ok := ctx.Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.RequestURI != "" {
		return original.RequestURI
	}
	return r.RequestURI
}

// config replaces placeholders and makes the Server's configuration.
func (h *Handler) config() (Config, error) {
	cfg := Config{
		ProjectID:            h.ProjectID,
		DeploymentID:         h.DeploymentID,
		Secret:               h.Secret,
		AuthTokenLifetime:    time.Duration(h.AuthTokenLifetime),
		RefreshTokenLifetime: time.Duration(h.RefreshTokenLifetime),
		Users:                append([]string(nil), h.Users...),
		SignUpWithoutToken:   h.SignUpWithoutToken,
		LifetimesAsStrings:   h.LifetimesAsStrings,
		MaxClockSkew:         time.Duration(h.MaxClockSkew),
		Prefix:               h.Prefix,
	}
	if h.Signature != nil {
		cfg.Signature = *h.Signature
	}
	values := map[string]*string{
		"project_id":       &cfg.ProjectID,
		"deployment_id":    &cfg.DeploymentID,
		"secret":           &cfg.Secret,
		"algorithm":        &cfg.Signature.Algorithm,
		"encoding":         &cfg.Signature.Encoding,
		"header_name":      &cfg.Signature.HeaderName,
		"id":               &cfg.Signature.ID,
		"timestamp_header": &cfg.Signature.TimestampHeader,
	}
	for i := range cfg.Users {
		values[fmt.Sprintf("user %d", i+1)] = &cfg.Users[i]
	}
	var errs []error
	for option, value := range values {
		errs = append(errs, replacePlaceholders(option, value))
	}
	if h.ClientIDs != nil {
		cfg.ClientIDs = make(map[string]string, len(h.ClientIDs))
		for kind, id := range h.ClientIDs {
			errs = append(errs, replacePlaceholders("client_id "+kind, &id))
			cfg.ClientIDs[kind] = id
		}
	}
	var err error
	cfg.HumanAPI, err = expandHumanAPI(h.HumanAPI)
	return cfg, errors.Join(append(errs, err)...)
}

// replacePlaceholders replaces a value's placeholders, all of which must be
// known and not empty: a sandbox that fell back to its default secret would
// refuse every call without saying why.
func replacePlaceholders(option string, value *string) error {
	if *value == "" {
		return nil
	}
	replaced, err := caddy.NewReplacer().ReplaceOrErr(*value, true, true)
	if err != nil {
		return fmt.Errorf("%s: %w", option, err)
	}
	replaced = strings.TrimRight(replaced, "\r\n")
	if replaced == "" {
		return fmt.Errorf("%s: its placeholder is empty", option)
	}
	*value = replaced
	return nil
}

// expandHumanAPI is a copy in which placeholders are replaced.
func expandHumanAPI(h *HumanAPI) (HumanAPI, error) {
	if h == nil {
		return HumanAPI{}, nil
	}
	expanded := *h
	expanded.ExtraScopes = slices.Clone(h.ExtraScopes)
	var errs []error
	for i := range expanded.ExtraScopes {
		errs = append(errs, replacePlaceholders("human_api extra_scopes", &expanded.ExtraScopes[i]))
	}
	if h.Clients != nil {
		expanded.Clients = make(map[string]string, len(h.Clients))
	}
	for id, secret := range h.Clients {
		option := "human_api client " + id
		errs = append(errs, replacePlaceholders(option, &id), replacePlaceholders(option, &secret))
		if _, twice := expanded.Clients[id]; twice {
			errs = append(errs, fmt.Errorf("%s: stands there twice", option))
		}
		expanded.Clients[id] = secret
	}
	return expanded, errors.Join(errs...)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddy.Destructor            = (*control.State)(nil)
	_ http.Handler                = (*Server)(nil)
)
