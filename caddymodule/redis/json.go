package redis

import "github.com/caddy-huma/caddy-huma/caddymodule/internal/option"

// UnmarshalJSON sets up the store from JSON. Like Caddy, it returns an error for an
// unknown field, but one with a suggestion.
func (r *Redis) UnmarshalJSON(text []byte) error {
	type plain Redis // without this method
	return option.UnmarshalJSON(text, (*plain)(r))
}
