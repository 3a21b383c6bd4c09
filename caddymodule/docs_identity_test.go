package caddymodule_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/cli"
	"github.com/caddy-huma/caddy-huma/internal/golden"
)

// The documentation has Caddyfiles with directives of other plugins, in blocks of the
// language caddy. The plugins are not in go.mod. Here, their directives are fakes that
// authenticate nobody and ignore their options, in the order in which the plugins register
// them: caddy-security (plugin_authz.go) and caddy-tailscale (auth.go). caddy-jwt registers
// no order.
func init() {
	for _, name := range []string{"authorize", "jwtauth", "tailscale_auth"} {
		httpcaddyfile.RegisterHandlerDirective(name, func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
			return caddyauth.Authentication{ProvidersRaw: caddy.ModuleMap{"test_portal": json.RawMessage("{}")}}, nil
		})
	}
	httpcaddyfile.RegisterDirectiveOrder("authorize", httpcaddyfile.Before, "basicauth")
	httpcaddyfile.RegisterDirectiveOrder("tailscale_auth", httpcaddyfile.After, "basicauth")
	httpcaddyfile.RegisterGlobalOption("security", func(*caddyfile.Dispenser, any) (any, error) { return nil, nil })
}

// identityCommand matches a documented command with its output.
var identityCommand = regexp.MustCompile("(?s)```console\n\\$ caddy huma identity (.*?[^\\\\])\n(.*?)```\n")

// TestDocs_IdentityCommands checks the output of the caddy huma identity commands in the
// pages of the authentication layers.
func TestDocs_IdentityCommands(t *testing.T) {
	files, err := filepath.Glob("../docs/identity/*.md")
	if err != nil || files == nil {
		t.Fatalf("no pages (%v)", err)
	}
	commands := 0
	for _, file := range files {
		old := readGolden(t, file)
		text := identityCommand.ReplaceAllStringFunc(old, func(block string) string {
			commands++
			m := identityCommand.FindStringSubmatch(block)
			return strings.TrimSuffix(block, m[2]+"```\n") + run(t, cli.IdentityCommand(), words(m[1])...).out + "```\n"
		})
		switch {
		case text == old:
		case !*golden.Update:
			t.Errorf("%s: the output of a command is outdated; run go generate ./... to update it. Want:\n%s", file, text)
		default:
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if commands == 0 {
		t.Error("no page has a command")
	}
}

// words splits a shell command of words and words in single quotes.
func words(command string) (all []string) {
	for _, m := range regexp.MustCompile(`'([^']*)'|[^\s\\]+`).FindAllStringSubmatch(command, -1) {
		if strings.HasPrefix(m[0], "'") {
			all = append(all, m[1])
		} else {
			all = append(all, m[0])
		}
	}
	return all
}
