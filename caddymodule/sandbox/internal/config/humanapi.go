package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// HumanAPI is the configuration of Human API Connect: the clients that it accepts, the
// lifetimes of tokens and the allowed scopes. The zero value is valid.
type HumanAPI struct {
	// The secrets of the accepted clients by client id. Line breaks at the end of a
	// secret are removed. If it is set, it replaces the default.
	// Default: `hapi1` with the secret `sandbox-secret`.
	Clients map[string]string `json:"clients,omitempty"`

	// The lifetime of a session token, in whole seconds. Default: `1h`.
	SessionLifetime caddy.Duration `json:"session_lifetime,omitempty"`

	// The lifetime of an id token, in whole seconds. Default: `24h`.
	IDLifetime caddy.Duration `json:"id_lifetime,omitempty"`

	// The scopes that are allowed in `extra_scopes` of a request. Default: any.
	ExtraScopes []string `json:"extra_scopes,omitempty"`
}

// withDefaults returns a deep copy of h with defaults for all fields that are not set.
func (h HumanAPI) withDefaults() HumanAPI {
	h.Clients = maps.Clone(h.Clients)
	h.ExtraScopes = slices.Clone(h.ExtraScopes)
	if h.Clients == nil {
		h.Clients = map[string]string{"hapi1": "sandbox-secret"}
	}
	setDefault(&h.SessionLifetime, caddy.Duration(time.Hour))
	setDefault(&h.IDLifetime, caddy.Duration(24*time.Hour))
	return h
}

// check returns everything that is invalid in a configuration with defaults.
func (h HumanAPI) check() error {
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(h.Clients)) {
		if id == "" || h.Clients[id] == "" {
			errs = append(errs, fmt.Errorf("human_api client %q: the client id and the secret must not be empty", id))
		}
	}
	if len(h.Clients) == 0 {
		errs = append(errs, errors.New("human_api client: at least one client is required"))
	}
	errs = append(errs, checkLifetime("human_api session_lifetime", h.SessionLifetime), checkLifetime("human_api id_lifetime", h.IDLifetime))
	if slices.Contains(h.ExtraScopes, "") {
		errs = append(errs, errors.New("human_api extra_scopes: a scope must not be empty"))
	}
	return errors.Join(errs...)
}
