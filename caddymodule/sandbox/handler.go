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
// development and tests. It handles all requests and never calls the next handler:
// it serves the APIs, a control API under `/_sandbox/` and a web page at `/`. Every
// client that can connect can read and change all data, so bind it to loopback.
//
// Users, calls and faults are kept when the config is reloaded. All fields are optional.
// The placeholders `{env.*}` and `{file.*}` are replaced when the config is loaded,
// except in `name`, `prefix` and `signature.payload`.
type Handler struct {
	// The name of the state. Handlers with the same name share users, calls and
	// faults. Default: `default`.
	Name string `json:"name,omitempty"`

	// The path prefix of the APIs' endpoints, such as `/huma`. It does not apply to
	// the control API and the web page. Default: none.
	Prefix string `json:"prefix,omitempty"`

	// The edition of Huma's guide whose API the sandbox plays: `newest`, `middle` or
	// `oldest`. In `middle`, a sign-up responds without tokens. In `oldest`, the calls
	// have other paths, the member `method` and the secret in the header
	// `verification-token`. Calls of another edition are rejected. Default: `newest`.
	Edition string `json:"edition,omitempty"`

	// The only accepted project id. Default: `p1`.
	ProjectID string `json:"project_id,omitempty"`

	// The only accepted deployment id. Default: `d1`.
	DeploymentID string `json:"deployment_id,omitempty"`

	// The accepted client ids by client type: `ios`, `android`, `web`. If it is set,
	// it replaces all defaults.
	// Default: ios `c1`, android `c2`, web `c3`.
	ClientIDs map[string]string `json:"client_ids,omitempty"`

	// The key of the signature. Line breaks at the end are removed.
	// Default: `sandbox-secret`.
	Secret string `json:"secret,omitempty"`

	// How clients sign their calls. Default: an HMAC-SHA256 of the body in hex.
	Signature *Signature `json:"signature,omitempty"`

	// The configuration of Human API Connect. Default: one client, `hapi1`, with the
	// secret `sandbox-secret`.
	HumanAPI *HumanAPI `json:"human_api,omitempty"`

	// The lifetime of an auth token, in whole seconds. Default: `15m`.
	AuthTokenLifetime caddy.Duration `json:"auth_token_lifetime,omitempty"`

	// The lifetime of a refresh token, in whole seconds. Default: `45d`.
	RefreshTokenLifetime caddy.Duration `json:"refresh_token_lifetime,omitempty"`

	// The allowed difference between a signed timestamp and the clock, in both
	// directions. Default: `1m`.
	MaxClockSkew caddy.Duration `json:"max_clock_skew,omitempty"`

	// The email addresses of users that exist from the start and after a reset.
	Users []string `json:"users,omitempty"`

	// Emulates the older responses, in which lifetimes are strings. It applies to Huma
	// and to Human API.
	LifetimesAsStrings bool `json:"lifetimes_as_strings,omitempty"`

	server  *Server
	poolKey string // the key of the referenced state in states. Empty: none
}

// states holds the states by name. They are kept when the config is reloaded.
var states = caddy.NewUsagePool()

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.huma_sandbox",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision validates the configuration and takes a reference to the state with its
// name. It does not change the state, since Caddy may still reject the config.
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
	// Nothing after this can fail, so the reference is always released by Cleanup.
	st, _, err := states.LoadOrNew(name, func() (caddy.Destructor, error) { return control.NewState(time.Now), nil })
	if err != nil {
		return fmt.Errorf("create state %q: %w", name, err)
	}
	h.poolKey = name
	h.server = newServer(cfg, st.(*control.State))
	return nil
}

// Cleanup releases the reference to the state, if Provision took one. Requests in
// progress can still use the state. Further calls do nothing.
func (h *Handler) Cleanup() error {
	if h.poolKey == "" {
		return nil
	}
	key := h.poolKey
	h.poolKey = ""
	_, err := states.Delete(key)
	return err
}

// ServeHTTP serves the sandbox. It never calls the next handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	h.server.serve(w, r, requestTarget(r.Context(), r))
	return nil
}

// requestTarget returns the request target as the client sent and signed it, before
// handlers such as handle_path or rewrite changed it.
func requestTarget(ctx context.Context, r *http.Request) string {
	if original, ok := ctx.Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.RequestURI != "" {
		return original.RequestURI
	}
	return r.RequestURI
}

// config returns the configuration of the Server, with placeholders replaced.
func (h *Handler) config() (Config, error) {
	cfg := Config{
		Edition:              h.Edition,
		ProjectID:            h.ProjectID,
		DeploymentID:         h.DeploymentID,
		Secret:               h.Secret,
		AuthTokenLifetime:    time.Duration(h.AuthTokenLifetime),
		RefreshTokenLifetime: time.Duration(h.RefreshTokenLifetime),
		Users:                append([]string(nil), h.Users...),
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
		for clientType, id := range h.ClientIDs {
			errs = append(errs, replacePlaceholders("client_id "+clientType, &id))
			cfg.ClientIDs[clientType] = id
		}
	}
	var err error
	cfg.HumanAPI, err = expandHumanAPI(h.HumanAPI)
	return cfg, errors.Join(append(errs, err)...)
}

// replacePlaceholders replaces the placeholders in a value and removes line breaks at
// its end. Unknown and empty placeholders are errors, since a sandbox with its default
// secret instead would reject all calls without an obvious reason. An empty value is
// not changed.
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
		return fmt.Errorf("%s: the value of the placeholder is empty", option)
	}
	*value = replaced
	return nil
}

// expandHumanAPI returns a copy of h with placeholders replaced. Nil is the zero value.
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
		if _, found := expanded.Clients[id]; found {
			errs = append(errs, fmt.Errorf("%s: duplicate client id %q", option, id))
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
