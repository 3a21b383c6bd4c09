// Package caddyhuma is the Caddy plugin caddy-huma: importing it registers the
// handlers huma_token and human_api_token, and the admin API /huma/. It is the
// package to build Caddy with:
//
//	xcaddy build --with github.com/caddy-huma/caddy-huma
//
// The store that replicas share is a module of its own, in the package
// github.com/caddy-huma/caddy-huma/caddymodule/redis. The options are documented at
// HumaToken in package humatoken, and at HumanAPIToken in package humanapitoken.
package caddyhuma

import _ "github.com/caddy-huma/caddy-huma/caddymodule" // registers the modules
