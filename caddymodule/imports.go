// Package caddymodule is the Caddy plugin caddy-huma. Importing it registers the
// handlers huma_token (package humatoken) and human_api_token (package
// humanapitoken), the admin API below /huma/, and the command `caddy huma`.
package caddymodule

import (
	_ "github.com/caddy-huma/caddy-huma/caddymodule/humanapitoken"
	_ "github.com/caddy-huma/caddy-huma/caddymodule/humatoken"
	_ "github.com/caddy-huma/caddy-huma/caddymodule/internal/admin"
	_ "github.com/caddy-huma/caddy-huma/caddymodule/internal/cli"
)
