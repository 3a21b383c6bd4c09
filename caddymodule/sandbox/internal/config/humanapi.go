package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// HumanAPI says which clients of Human API Connect are accepted, and how they
// are answered. The zero value is a working one.
type HumanAPI struct {
	// The secret of every accepted client, by client id. Line breaks at a
	// secret's end are dropped. If any is given, the default is not accepted.
	// Default: `hapi1` with the secret `sandbox-secret`.
	Clients map[string]string `json:"clients,omitempty"`

	// How long a session token is good for, in whole seconds. Default: `1h`.
	SessionLifetime caddy.Duration `json:"session_lifetime,omitempty"`

	// How long an id token is good for, in whole seconds. Default: `24h`.
	IDLifetime caddy.Duration `json:"id_lifetime,omitempty"`

	// The scopes that `extra_scopes` may ask for. Default: any.
	ExtraScopes []string `json:"extra_scopes,omitempty"`
}

func (h HumanAPI) session() time.Duration { return time.Duration(h.SessionLifetime) }

func (h HumanAPI) id() time.Duration { return time.Duration(h.IDLifetime) }

// withDefaults shares nothing with the original.
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

func (h HumanAPI) check() error {
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(h.Clients)) {
		if id == "" || h.Clients[id] == "" {
			errs = append(errs, fmt.Errorf("human_api client %q: the id or the secret is empty", id))
		}
	}
	if len(h.Clients) == 0 {
		errs = append(errs, errors.New("human_api client: none is accepted"))
	}
	if h.session() < time.Second {
		errs = append(errs, fmt.Errorf("human_api session_lifetime: %s is less than a second", h.session()))
	}
	if h.id() < time.Second {
		errs = append(errs, fmt.Errorf("human_api id_lifetime: %s is less than a second", h.id()))
	}
	if slices.Contains(h.ExtraScopes, "") {
		errs = append(errs, errors.New("human_api extra_scopes: a scope is empty"))
	}
	return errors.Join(errs...)
}
