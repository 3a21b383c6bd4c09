package caddymodule_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// directive returns a valid huma_token with changes.
func directive(changes ...string) string { return humaToken.lines(changes...) }

// validateText checks the directives of one site as `caddy validate` does.
func validateText(t testing.TB, directives string) error {
	t.Helper()
	config, _, err := adaptText("{\nadmin off\npersist_config off\n}\nhttp://127.0.0.1:1 {\n" + directives + "\n}\n")
	if err != nil {
		t.Fatalf("adapt: %v\n%s", err, directives)
	}
	return validateJSON(t, config)
}

// validateJSON is like validateText for a whole config in JSON.
func validateJSON(t testing.TB, config []byte) error {
	t.Helper()
	if _, ok := os.LookupEnv("HUMA_TEST_SECRET"); !ok {
		t.Setenv("HUMA_TEST_SECRET", "a secret of tests")
	}
	cfg := new(caddy.Config)
	if err := caddy.StrictUnmarshalJSON(config, cfg); err != nil {
		return err
	}
	return caddy.Validate(cfg)
}

// directiveError matches errors that a directive returns when it is provisioned.
var directiveError = regexp.MustCompile(`(?s)provision http\.handlers\.(?:huma_token|human_api_token): (.*)`)

// problemsIn returns the problems that a directive reports in an error, one per line.
func problemsIn(t testing.TB, err error) []string {
	t.Helper()
	if err == nil {
		t.Error("the config is valid, want an error")
		return nil
	}
	found := directiveError.FindStringSubmatch(err.Error())
	if found == nil {
		t.Errorf("not an error of the directive: %v", err)
		return nil
	}
	return strings.Split(found[1], "\n")
}

// wantProblem checks that there is exactly one problem, and that it contains the option
// and the other texts.
func wantProblem(t testing.TB, err error, option string, message ...string) {
	t.Helper()
	found := problemsIn(t, err)
	if len(found) != 1 {
		t.Errorf("%d problems, want 1:\n%s", len(found), strings.Join(found, "\n"))
	}
	for _, want := range append(message, option) {
		if !strings.Contains(strings.Join(found, "\n"), want) {
			t.Errorf("the error does not contain %q:\n%s", want, strings.Join(found, "\n"))
		}
	}
}

