package caddymodule_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestSecretsAreNotInErrors checks invalid secrets in several options and forms.
func TestSecretsAreNotInErrors(t *testing.T) {
	t.Setenv("HUMA_TEST_LINES", "CANARY\r\nX-Other: CANARY")
	t.Setenv("HUMA_TEST_URL", "https://user:CANARY@huma.example/%zz")
	t.Setenv("HUMA_TEST_SIG", "CANARY{sig.nothing}CANARY")
	key := "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n"
	for name, changes := range map[string][]string{
		"secret with braces":          {"secret CAN{CANARY}ARY"},
		"secret with a request's":     {"secret CANARY{http.request.CANARY}"},
		"secret beside a placeholder": {"secret CANARY{env.HUMA_TEST_UNSET}"},
		"hash_key with braces":        {"hash_key {CANARY}"},
		"body with braces":            {"sign_up {\nbody a `\"x{CANARY}\"`\n}"},
		"body with an address":        {"sign_up {\nbody email `\"CANARY\"`\n}"},
		"activation_code with braces": {"registration {\nactivation_code x{CANARY}\n}"},
		"header_up with braces":       {"header_up X-Key a{CANARY}"},
		"header_up with lines":        {"header_up X-Key {env.HUMA_TEST_LINES}"},
		"header_up with a signature":  {"header_up X-Key {env.HUMA_TEST_SIG}"},
		"reserved header_up":          {"header_up Host {env.HUMA_TEST_SIG}"},
		"api with a password":         {"api https://user:CANARY@huma.example"},
		"api that is no URL":          {"api {env.HUMA_TEST_URL}"},
		"api with a key":              {"api https://huma.example/?key=CANARY"},
		"upstream with a password":    {"identity authelia", "trust forward_auth http://user:CANARY@authelia:9091"},
		"a key that is none":          {"tls {\nclient_certificate " + writeFile(t, "cert.pem", key) + " " + writeFile(t, "key.pem", key) + "\n}"},
		"deployment_id with lines":    {"deployment_id {env.HUMA_TEST_LINES}"},

		"human_api_token: secret with braces":          {"client_secret CAN{CANARY}ARY"},
		"human_api_token: secret with a request's":     {"client_secret CANARY{http.request.CANARY}"},
		"human_api_token: secret beside a placeholder": {"client_secret CANARY{env.HUMA_TEST_UNSET}"},
		"human_api_token: hash_key with braces":        {"hash_key {CANARY}"},
		"human_api_token: api with a password":         {"api https://user:CANARY@auth.humanapi.example"},
		"human_api_token: api that is no URL":          {"api {env.HUMA_TEST_URL}"},
		"human_api_token: api with a key":              {"api https://auth.humanapi.example/?key=CANARY"},
		"human_api_token: everything else missing":     {"client_secret CANARY", "client_id", "identity"},
	} {
		t.Run(name, func(t *testing.T) {
			d := humaToken
			if strings.HasPrefix(name, "human_api_token: ") {
				d = humanAPIToken
			}
			err := validateText(t, d.lines(changes...))
			if err == nil {
				t.Fatal("the config is valid, want an error")
			}
			if strings.Contains(err.Error(), "CANARY") {
				t.Errorf("the error contains the secret: %v", err)
			}
		})
	}
}

// TestSecretWithBraces checks that the notation for literal braces that errors propose
// works.
func TestSecretWithBraces(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}, Secret: "a{b}c"})
	text := strings.Replace(simpleSite(huma, ""), "secret sandbox-secret", `secret a\{b}c`, 1)
	serve(t, text).request("GET", iosPath, as("a@x.example")).tokens(t)
}

func TestAPIAddresses(t *testing.T) {
	for raw, message := range map[string]string{
		"http://huma.example":          "https",
		"https://user:pw@huma.example": "password",
		"huma.example:443":             "absolute URL",
	} {
		t.Run(raw, func(t *testing.T) {
			for _, d := range bothDirectives {
				wantProblem(t, validateText(t, d.lines(`api "`+raw+`"`)), "api:", message)
			}
		})
	}
}

