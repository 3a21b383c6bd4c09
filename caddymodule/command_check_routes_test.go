package caddymodule_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// The sites in testdata/sites are in the format of errors.txtar: a Caddyfile, and below
// the dashes what check finds in it.
const sitesDir = "../testdata/sites"

// siteSnippets are the snippets of neighbors.txtar.
const siteSnippets = `(auth) {
	forward_auth oauth2-proxy:4180 {
		uri /oauth2/auth
		copy_headers X-Auth-Request-User X-Auth-Request-Email
	}
}
(options) {
	config_file /etc/huma/huma-config.json
	identity oauth2_proxy
	trust forward_auth oauth2-proxy:4180
}
(token) {
	huma_token {
		import options
	}
}
`

// fakeCache is a fake of a cache of responses that stores nothing. Its module name is that
// of cache-handler.
type fakeCache struct{}

func init() {
	caddy.RegisterModule(fakeCache{})
	httpcaddyfile.RegisterHandlerDirective("cache", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return new(fakeCache), nil
	})
}

func (fakeCache) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.cache", New: func() caddy.Module { return new(fakeCache) }}
}

func (fakeCache) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

// siteCases reads a file of testdata/sites. head is the text before the first case.
func siteCases(t *testing.T, name string) (head string, cases []adaptCase) {
	t.Helper()
	head, rest, _ := strings.Cut(readGolden(t, filepath.Join(sitesDir, name)), "\n-- ")
	for text := range strings.SplitSeq(rest, "\n-- ") {
		name, text, _ := strings.Cut(text, " --\n")
		cases = append(cases, newAdaptCase(t, name, text))
	}
	return head + "\n", cases
}

// siteConfig writes a Caddyfile with another huma-config.json than that in /etc/huma.
func siteConfig(t *testing.T, text, humaConfig string) string {
	t.Helper()
	return writeFile(t, "Caddyfile", strings.ReplaceAll(text, "/etc/huma/huma-config.json", humaConfig))
}

// offlineConfig writes a huma-config.json of a service that must not be called.
func offlineConfig(t *testing.T) string {
	t.Helper()
	t.Setenv("HUMA_TEST_SECRET", "sandbox-secret")
	return writeFile(t, "huma-config.json", `{"apiUrl":"http://127.0.0.1:1","projectId":"p1","deploymentId":"d1","clients":{"ios":"c1"},"secret":"sandbox-secret"}`)
}

// findings are the results of the check "routes", and the warnings and problems of the
// others.
func findings(all []checkDocument) string {
	var text strings.Builder
	directive := ""
	for _, c := range all {
		if c.Check != "routes" && c.Result != "warning" && c.Result != "problem" {
			continue
		}
		if c.directive() != directive {
			directive = c.directive()
			fmt.Fprintln(&text, directive)
		}
		fmt.Fprintf(&text, "  %s %s: %s\n", c.Check, c.Result, c.Detail)
		if c.Fix != "" {
			fmt.Fprintf(&text, "    → %s\n", c.Fix)
		}
	}
	return strings.TrimRight(text.String(), "\n")
}

// TestCheckRoutes checks everything that check finds in the sites of testdata/sites.
func TestCheckRoutes(t *testing.T) {
	for name, snippets := range map[string]string{"stories.txtar": "", "neighbors.txtar": siteSnippets} {
		head, cases := siteCases(t, name)
		written := head
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				_, all := runCheck(t, siteConfig(t, snippets+c.input, offlineConfig(t)), "--offline")
				c.check(t, findings(all))
			})
			written += "-- " + c.name + " --\n" + c.String()
		}
		writeGolden(t, filepath.Join(sitesDir, name), written)
	}
}

// caddyfiles returns the Caddyfiles with a token directive in the documentation and in
// testdata, by a name.
func caddyfiles(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	add := func(name, text string) {
		if strings.Contains(text, "huma_token") || strings.Contains(text, "human_api_token") {
			all[name] = text
		}
	}
	read := func(pattern string) []string {
		files, err := filepath.Glob(pattern)
		if err != nil || files == nil {
			t.Fatalf("%s: no files", pattern)
		}
		return files
	}
	for _, file := range slices.Concat(read("../*.md"), read("../docs/*.md"), read("../docs/identity/*.md")) {
		line := 1
		for i, part := range strings.Split(readGolden(t, file), "```") {
			language, text, _ := strings.Cut(part, "\n")
			if i%2 == 1 && (language == "caddyfile" || language == "caddy") { // caddy: with directives of other plugins
				add(fmt.Sprintf("%s:%d", filepath.Base(file), line), text)
			}
			line += strings.Count(part, "\n")
		}
	}
	for _, file := range slices.Concat(read("../Caddyfile.example"), read("../testdata/presets/*.caddyfile")) {
		add(filepath.Base(file), readGolden(t, file))
	}
	return all
}

// trustsLoopback lists the pages of layers that connect from a loopback address. check warns
// of it, and the pages say so.
var trustsLoopback = []string{"istio.md", "tailscale.md"}

// TestCheckRoutesOfDocumentation checks that check finds nothing in the Caddyfiles of the
// documentation and of testdata.
func TestCheckRoutesOfDocumentation(t *testing.T) {
	for name, text := range caddyfiles(t) {
		t.Run(name, func(t *testing.T) {
			_, all := runCheck(t, siteConfig(t, text, offlineConfig(t)), "--offline")
			checked := false
			for _, c := range all {
				page, _, _ := strings.Cut(name, ":")
				if slices.Contains(trustsLoopback, page) && strings.Contains(c.Detail, "trusts loopback addresses") {
					continue
				}
				if checked = checked || c.Check == "routes"; (c.Check == "routes" || c.Check == "identity") && c.Result != "ok" {
					t.Errorf("%+v", c)
				}
			}
			if !checked {
				t.Errorf("%+v", all)
			}
		})
	}
}
