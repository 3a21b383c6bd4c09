package main

import (
	"strings"
	"testing"
)

// TestUsageErrors checks the exit code of wrong usage, and that the error says what to
// write instead.
func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		part string // of standard error
	}{
		{"huma", 0, ""},
		{"huma nosuch", 2, `unknown command "nosuch" of caddy huma; `},
		{"huma chek", 2, `unknown command "chek" of caddy huma (did you mean 'check'?)`},
		{"huma --preset", 2, "unknown flag: --preset; "},
		{"huma token --emial a@x.example", 2, "unknown flag: --emial (did you mean '--email'?)"},
		{"huma token -x", 2, "unknown shorthand flag: 'x' in -x"},
		{"huma token alice@x.example", 2, `unexpected argument "alice@x.example": caddy huma token takes flags only`},
		{"huma check Caddyfile", 2, `unexpected argument "Caddyfile"`},
		{"huma check --timeout x", 2, "--timeout"},
		{"huma presets authelio", 2, "(did you mean 'authelia'?)"},
		{"huma presets authelia authentik", 2, "at most 1"},
		{"huma identity --preset google", 2, "(did you mean 'google_iap'?)"},
		{"huma identity --hash-key k --email a@x.example --directive human_api_tokens", 2, "(did you mean 'human_api_token'?)"},
	} {
		code, _, log := output(t, caddyCommand(t, nil, strings.Fields(c.args)...))
		if code != c.code || !strings.Contains(log, c.part) {
			t.Errorf("%s: exit code %d, want %d; %q is not in %s", c.args, code, c.code, c.part, log)
		}
	}
}

// TestCompletion checks the values that the shell completes.
func TestCompletion(t *testing.T) {
	for args, want := range map[string]string{
		"huma":                      "check identity init presets token",
		"huma presets":              "authelia authentik zitadel",
		"huma presets authelia":     "",
		"huma identity --preset":    "authelia auth0 zitadel",
		"huma identity --directive": "huma_token human_api_token",
		"huma identity --adapter":   "caddyfile",
		"huma token --client-type":  "ios android web",
		"huma token --directive":    "huma_token human_api_token",
		"huma token --adapter":      "caddyfile",
		"huma check --adapter":      "caddyfile",
		"huma check --json":         "",
	} {
		code, out, log := output(t, caddyCommand(t, nil, append(append([]string{"__complete"}, strings.Fields(args)...), "")...))
		if code != 0 {
			t.Errorf("%s: exit code %d: %s", args, code, log)
		}
		var values []string
		for line := range strings.Lines(out) {
			value, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			values = append(values, value)
		}
		all := " " + strings.Join(values, " ") + " "
		for _, v := range strings.Fields(want) {
			if !strings.Contains(all, " "+v+" ") {
				t.Errorf("%s: %q is not completed: %s", args, v, all)
			}
		}
		if want == "" && len(values) != 1 { // the last line is the directive of cobra
			t.Errorf("%s: completed %s", args, all)
		}
	}
}
