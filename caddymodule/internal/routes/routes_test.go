package routes_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/routes"
)

// TestNames checks the names of the handlers `respond` in Caddyfiles, in a provisioned app
// and in the JSON config.
func TestNames(t *testing.T) {
	for _, test := range []struct {
		name, caddyfile string
		want            []string
	}{
		{"a site", "app.example.com {\n respond /private/huma-token ok\n}", []string{"x app.example.com/private/huma-token"}},
		{"upper case", "App.Example.com {\n respond /Private/Token ok\n}", []string{"x app.example.com/private/token"}},
		{"a name in Unicode", "bücher.example {\n respond /a ok\n}", []string{"x xn--bcher-kva.example/a"}},
		{"two equal ones", "a.example {\n respond /a 1\n respond /a 2\n}", []string{"x a.example/a", "x a.example/a #2"}},
		{"another port", "a.example:8443 {\n respond /a ok\n}", []string{"x a.example:8443/a"}},
		{"global ports", "{\n http_port 8080\n https_port 8443\n}\na.example {\n respond /a ok\n}", []string{"x a.example/a"}},
		{"no host", ":8080 {\n respond /a ok\n}", []string{"x :8080/a"}},
		{"no host, bound to an address", "http:// {\n bind 127.0.0.1\n respond /a ok\n}", []string{"x 127.0.0.1:80/a"}},
		{"a Unix socket", "http:// {\n bind unix//run/caddy.sock\n respond /a ok\n}", []string{"x unix//run/caddy.sock/a"}},
		{"all paths", "a.example {\n respond ok\n}", []string{"x a.example/*"}},
		{"several hosts and paths", "a.example, b.example {\n @x path /x /y\n respond @x ok\n}", []string{"x a.example,…/x,…"}},
		{"handle", "a.example {\n handle /a {\n respond ok\n }\n}", []string{"x a.example/a"}},
		{"handle_path and a path in it", "a.example {\n handle_path /api/* {\n respond /a ok\n }\n}", []string{"x a.example/a"}},
		{"a host matcher within the site", "*.example.com {\n @a host a.example.com\n handle @a {\n respond /a ok\n }\n}", []string{"x a.example.com/a"}},
		{"a named route", "&(r) {\n respond /a ok\n}\na.example {\n invoke r\n}\nb.example {\n invoke r\n}", []string{"x &(r)/a"}},
		{"error routes", "a.example {\n respond /a ok\n handle_errors {\n respond /a error\n }\n}", []string{"x a.example/a", "x a.example/a #2"}},
		{"handle_response", "a.example {\n reverse_proxy localhost:9 {\n @e status 401\n handle_response @e {\n respond /a no\n }\n }\n intercept {\n @e status 500\n handle_response @e {\n respond /b no\n }\n }\n}",
			[]string{"x a.example/b", "x a.example/a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(test.caddyfile), map[string]any{"filename": "Caddyfile"})
			if err != nil {
				t.Fatal(err)
			}
			if names := jsonNames(t, text); !slices.Equal(names, test.want) {
				t.Errorf("JSON: %q, want %q", names, test.want)
			}
			if names := provisionedNames(t, text); !slices.Equal(names, test.want) {
				t.Errorf("provisioned: %q, want %q", names, test.want)
			}
		})
	}
}

func jsonNames(t *testing.T, text []byte) (all []string) {
	var config struct {
		Apps struct {
			HTTP map[string]any `json:"http"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	names := make(routes.Names)
	err := routes.WalkJSON(config.Apps.HTTP, func(p routes.Place, h map[string]any) {
		if h["handler"] == "static_response" {
			all = append(all, names.Unique(p.Name("x")))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func provisionedNames(t *testing.T, text []byte) (all []string) {
	var config caddy.Config
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	base, err := caddy.ProvisionContext(&caddy.Config{AppsRaw: caddy.ModuleMap{"http": config.AppsRaw["http"]}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(base)
	defer cancel()
	app, err := ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	names := make(routes.Names)
	routes.Walk(app.(*caddyhttp.App), func(p routes.Place, h caddyhttp.MiddlewareHandler) {
		if _, ok := h.(*caddyhttp.StaticResponse); ok {
			all = append(all, names.Unique(p.Name("x")))
		}
	})
	return all
}
