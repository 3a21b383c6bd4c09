// Command caddy is Caddy with its standard modules, the plugin, its store module redis,
// and the sandbox for the example and the tests. For production, build Caddy with
// xcaddy, without the sandbox.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-huma/caddy-huma/caddymodule"
	_ "github.com/caddy-huma/caddy-huma/caddymodule/redis"
	_ "github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

func main() { caddycmd.Main() }
