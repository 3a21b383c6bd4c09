package caddymodule_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/humanapitoken"
	"github.com/caddy-huma/caddy-huma/caddymodule/humatoken"
)

// tokenDirective describes a directive for the tests of configs, so that common
// behavior is tested with both directives.
type tokenDirective struct {
	name, path string
	service    service
	config     reflect.Type
	new        func() caddyhttp.MiddlewareHandler

	// identityOption is the option whose source identifies the user.
	identityOption string

	// own holds the options that the other directive does not have or parses
	// differently.
	own map[string]directiveOption

	// good holds the lines of a valid directive, by option.
	good map[string]string

	// json holds the members of a valid handler.
	json map[string]any

	// literals holds lines that contain the secret LITERAL, by option.
	literals map[string][]string
}

var humaToken = &tokenDirective{
	name:           "huma_token",
	path:           "/private/huma-token",
	service:        humaService,
	config:         reflect.TypeFor[humatoken.HumaToken](),
	new:            func() caddyhttp.MiddlewareHandler { return new(humatoken.HumaToken) },
	identityOption: "email",
	own: map[string]directiveOption{
		"config_file":   {line: "config_file huma-config.json"},
		"api":           {line: "api https://huma.example"},
		"project_id":    {line: "project_id p1"},
		"deployment_id": {line: "deployment_id d1"},
		"client_id":     {line: "client_id c1", repeatable: true},
		"secret":        {line: "secret {env.HUMA_SECRET}"},
		"signature":     {line: "signature hawk", block: "id key1"},
		"header_up":     {line: "header_up X-Key {env.HUMA_KEY}", repeatable: true},
		"sign_in":       {block: "path /auth/v1/private/signin", blockAlone: true},
		"sign_up":       {block: "omit ipAddress", blockAlone: true},
		"tls":           {block: "ca ca.pem", blockAlone: true},
		"registration":  {line: "registration off", block: "hold 1m", blockAlone: true, off: true},
		"client_type":   {line: "client_type ios"},
	},
	good: map[string]string{
		"api":           "api https://huma.example",
		"project_id":    "project_id p1",
		"deployment_id": "deployment_id d1",
		"client_id":     "client_id c1",
		"secret":        "secret {env.HUMA_TEST_SECRET}",
		"identity":      "identity basic_auth",
	},
	json: map[string]any{
		"api":           "https://huma.example",
		"project_id":    "p1",
		"deployment_id": "d1",
		"client_id":     "c1",
		"secret":        "{env.HUMA_TEST_SECRET}",
	},
	literals: map[string][]string{
		"secret":          {"secret LITERAL"},
		"header_up":       {"header_up X-Key LITERAL"},
		"activation_code": {"registration {", "activation_code LITERAL", "}"},
	},
}

var humanAPIToken = &tokenDirective{
	name:           "human_api_token",
	path:           "/private/human-api-token",
	service:        humanAPIService,
	config:         reflect.TypeFor[humanapitoken.HumanAPIToken](),
	new:            func() caddyhttp.MiddlewareHandler { return new(humanapitoken.HumanAPIToken) },
	identityOption: "user_id",
	own: map[string]directiveOption{
		"api":           {line: "api https://auth.humanapi.example"},
		"client_id":     {line: "client_id hapi1"},
		"client_secret": {line: "client_secret {env.HUMAN_API_SECRET}"},
		"extra_scopes":  {line: "extra_scopes one two", list: true},

		"refresh_tokens": {line: "refresh_tokens storage", block: "encryption_keys {env.KEY}"},
	},
	good: map[string]string{
		"client_id":     "client_id hapi1",
		"client_secret": "client_secret {env.HUMA_TEST_SECRET}",
		"identity":      "identity basic_auth",
	},
	json: map[string]any{
		"client_id":     "hapi1",
		"client_secret": "{env.HUMA_TEST_SECRET}",
	},
	literals: map[string][]string{
		"client_secret": {"client_secret LITERAL"},
	},
}

// bothDirectives lists all token directives.
var bothDirectives = []*tokenDirective{humaToken, humanAPIToken}

