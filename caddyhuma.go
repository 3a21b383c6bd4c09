// Package caddyhuma is the Caddy plugin caddy-huma: importing it registers the
// handlers huma_token and human_api_token, and the admin API /huma/. It is the
// package to build Caddy with:
//
//	xcaddy build --with github.com/caddy-huma/caddy-huma
//
// The store that replicas share is a module of its own, in the package
// github.com/caddy-huma/caddy-huma/caddymodule/redis. The documentation of the
// handlers' options is that of the structs HumaToken and HumanAPIToken in package
// caddymodule.
package caddyhuma

import _ "github.com/caddy-huma/caddy-huma/caddymodule" // registers the modules
