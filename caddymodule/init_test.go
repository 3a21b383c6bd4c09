package caddymodule_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/scaffold"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// initVariables are the environment variables of caddy huma init, by option.
var initVariables = map[string]string{
	"AUTH_SERVER":     "http://auth.internal:9091",
	"TRUSTED_PROXIES": "10.0.0.0/8 192.0.2.1",
	"USER_EMAIL":      "alice@clinic.example",
	"PASSWORD_HASH":   "$2a$14$x4HlYwA9Zeer4RkMEYbUzug9XxWmncneR.dcMs.UjalR95URnHg5.",
	"JWKS":            "https://keys.clinic.example/jwks.json",
	"ISSUER":          "https://clinic.cloudflareaccess.com",
	"AUDIENCE":        "clinic",
	"SIGNER":          "arn:aws:elasticloadbalancing:eu-west-2:123456789012:loadbalancer/app/name/50dc6c495c0c9188",
	"VERIFIED":        "assumed",
}

// initOwn are the variables for which a preset needs another value.
var initOwn = map[string]map[string]string{
	"entra":    {"AUDIENCE": "00001111-aaaa-2222-bbbb-3333cccc4444"},
	"pomerium": {"AUDIENCE": "app.clinic.example"},
}

// TestInit checks that the site of each preset is formatted, and loads with its
// variables set.
func TestInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a directory # with blanks")
	must(t, os.Mkdir(dir, 0o700))
	plain := humaConfig(t, newHuma(t, sandbox.Config{}))
	blanks := filepath.Join(dir, "huma-config.json")
	must(t, os.Rename(plain, blanks))
	must(t, os.Symlink(blanks, plain))
	for _, p := range presets.All() {
		t.Run(p.Name, func(t *testing.T) {
			for _, variables := range []map[string]string{initVariables, initOwn[p.Name]} {
				for name, value := range variables {
					t.Setenv("HUMA_"+name, value)
				}
			}
			if d := p.Provider; d != nil {
				t.Setenv("HUMA_"+strings.ToUpper(d.Parameters[0].Option), d.Parameters[0].Example)
			}
			combinations := [][]string{
				{"--config-file", plain},
				{"--config-file", blanks, "--host", "http://localhost:8080", "--app", "localhost:3000"},
			}
			if p.AuthPath != "" {
				combinations = append(combinations, []string{"--config-file", plain, "--auth-server", "https://auth.clinic.example", "--app", "h2c://app:3000"})
			}
			for _, args := range combinations {
				checkInit(t, p, args)
			}
		})
	}
}

// checkInit runs the command, and loads its output.
func checkInit(t *testing.T, p presets.Preset, args []string) {
	t.Helper()
	out := run(t, scaffold.Command(), append(args, "--preset", p.Name)...).ends(0, "# check:", "huma_token {", "identity "+p.Name).out
	if formatted := string(caddyfile.Format([]byte(out))); formatted != out {
		t.Errorf("not formatted:\n%s", out)
	}
	for _, header := range p.Headers() {
		if !strings.Contains(out, "request>headers>"+header+" delete\n") {
			t.Errorf("%s is not deleted from logs:\n%s", header, out)
		}
	}
	for i, value := range args {
		if i%2 == 1 && !strings.Contains(out, value) {
			t.Errorf("without %s:\n%s", value, out)
		}
	}
	text, warnings, err := adaptText(out)
	if err != nil || warnings != nil {
		t.Fatalf("%v %v:\n%s", warnings, err, out)
	}
	var config caddy.Config
	must(t, caddy.StrictUnmarshalJSON(text, &config))
	if err := caddy.Validate(&config); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestInit_Unset checks that a site does not load while a variable is not set: nothing is
// assumed about who users are. (With basic_auth there are no users then, and trust
// proxies means those of the server.)
func TestInit_Unset(t *testing.T) {
	for _, p := range presets.All() {
		out := run(t, scaffold.Command(), "--preset", p.Name).ends(0).out
		if p.Name == "basic_auth" || !strings.Contains(out, "{$HUMA_") || strings.Contains(out, "trust proxies") {
			continue
		}
		if _, _, err := adaptText(out); err == nil || !strings.Contains(err.Error(), "is the environment variable set?") {
			t.Errorf("%s: %v:\n%s", p.Name, err, out)
		}
	}
}

func TestInitUsage(t *testing.T) {
	for args, part := range map[string]string{
		"":                       "--preset is required",
		"--preset authelio":      "(did you mean 'authelia'?)",
		"--preset authelia x":    `unexpected argument "x"`,
		"--presett authelia":     "(did you mean '--preset'?)",
		"--preset istio --host=": "--host must not be empty",
		"--preset firebase --auth-server https://a.example": "--auth-server: the preset firebase is not that of an auth server; these are: authelia, authentik,",
		"--preset authelia --app a{b":                       "--app must not contain",
		"--preset authelia --config-file a\"b":              "--config-file must not contain",
	} {
		run(t, scaffold.Command(), strings.Fields(args)...).fails(2, part)
	}
}