// sharedOptions holds the options that both directives have.
var sharedOptions = map[string]directiveOption{
	"identity":        {line: "identity authelia", block: "email X-User", blockAlone: true},
	"trust":           {line: "trust proxies 10.0.0.0/8", list: true},
	"userinfo":        {line: "userinfo http://localhost:3000/api/me", block: "email user.email"},
	"cache":           {line: "cache 10s", block: "max_entries 10", blockAlone: true},
	"no_cache":        {line: "no_cache ignore"},
	"timeout":         {line: "timeout 8s"},
	"attempt_timeout": {line: "attempt_timeout 3s"},
	"retries":         {line: "retries 0"},
	"breaker":         {line: "breaker off", block: "failures 5", blockAlone: true, off: true},
	"max_concurrent":  {line: "max_concurrent 8"},
	"max_waiting":     {line: "max_waiting 16"},
	"errors":          {line: "errors caddy"},
	"cross_site":      {line: "cross_site allow"},
	"allow_origins":   {line: "allow_origins https://app.example.com capacitor://localhost", list: true},
	"trace_upstream":  {line: "trace_upstream on"},
	"hash_key":        {line: "hash_key {env.HUMA_HASH_KEY}"},
}

// sharedLiterals is tokenDirective.literals of the shared options.
var sharedLiterals = map[string][]string{
	"hash_key": {"hash_key LITERAL"},
	"password": {"cache {", "redis {", "password LITERAL", "}", "}"},
}

// options returns all options of the directive.
func (d *tokenDirective) options() map[string]directiveOption {
	all := maps.Clone(sharedOptions)
	maps.Copy(all, d.own)
	return all
}

// text returns a Caddyfile with the given lines in the block of the directive.
// The first of them is line 3 of the file.
func (d *tokenDirective) text(lines ...string) string {
	return "http://localhost {\n\t" + d.name + " {\n\t\t" + strings.Join(lines, "\n\t\t") + "\n\t}\n}\n"
}

// lines returns the lines of a valid directive with changes: the lines of an
// option replace those in good, and its name alone removes it.
func (d *tokenDirective) lines(changes ...string) string {
	lines := maps.Clone(d.good)
	for _, change := range changes {
		option, _, some := strings.Cut(change, " ")
		if !some {
			delete(lines, option)
			continue
		}
		lines[option] = change
	}
	return d.name + " {\n" + strings.Join(slices.Collect(maps.Values(lines)), "\n") + "\n}\n"
}

// convertLines converts lines of huma_token to lines of this directive: the option
// email becomes the option that identifies the user.
func (d *tokenDirective) convertLines(lines ...string) []string {
	lines = slices.Clone(lines)
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(line, "\nemail ", "\n"+d.identityOption+" ")
	}
	return lines
}

// convertOption converts the name of an option of huma_token, as convertLines does.
func (d *tokenDirective) convertOption(option string) string {
	if rest, ok := strings.CutPrefix(option, "email"); ok {
		return d.identityOption + rest
	}
	return option
}

// convertMessages converts parts of error messages of huma_token, as convertLines does.
func (d *tokenDirective) convertMessages(parts ...string) []string {
	examples := strings.NewReplacer()
	if d == humanAPIToken {
		examples = strings.NewReplacer("email <source>", "user_id <source>", "email Authorization email", "user_id Authorization sub", "email user.email", "user_id user.id")
	}
	parts = slices.Clone(parts)
	for i, part := range parts {
		parts[i] = examples.Replace(part)
	}
	return parts
}

// credentials returns the options that match the defaults of the sandbox.
func (d *tokenDirective) credentials(h *fakeHuma) string {
	if d == humaToken {
		return h.credentials() + "client_type ios\n"
	}
	return d.service.options(h)
}

// site, target and token are those of the service.
func (d *tokenDirective) site(h *fakeHuma, more string) string { return d.service.site(h, more) }

func (d *tokenDirective) target() string { return d.service.target() }

func (d *tokenDirective) token(t testing.TB, a *response) string {
	t.Helper()
	return a.token(t, d.service)
}
