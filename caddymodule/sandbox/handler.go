package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

	config.Config

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

// config returns a copy of the configuration, with placeholders replaced.
func (h *Handler) config() (Config, error) {
	cfg := h.Config
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
	cfg.Users, cfg.HumanAPI.ExtraScopes = slices.Clone(cfg.Users), slices.Clone(cfg.HumanAPI.ExtraScopes)
	for i := range cfg.Users {
		values[fmt.Sprintf("user %d", i+1)] = &cfg.Users[i]
	}
	for i := range cfg.HumanAPI.ExtraScopes {
		values[fmt.Sprintf("human_api extra_scopes %d", i+1)] = &cfg.HumanAPI.ExtraScopes[i]
	}
	var errs []error
	for option, value := range values {
		errs = append(errs, replacePlaceholders(option, value))
	}
	cfg.ClientIDs = maps.Clone(cfg.ClientIDs)
	for clientType, id := range cfg.ClientIDs {
		errs = append(errs, replacePlaceholders("client_id "+clientType, &id))
		cfg.ClientIDs[clientType] = id
	}
	if cfg.HumanAPI.Clients != nil {
		cfg.HumanAPI.Clients = make(map[string]string)
	}
	for id, secret := range h.HumanAPI.Clients {
		option := "human_api client " + id
		errs = append(errs, replacePlaceholders(option, &id), replacePlaceholders(option, &secret))
		if _, found := cfg.HumanAPI.Clients[id]; found {
			errs = append(errs, fmt.Errorf("%s: duplicate client id %q", option, id))
		}
		cfg.HumanAPI.Clients[id] = secret
	}
	return cfg, errors.Join(errs...)
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

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddy.Destructor            = (*control.State)(nil)
	_ http.Handler                = (*Server)(nil)
)