func TestHeaderUpAndSignatureProblems(t *testing.T) {
	const hawk = "signature hawk {\nid key1\n}"
	for _, c := range []struct {
		name   string
		option string
		lines  []string
	}{
		{"the signature", "header_up", []string{"header_up signature x"}},
		{"in other case", "header_up", []string{"header_up SIGNATURE x"}},
		{"a signature of own name", "header_up", []string{"header_up x-sig x", "signature hmac-sha512 {\nheader_name X-Sig\n}"}},
		{"the deployment", "header_up", []string{"header_up DeploymentID x"}},
		{"Hawk's own", "header_up", []string{"header_up authorization x", hawk}},
		{"no header's name", "header_up", []string{`header_up "X Key" x`}},
		{"hawk without id", "id", []string{"signature hawk"}},
		{"a request in the payload", "payload", []string{"signature hmac-sha256 {\npayload {method}{sig.body}\n}"}},
		{"no name for it", "header_name", []string{"signature hmac-sha256 {\nheader_name \"a b\"\n}"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantProblem(t, validateText(t, directive(c.lines...)), c.option)
		})
	}
}

// keyPair returns a self-signed certificate and its key.
func keyPair(t testing.TB) (certificate, key string) {
	t.Helper()
	return testutil.WriteCertificate(t.TempDir(), testutil.SelfSigned(testutil.Loopback()))
}

func TestTLSFiles(t *testing.T) {
	certificate, key := keyPair(t)
	_, otherKey := keyPair(t)
	nowhere := filepath.Join(t.TempDir(), "nowhere.pem")
	noPEM := writeFile(t, "no.pem", "this is no PEM")
	pair := func(certificate, key string) string {
		return "tls {\nclient_certificate " + certificate + " " + key + "\n}"
	}
	if err := validateText(t, directive("tls {\nca "+certificate+"\nclient_certificate "+certificate+" "+key+"\n}")); err != nil {
		t.Errorf("good files: %v", err)
	}
	for _, c := range []struct {
		name                  string
		line, option, message string
	}{
		{"ca is no PEM", "tls {\nca " + noPEM + "\n}", "ca:", "PEM"},
		{"ca is a key", "tls {\nca " + key + "\n}", "ca:", "PEM"},
		{"no certificate", pair(nowhere, key), "client_certificate:", nowhere},
		{"no PEM", pair(noPEM, key), "client_certificate:", "PEM"},
		{"another key", pair(certificate, otherKey), "client_certificate:", "does not match"},
		{"exchanged", pair(key, certificate), "client_certificate:", "PEM"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantProblem(t, validateText(t, directive(c.line)), c.option, c.message)
		})
	}
}

// TestEveryProblemIsReportedAtOnce checks one directive with many mistakes.
func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	found := problemsIn(t, validateText(t, directive(
		"api http://huma.example",
		"project_id",
		"deployment_id {env.HUMA_TEST_UNSET}",
		"client_id",
		"secret {file./nowhere/secret}",
		"signature hmac-sha256 {\npayload {sig.nothing}\n}",
		"header_up Host x",
		"tls {\nca /nowhere/ca.pem\n}",
		"hash_key {env.HUMA_TEST_UNSET}",
		"identity authelia",
	)))
	for _, option := range []string{
		"api:", "project_id:", "deployment_id:", "client_id:", "secret:", "payload", "header_up:", "ca:", "hash_key:", "email",
	} {
		if !slices.ContainsFunc(found, func(line string) bool { return strings.Contains(line, option) }) {
			t.Errorf("%s is not named", option)
		}
	}
	if len(found) != 10 || t.Failed() {
		t.Errorf("%d problems:\n%s", len(found), strings.Join(found, "\n"))
	}

	found = problemsIn(t, validateText(t, humanAPIToken.lines(
		"api http://auth.humanapi.example",
		"client_id",
		"client_secret {file./nowhere/secret}",
		`extra_scopes one ""`,
		"cache {\nvary X-Device\n}",
		"hash_key {env.HUMA_TEST_UNSET}",
		"identity {\nname {http.auth.user.name}\n}",
	)))
	want := []string{"client_secret:", "client_id:", "extra_scopes:", "api:", "vary:", "hash_key:", "user_id:"}
	for _, option := range want {
		if !slices.ContainsFunc(found, func(line string) bool { return strings.HasPrefix(line, option) }) {
			t.Errorf("%s is not named", option)
		}
	}
	if len(found) != len(want) || t.Failed() {
		t.Errorf("%d problems:\n%s", len(found), strings.Join(found, "\n"))
	}
}

// TestExtraScopesProblems checks that an empty scope is an error that is reported once.
func TestExtraScopesProblems(t *testing.T) {
	t.Setenv("HUMA_TEST_BLANK", " \t ")
	for _, scopes := range []string{`""`, `one ""`, `"" ""`, `" "`, "one {env.HUMA_TEST_BLANK}"} {
		wantProblem(t, validateText(t, humanAPIToken.lines("extra_scopes "+scopes)), "extra_scopes:", "empty")
	}
}