func TestConfigLoads(t *testing.T) {
	for name, changes := range map[string][]string{
		"minimal":              nil,
		"no secret needed":     {"secret", "signature off"},
		"all from config_file": {"api", "project_id", "deployment_id", "client_id", "secret", "config_file " + writeFile(t, "huma-config.json", `{"apiUrl":"huma.example","projectId":"p1","deploymentId":"d1","clientId":"c1","secret":"s1"}`)},
		"api with a path":      {"api https://huma.example:8443/base/"},
		"api on localhost":     {"api http://localhost:1"},
		"api on a subdomain":   {"api http://huma.localhost"},
		"api on loopback":      {"api http://127.9.9.9:1"},
		"api on IPv6 loopback": {"api http://[::1]:1"},
		"no deployment":        {"deployment_id off"},
		"another edition":      {"deployment_id off", "secret", "signature off", "sign_in {\npath /signin\nbody a {env.HUMA_TEST_SECRET}\n}", "sign_up {\npath /signup\n}"},
		"hawk":                 {"signature hawk {\nid key1\n}"},
		"own Authorization":    {"header_up Authorization {env.HUMA_TEST_SECRET}"},
		"literal braces":       {`secret "a\{b}c"`},
		"header and trust":     {"identity authelia", "trust forward_auth"},
		"header and proxies":   {"identity authelia", "trust proxies 127.0.0.1 10.0.0.0/8 private_ranges"},
		"custom placeholders":  {"identity {\nemail {user_email}\nname {http.vars.name}\n}"},
		"a short variable":     {"identity {\nemail {vars.user_email}\n}"},
		"a short response":     {"identity {\nemail {rp.header.Remote-Email}\n}"},
		"a short certificate":  {"identity {\nemail {tls_client_subject}\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := validateText(t, directive(changes...)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHumanAPIConfigLoads(t *testing.T) {
	for name, changes := range map[string][]string{
		"minimal":                 nil,
		"api with a path":         {"api https://auth.humanapi.example:8443/base/"},
		"api on localhost":        {"api http://localhost:1"},
		"api on loopback":         {"api http://127.9.9.9:1"},
		"scopes":                  {`extra_scopes one "two words" {env.HUMA_TEST_SECRET}`},
		"literal braces":          {`client_secret "a\{b}c"`},
		"an id alone":             {"identity {\nuser_id {http.auth.user.id}\n}"},
		"an id and an address":    {"identity {\nuser_id {user_id}\nemail {user_email}\nverified {http.vars.verified}\ndomains x.example\n}"},
		"header and trust":        {"identity authelia", "trust forward_auth"},
		"header and proxies":      {"identity {\nuser_id Remote-User\n}", "trust proxies 127.0.0.1 10.0.0.0/8 private_ranges"},
		"a token longer than any": {"cache 1000h"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := validateText(t, humanAPIToken.lines(changes...)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMissingCredentials(t *testing.T) {
	for _, d := range bothDirectives {
		for option := range d.good {
			t.Run(d.name+" "+option, func(t *testing.T) {
				wantProblem(t, validateText(t, d.lines(option)), option+":")
			})
		}
		t.Run(d.name+" all", func(t *testing.T) {
			found := problemsIn(t, validateText(t, d.name+"\n"))
			if len(found) != len(d.good) {
				t.Errorf("%d problems, want one for each option:\n%s", len(found), strings.Join(found, "\n"))
			}
			for option := range d.good {
				if !strings.Contains(strings.Join(found, "\n"), option+":") {
					t.Errorf("%s is not named:\n%s", option, strings.Join(found, "\n"))
				}
			}
		})
	}
	t.Run("empty ids of JSON", func(t *testing.T) {
		for _, ids := range []string{`""`, `{}`, `{"ios":""}`, `{"ios":"c1","web":""}`} {
			wantProblem(t, validateJSON(t, handlerJSON(t, "client_id", ids)), "client_id:")
		}
	})
}

func TestMissingCredentialsInConfigFile(t *testing.T) {
	file := writeFile(t, "huma-config.json", `{"api":{"baseUrl":"https://CANARY1.example"},"project-id":"CANARY2","internal_key_hint":"CANARY3","secretary":"CANARY4"}`)
	err := validateText(t, directive("api", "project_id", "deployment_id", "client_id", "secret", "config_file "+file))
	found := problemsIn(t, err)
	if len(found) != 3 {
		t.Errorf("%d problems, want 3:\n%s", len(found), strings.Join(found, "\n"))
	}
	for _, option := range []string{"deployment_id", "client_id", "secret"} {
		n := slices.IndexFunc(found, func(line string) bool { return strings.Contains(line, option+":") })
		if n < 0 {
			t.Errorf("%s is not named:\n%s", option, strings.Join(found, "\n"))
			continue
		}
		for _, member := range []string{"api.baseUrl", "project-id", "internal_key_hint", "secretary"} {
			if !strings.Contains(found[n], member) {
				t.Errorf("%s: the member %s is not named: %s", option, member, found[n])
			}
		}
	}
	if strings.Contains(err.Error(), "CANARY") {
		t.Errorf("the error contains values: %v", err)
	}

	// Options that the file would have set are not reported as missing.
	file = writeFile(t, "huma-config.json", `{"secret":"CANARY1","SECRET":"CANARY2"}`)
	err = validateText(t, directive("project_id", "secret", "config_file "+file))
	wantProblem(t, err, "config_file:", "have different values")
	if strings.Contains(err.Error(), "CANARY") {
		t.Errorf("the error contains a value: %v", err)
	}
}

// placeholderLines holds lines in which the value of an option is a placeholder, by
// option.
var placeholderLines = map[*tokenDirective]map[string]string{
	humaToken: {
		"config_file":        "config_file %s",
		"api":                "api https://%s/",
		"project_id":         "project_id %s",
		"deployment_id":      "deployment_id d%s",
		"client_id":          "client_id %s",
		"secret":             "secret %s",
		"header_name":        "signature hmac-sha256 {\nheader_name %s\n}",
		"id":                 "signature hawk {\nid %s\n}",
		"header_up":          "header_up X-Key %s",
		"sign_in":            "sign_in {\npath /%s\n}",
		"sign_up":            "sign_up {\nbody key `{\"a\":[\"%s\"]}`\n}",
		"ca":                 "tls {\nca %s\n}",
		"client_certificate": "tls {\nclient_certificate %[1]s %[1]s\n}",
		"timezone":           "registration {\ntimezone %s\n}",
		"language":           "registration {\nlanguage %s\n}",
		"activation_code":    "registration {\nactivation_code %s\n}",
		"attribute":          "registration {\nattribute key %s\n}",
	},
	humanAPIToken: {
		"api":           "api https://%s/",
		"client_id":     "client_id %s",
		"client_secret": "client_secret %s",
		"extra_scopes":  "extra_scopes one %s",
	},
	nil: { // of both directives
		"identity":        "identity %s",
		"domains":         "identity basic_auth {\ndomains %s\n}",
		"trust":           "trust forward_auth %s",
		"jwks":            "identity google_iap {\nverify {\naudience a\njwks %s\n}\n}",
		"issuer":          "identity google_iap {\nverify {\naudience a\nissuer %s\n}\n}",
		"audience":        "identity google_iap {\nverify {\naudience a %s\n}\n}",
		"ca":              "identity google_iap {\nverify {\naudience a\nca %s\n}\n}",
		"require":         "identity google_iap {\nverify {\naudience a\nrequire azp %s\n}\n}",
		"signer":          "identity aws_alb {\nverify {\nsigner %s\n}\n}",
		"userinfo":        "userinfo http://%s/me {\nemail email\nuser_id id\n}",
		"forward_headers": "userinfo http://localhost/me {\nemail email\nuser_id id\nforward_headers Cookie %s\n}",
		"email":           "userinfo http://localhost/me {\nemail %s\nuser_id id\n}",
		"user_id":         "userinfo http://localhost/me {\nemail email\nuser_id %s\n}",
		"last_name":       "userinfo http://localhost/me {\nemail email\nuser_id id\nlast_name %s\n}",
		"hash_key":        "hash_key %s",
	},
}

// TestPlaceholderProblems checks that each option that expands placeholders reports each
// kind of mistake in a placeholder, once.
func TestPlaceholderProblems(t *testing.T) {
	t.Setenv("HUMA_TEST_EMPTY", "")
	empty := writeFile(t, "empty", "\n\n")
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	cases := []struct{ placeholder, message string }{
		{"{env.HUMA_TEST_UNSET}", "HUMA_TEST_UNSET is not set"},
		{"{env.HUMA_TEST_EMPTY}", "HUMA_TEST_EMPTY is empty"},
		{"{file." + nowhere + "}", nowhere + ": no such file"},
		{"{file." + empty + "}", empty + " is empty"},
		{"{file.secret}", "{file./run/secrets/name}"},
		{"{http.request.host}", "{env.NAME}"},
		{"x{absent.placeholder}y", "{env.NAME}"},
	}
	check := func(t *testing.T, d *tokenDirective, option, line string) {
		problems := 1
		if option == "identity" || option == "client_certificate" {
			problems = 2 // also that there is no source of the user, or the other file
		}
		for _, c := range cases {
			changes := []string{fmt.Sprintf(line, c.placeholder)}
			switch {
			case option == "trust":
				changes = append(changes, "identity authelia")
			case strings.HasPrefix(line, "userinfo"):
				changes = append(changes, "identity")
			}
			found := problemsIn(t, validateText(t, d.lines(changes...)))
			if want := option + ":"; len(found) != problems || !strings.Contains(found[0], want) || !strings.Contains(found[0], c.message) {
				t.Errorf("%s: the error is not %d problems with %q and %q:\n%s", c.placeholder, problems, want, c.message, strings.Join(found, "\n"))
			}
		}
	}
	for _, d := range bothDirectives {
		for _, lines := range []map[string]string{placeholderLines[d], placeholderLines[nil]} {
			for option, line := range lines {
				t.Run(d.name+" "+option, func(t *testing.T) { check(t, d, option, line) })
			}
		}
	}
	for _, c := range cases[:2] { // the Caddyfile parser rejects the others
		wantProblem(t, validateText(t, directive("registration {\nrate "+c.placeholder+"\n}")), "rate:", c.message)
		for _, d := range bothDirectives {
			wantProblem(t, validateText(t, d.lines("identity authelia", "trust proxies 10.0.0.0/8 "+c.placeholder)), "trust:", c.message)
		}
	}
}
