package caddymodule_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// goodLines are a directive that loads, by option.
func goodLines() map[string]string {
	return map[string]string{
		"api":           "api https://huma.example",
		"project_id":    "project_id p1",
		"deployment_id": "deployment_id d1",
		"client_id":     "client_id c1",
		"secret":        "secret {env.HUMA_TEST_SECRET}",
		"identity":      "identity basic_auth",
	}
}

// directive is the lines of a directive that loads, with changes: an option's
// lines come in place of its good ones, and its name alone leaves it out.
func directive(changes ...string) string {
	lines := goodLines()
	for _, change := range changes {
		option, _, some := strings.Cut(change, " ")
		if !some {
			delete(lines, option)
			continue
		}
		lines[option] = change
	}
	return "huma_token {\n" + strings.Join(slices.Collect(maps.Values(lines)), "\n") + "\n}\n"
}

// validateText checks the directives of one site as `caddy validate` does.
func validateText(t testing.TB, directives string) error {
	t.Helper()
	config, _, err := adaptText("{\nadmin off\npersist_config off\n}\nhttp://127.0.0.1:1 {\n" + directives + "\n}\n")
	if err != nil {
		t.Fatalf("adapt: %v\n%s", err, directives)
	}
	return validateJSON(t, config)
}

// validateJSON is validateText for a whole config in JSON.
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

// problemsIn are the problems that the directive reports in an error, one a
// line.
func problemsIn(t testing.TB, err error) []string {
	t.Helper()
	if err == nil {
		t.Error("it loads")
		return nil
	}
	_, text, ok := strings.Cut(err.Error(), "provision http.handlers.huma_token: ")
	if !ok {
		t.Errorf("it is not the directive that complains: %v", err)
	}
	return strings.Split(text, "\n")
}

// theProblem checks that there is one problem, that it names the option, and
// that it says the rest.
func theProblem(t testing.TB, err error, option string, says ...string) {
	t.Helper()
	found := problemsIn(t, err)
	if len(found) != 1 {
		t.Errorf("%d problems, want 1:\n%s", len(found), strings.Join(found, "\n"))
	}
	for _, want := range append(says, option) {
		if !strings.Contains(strings.Join(found, "\n"), want) {
			t.Errorf("it does not say %q:\n%s", want, strings.Join(found, "\n"))
		}
	}
}

// writeFile makes a file that ends with the test.
func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
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
		"hawk":                 {"signature hawk {\nid key1\n}"},
		"own Authorization":    {"header_up Authorization {env.HUMA_TEST_SECRET}"},
		"literal braces":       {`secret "a\{b}c"`},
		"header and trust":     {"identity authelia", "trust forward_auth"},
		"header and proxies":   {"identity authelia", "trust proxies 127.0.0.1 10.0.0.0/8 private_ranges"},
		"operator's word":      {"identity {\nemail {user_email}\nname {http.vars.name}\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := validateText(t, directive(changes...)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMissingCredentials(t *testing.T) {
	for option := range goodLines() {
		t.Run(option, func(t *testing.T) {
			theProblem(t, validateText(t, directive(option)), option+":", "missing")
		})
	}
	t.Run("all", func(t *testing.T) {
		found := problemsIn(t, validateText(t, "huma_token\n"))
		if len(found) != len(goodLines()) {
			t.Errorf("%d problems, want one for each option:\n%s", len(found), strings.Join(found, "\n"))
		}
		for option := range goodLines() {
			if !strings.Contains(strings.Join(found, "\n"), option+":") {
				t.Errorf("%s is not named:\n%s", option, strings.Join(found, "\n"))
			}
		}
	})
	t.Run("empty ids of JSON", func(t *testing.T) {
		for _, ids := range []string{`""`, `{}`, `{"ios":""}`, `{"ios":"c1","web":""}`} {
			theProblem(t, validateJSON(t, handlerJSON(t, "client_id", ids)), "client_id:")
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
		t.Errorf("the error holds values: %v", err)
	}

	for name, c := range map[string]struct{ text, says string }{
		"no JSON":      {`{"projectId": CANARY}`, "not JSON"},
		"a list":       {`["CANARY"]`, "not a JSON object"},
		"empty":        {``, "not JSON"},
		"two secrets":  {`{"secret":"CANARY1","SECRET":"CANARY2"}`, "differ"},
		"two projects": {`{"a":{"projectId":"CANARY1"},"b":{"projectId":"CANARY2"}}`, "differ"},
	} {
		t.Run(name, func(t *testing.T) {
			// What the file should have said is no problem of its own.
			err := validateText(t, directive("project_id", "secret", "config_file "+writeFile(t, "huma-config.json", c.text)))
			theProblem(t, err, "config_file:", c.says)
			if strings.Contains(err.Error(), "CANARY") {
				t.Errorf("the error holds a value: %v", err)
			}
		})
	}
	t.Run("not there", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "nowhere.json")
		theProblem(t, validateText(t, directive("secret", "config_file "+file)), "config_file:", file)
	})
}

// TestPlaceholderProblems checks that what is wrong with a placeholder is said
// of every option that takes one, and of each kind in other words.
func TestPlaceholderProblems(t *testing.T) {
	t.Setenv("HUMA_TEST_EMPTY", "")
	empty := writeFile(t, "empty", "\n\n")
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	cases := []struct{ placeholder, says string }{
		{"{env.HUMA_TEST_UNSET}", "HUMA_TEST_UNSET is not set"},
		{"{env.HUMA_TEST_EMPTY}", "HUMA_TEST_EMPTY is empty"},
		{"{file." + nowhere + "}", nowhere + ": no such file"},
		{"{file." + empty + "}", empty + " is empty"},
		{"{file.secret}", "{file./run/secrets/name}"},
		{"{http.request.host}", "{env.NAME}"},
		{"x{nobody.knows.this}y", "{env.NAME}"},
	}
	for option, line := range map[string]string{
		"config_file":        "config_file %s",
		"api":                "api https://%s/",
		"project_id":         "project_id %s",
		"deployment_id":      "deployment_id d%s",
		"client_id":          "client_id %s",
		"secret":             "secret %s",
		"header_name":        "signature hmac-sha256 {\nheader_name %s\n}",
		"id":                 "signature hawk {\nid %s\n}",
		"header_up":          "header_up X-Key %s",
		"ca":                 "tls {\nca %s\n}",
		"client_certificate": "tls {\nclient_certificate %[1]s %[1]s\n}",
		"timezone":           "registration {\ntimezone %s\n}",
		"language":           "registration {\nlanguage %s\n}",
		"activation_code":    "registration {\nactivation_code %s\n}",
		"attribute":          "registration {\nattribute key %s\n}",
		"identity":           "identity %s",
		"domains":            "identity basic_auth {\ndomains %s\n}",
		"trust":              "trust forward_auth %s",
		"hash_key":           "hash_key %s",
	} {
		t.Run(option, func(t *testing.T) {
			seen := make(map[string]bool)
			for _, c := range cases {
				changes := []string{fmt.Sprintf(line, c.placeholder)}
				if option == "trust" {
					changes = append(changes, "identity authelia")
				}
				err := validateText(t, directive(changes...))
				found := problemsIn(t, err)
				if len(found) == 0 {
					continue
				}
				if want := option + ":"; !strings.Contains(found[0], want) || !strings.Contains(found[0], c.says) {
					t.Errorf("%s: it does not say %q and %q:\n%s", c.placeholder, want, c.says, strings.Join(found, "\n"))
				}
				if strings.Contains(c.placeholder, "nobody") {
					continue // the same in other words
				}
				if seen[found[0]] {
					t.Errorf("%s: the same is said of another mistake: %s", c.placeholder, found[0])
				}
				seen[found[0]] = true
			}
		})
	}
	t.Run("said once", func(t *testing.T) {
		for _, c := range cases {
			theProblem(t, validateText(t, directive("secret "+c.placeholder)), "secret:", c.says)
			theProblem(t, validateText(t, directive("client_id "+c.placeholder)), "client_id:", c.says)
		}
	})
}

// TestSecretsAreNotInErrors gives secrets in places and forms that are refused.
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
	} {
		t.Run(name, func(t *testing.T) {
			err := validateText(t, directive(changes...))
			if err == nil {
				t.Fatal("it loads")
			}
			if strings.Contains(err.Error(), "CANARY") {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
}

// TestSecretWithBraces checks that the way of writing a literal brace that
// errors propose is one.
func TestSecretWithBraces(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}, Secret: "a{b}c"})
	text := strings.Replace(simpleSite(huma, ""), "secret sandbox-secret", `secret a\{b}c`, 1)
	serve(t, text).request("GET", iosPath, as("a@x.example")).tokens(t)
}

func TestAPIAddresses(t *testing.T) {
	for raw, says := range map[string]string{
		"http://huma.example":              "https",
		"http://127.0.0.1.huma.example":    "https",
		"http://localhost.huma.example":    "https",
		"http://notlocalhost":              "https",
		"http://0.0.0.0:1":                 "https",
		"http://192.0.2.1":                 "https",
		"http://[2001:db8::1]":             "https",
		"http://user@localhost":            "header_up",
		"https://user:pw@huma.example":     "header_up",
		"https://huma.example?a=b":         "query",
		"https://huma.example/x?":          "query",
		"https://huma.example/#x":          "fragment",
		"huma.example":                     "",
		"huma.example:443":                 "",
		"/relative":                        "whole URL",
		"//huma.example":                   "https",
		"https://":                         "whole URL",
		"https:///path":                    "whole URL",
		"https://:443":                     "whole URL",
		"ftp://huma.example":               "https",
		"unix:///run/huma.sock":            "",
		"https://huma example":             "",
		"https://huma.example:port":        "",
		"https://huma.example/%zz":         "",
		"https://huma.example\\@x.example": "",
	} {
		t.Run(raw, func(t *testing.T) {
			theProblem(t, validateText(t, directive(`api "`+raw+`"`)), "api:", says)
		})
	}
}

func TestHeaderUpAndSignatureProblems(t *testing.T) {
	const hawk = "signature hawk {\nid key1\n}"
	for name, c := range map[string]struct {
		option string
		lines  []string
	}{
		"the signature":            {"header_up", []string{"header_up signature x"}},
		"in other case":            {"header_up", []string{"header_up SIGNATURE x"}},
		"a signature of own name":  {"header_up", []string{"header_up x-sig x", "signature hmac-sha512 {\nheader_name X-Sig\n}"}},
		"the deployment":           {"header_up", []string{"header_up DeploymentID x"}},
		"Host":                     {"header_up", []string{"header_up Host x"}},
		"Content-Length":           {"header_up", []string{"header_up content-length 1"}},
		"Content-Type":             {"header_up", []string{"header_up Content-Type x"}},
		"Transfer-Encoding":        {"header_up", []string{"header_up Transfer-Encoding x"}},
		"Hawk's own":               {"header_up", []string{"header_up authorization x", hawk}},
		"no name":                  {"header_up", []string{`header_up "" x`}},
		"no header's name":         {"header_up", []string{`header_up "X Key" x`}},
		"no placeholder there":     {"header_up", []string{"header_up X-Key {sig.body}"}},
		"hawk without id":          {"id", []string{"signature hawk"}},
		"hawk with encoding":       {"encoding", []string{"signature hawk {\nid a\nencoding hex\n}"}},
		"hawk with payload":        {"payload", []string{"signature hawk {\nid a\npayload x\n}"}},
		"hmac with id":             {"id", []string{"signature hmac-sha256 {\nid a\n}"}},
		"off with encoding":        {"encoding", []string{"signature off {\nencoding hex\n}"}},
		"unknown in the payload":   {"payload", []string{"signature hmac-sha256 {\npayload {sig.bdy}\n}"}},
		"a request in the payload": {"payload", []string{"signature hmac-sha256 {\npayload {method}{sig.body}\n}"}},
		"no name for it":           {"header_name", []string{"signature hmac-sha256 {\nheader_name \"a b\"\n}"}},
		"a name that is taken":     {"header_name", []string{"signature hmac-sha256 {\nheader_name Content-Type\n}"}},
		"the deployment's name":    {"header_name", []string{"signature hmac-sha256 {\nheader_name deploymentid\n}"}},
	} {
		t.Run(name, func(t *testing.T) {
			theProblem(t, validateText(t, directive(c.lines...)), c.option)
		})
	}
}

// keyPair makes a certificate that signs itself, and its key.
func keyPair(t testing.TB) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		writeFile(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
}

func TestTLSFiles(t *testing.T) {
	certificate, key := keyPair(t)
	_, otherKey := keyPair(t)
	nowhere := filepath.Join(t.TempDir(), "nowhere.pem")
	noPEM := writeFile(t, "no.pem", "this is no PEM")
	empty := writeFile(t, "empty.pem", "")
	pair := func(certificate, key string) string {
		return "tls {\nclient_certificate " + certificate + " " + key + "\n}"
	}
	if err := validateText(t, directive("tls {\nca "+certificate+"\nclient_certificate "+certificate+" "+key+"\n}")); err != nil {
		t.Errorf("good files: %v", err)
	}
	for name, c := range map[string]struct{ line, option, says string }{
		"no ca":             {"tls {\nca " + nowhere + "\n}", "ca:", nowhere},
		"ca is no PEM":      {"tls {\nca " + noPEM + "\n}", "ca:", "PEM"},
		"ca is empty":       {"tls {\nca " + empty + "\n}", "ca:", "PEM"},
		"ca is a key":       {"tls {\nca " + key + "\n}", "ca:", "PEM"},
		"ca is a directory": {"tls {\nca " + t.TempDir() + "\n}", "ca:", "directory"},
		"no certificate":    {pair(nowhere, key), "client_certificate:", nowhere},
		"no key":            {pair(certificate, nowhere), "client_certificate:", nowhere},
		"no PEM":            {pair(noPEM, key), "client_certificate:", "PEM"},
		"empty key":         {pair(certificate, empty), "client_certificate:", "PEM"},
		"another key":       {pair(certificate, otherKey), "client_certificate:", "does not match"},
		"exchanged":         {pair(key, certificate), "client_certificate:", "PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			theProblem(t, validateText(t, directive(c.line)), c.option, c.says)
		})
	}
}

func TestI06_SourcesThatDoNotLoad(t *testing.T) {
	for name, c := range map[string]struct {
		option string
		lines  []string
		says   []string
	}{
		"header":                    {"email", []string{"identity {\nemail Remote-Email\n}"}, []string{"trust forward_auth", "trust proxies"}},
		"header's placeholder":      {"email", []string{"identity {\nemail {header.Remote-Email}\n}"}, []string{"trust forward_auth", "trust proxies"}},
		"preset of headers":         {"email", []string{"identity authelia"}, []string{"trust forward_auth", "trust proxies"}},
		"a name that is a header":   {"name", []string{"identity basic_auth {\nname Remote-Name\n}"}, []string{"trust forward_auth", "trust proxies"}},
		"no placeholder of a name":  {"verified", []string{"identity basic_auth {\nverified Remote-Verified\n}"}, []string{"trust"}},
		"candidate":                 {"email", []string{"identity {\nemail {http.auth.candidate.id}\n}"}, []string{"{http.auth.user.id}"}},
		"candidate, with trust":     {"email", []string{"identity {\nemail {http.auth.candidate.id}\n}", "trust proxies 127.0.0.1"}, []string{"{http.auth.user.id}"}},
		"query":                     {"email", []string{"identity {\nemail {query.user}\n}"}, []string{"client", "{http.auth.user.id}"}},
		"query in full":             {"email", []string{"identity {\nemail {http.request.uri.query.user}\n}"}, []string{"client", "{http.auth.user.id}"}},
		"path":                      {"email", []string{"identity {\nemail {path}\n}"}, []string{"client", "{http.auth.user.id}"}},
		"cookie":                    {"email", []string{"identity {\nemail {cookie.user}\n}"}, []string{"client", "{http.auth.user.id}"}},
		"cookie in full":            {"email", []string{"identity {\nemail {http.request.cookie.user}\n}"}, []string{"client", "{http.auth.user.id}"}},
		"method":                    {"email", []string{"identity {\nemail {method}\n}"}, []string{"{http.auth.user.id}"}},
		"Caddy's own variable":      {"email", []string{"identity {\nemail {http.vars.client_ip}\n}"}, []string{"{http.auth.user.id}"}},
		"environment":               {"email", []string{"identity {\nemail {env.USER}\n}"}, []string{"same for every user"}},
		"part of a text":            {"email", []string{"identity {\nemail {http.auth.user.id}@x.example\n}"}, []string{"one placeholder"}},
		"two placeholders":          {"email", []string{"identity {\nemail {http.auth.user.id}{user}\n}"}, []string{"one placeholder"}},
		"no header's name":          {"email", []string{"identity {\nemail \"Remote Email\"\n}"}, []string{"Remote-Email"}},
		"no source":                 {"email", []string{"identity {\ndomains x.example\n}"}, []string{"identity <preset>", "email <source>"}},
		"unknown preset":            {"identity", []string{"identity nobody"}, []string{"authelia", "tailscale"}},
		"a domain that is none":     {"domains", []string{"identity basic_auth {\ndomains *.x.example\n}"}, []string{"x.example"}},
		"a header that Caddy drops": {"email", []string{"identity {\nemail Remote_Email\n}", "trust proxies 127.0.0.1"}, []string{"expected_underscore_headers"}},
		"one with a dot":            {"email", []string{"identity {\nemail remote.email\n}", "trust proxies 127.0.0.1"}, []string{"expected_dot_headers"}},
		"upstream with a path":      {"trust", []string{"identity authelia", "trust forward_auth http://authelia:9091/api"}, []string{"trust forward_auth authelia:9091"}},
	} {
		t.Run(name, func(t *testing.T) {
			theProblem(t, validateText(t, directive(c.lines...)), c.option, c.says...)
		})
	}
}

// handlerJSON is a config of one handler that loads, in JSON, but for one
// member; a dot is between an object's name and its member's.
func handlerJSON(t testing.TB, member, value string) []byte {
	t.Helper()
	handler := map[string]any{
		"handler":       "huma_token",
		"api":           "https://huma.example",
		"project_id":    "p1",
		"deployment_id": "d1",
		"client_id":     "c1",
		"secret":        "{env.HUMA_TEST_SECRET}",
		"identity":      map[string]any{"preset": "basic_auth"},
	}
	object := handler
	if outer, inner, nested := strings.Cut(member, "."); nested {
		var ok bool
		if object, ok = handler[outer].(map[string]any); !ok {
			object = make(map[string]any)
			handler[outer] = object
		}
		member = inner
	}
	if member != "" {
		object[member] = json.RawMessage(value)
	}
	return siteJSON(t, handler)
}

// siteJSON is a config with these handlers, in JSON, as no Caddyfile made it.
func siteJSON(t testing.TB, handlers ...any) []byte {
	t.Helper()
	config, err := json.Marshal(map[string]any{
		"admin": map[string]any{"disabled": true, "config": map[string]any{"persist": false}},
		"apps": map[string]any{"http": map[string]any{"servers": map[string]any{"test": map[string]any{
			"listen": []string{"127.0.0.1:0"},
			"routes": []any{map[string]any{"handle": handlers}},
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// TestBadJSONValues are values that the Caddyfile refuses where they stand.
func TestBadJSONValues(t *testing.T) {
	if err := validateJSON(t, handlerJSON(t, "", "")); err != nil {
		t.Fatalf("without a bad value: %v", err)
	}
	certificate, key := keyPair(t)
	for _, c := range []struct{ member, value, option, says string }{
		{"client_id", `{"tv":"c1"}`, "client_id", "tv"},
		{"client_id", `{"*":"c1","ios":"c2"}`, "client_id", ""},
		{"client_type", `"tv"`, "client_type", "ios"},
		{"signature.algorithm", `"md5"`, "signature", "hmac-sha256"},
		{"signature.encoding", `"base32"`, "encoding", "base64url"},
		{"tls.client_certificate", `"` + certificate + `"`, "client_certificate", "key"},
		{"tls.client_key", `"` + key + `"`, "client_certificate", "certificate"},
		{"registration.rate", `"50/d"`, "rate", "50/s"},
		{"registration.rate", `"50"`, "rate", "50/s"},
		{"registration.rate", `"-50/s"`, "rate", "50/s"},
		{"registration.burst", `-1`, "rate", "at least 1"},
		{"registration.hold", `-1`, "hold", "positive"},
		{"trust.mode", `"everybody"`, "trust", "forward_auth"},
		{"trust", `{"mode":"proxies","ranges":["10.0.0.0/33"]}`, "trust", "10.0.0.0/33"},
		{"trust", `{"mode":"proxies","ranges":["nobody"]}`, "trust", "nobody"},
		{"trust", `{"mode":"proxies","upstream":"a:1"}`, "trust", "forward_auth"},
		{"trust", `{"mode":"forward_auth","ranges":["10.0.0.0/8"]}`, "trust", "proxies"},
		{"identity", `{"preset":"nobody"}`, "identity", "authelia"},
		{"identity", `{}`, "email", "<source>"},
		{"cache.ttl", `-1`, "ttl", "negative"},
		{"cache.negative_ttl", `-1`, "negative_ttl", "negative"},
		{"cache.max_entries", `-1`, "max_entries", "at least 1"},
		{"cache.vary", `["X-Device"]`, "vary", "placeholder"},
		{"cache.vary", `["{a}{b}"]`, "vary", "placeholder"},
		{"no_cache", `"maybe"`, "no_cache", "honor or ignore"},
		{"timeout", `-1`, "timeout", "positive"},
		{"attempt_timeout", `"-1s"`, "attempt_timeout", "positive"},
		{"retries", `-1`, "retries", "at least 0"},
		{"breaker.ratio", `1.5`, "ratio", "at most 1"},
		{"breaker.ratio", `-0.5`, "ratio", "above 0"},
		{"breaker.requests", `-1`, "requests", "at least 1"},
		{"breaker.window", `-1`, "window", "positive"},
		{"breaker.open", `-1`, "open", "positive"},
		{"max_concurrent", `-1`, "max_concurrent", "at least 1"},
		{"max_waiting", `-1`, "max_waiting", "at least 1"},
		{"errors", `"json"`, "errors", "problem or caddy"},
		{"cross_site", `"maybe"`, "cross_site", "deny or allow"},
	} {
		t.Run(c.member+" "+c.says, func(t *testing.T) {
			theProblem(t, validateJSON(t, handlerJSON(t, c.member, c.value)), c.option, c.says)
		})
	}
}

// TestEveryProblemIsReportedAtOnce has ten mistakes in one directive.
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
}

// TestSharedLimits has two handlers of one account.
func TestSharedLimits(t *testing.T) {
	const clash = "another huma_token of the same account"
	other := []string{"project_id p2"}
	for name, c := range map[string]struct {
		first, second []string
		says          string
	}{
		"the same defaults":    {nil, nil, ""},
		"the same":             {[]string{"max_concurrent 5"}, []string{"max_concurrent 5"}, ""},
		"the default written":  {nil, []string{"max_concurrent 64", "max_waiting 2000", "cache {\nmax_entries 100000\n}", "breaker {\nratio 0.5\nrequests 20\nwindow 10s\nopen 5s\n}", "registration {\nrate 50/s 500\n}"}, ""},
		"each its own":         {[]string{"timeout 5s", "attempt_timeout 1s", "retries 0", "cache 10s", "errors caddy"}, []string{"cache off", "cross_site allow"}, ""},
		"max_concurrent":       {nil, []string{"max_concurrent 5"}, clash},
		"max_waiting":          {nil, []string{"max_waiting 5"}, clash},
		"max_entries":          {nil, []string{"cache {\nmax_entries 5\n}"}, clash},
		"breaker off":          {nil, []string{"breaker off"}, clash},
		"breaker ratio":        {nil, []string{"breaker {\nratio 0.1\n}"}, clash},
		"breaker requests":     {nil, []string{"breaker {\nrequests 5\n}"}, clash},
		"breaker window":       {nil, []string{"breaker {\nwindow 5s\n}"}, clash},
		"breaker open":         {nil, []string{"breaker {\nopen 1s\n}"}, clash},
		"registration rate":    {nil, []string{"registration {\nrate 1/m\n}"}, clash},
		"registration burst":   {nil, []string{"registration {\nrate 50/s 1\n}"}, clash},
		"of different account": {other, []string{"max_concurrent 5", "breaker off"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			second := strings.Replace(directive(c.second...), "huma_token", "huma_token /other", 1)
			err := validateText(t, directive(c.first...)+second)
			switch {
			case c.says == "" && err != nil:
				t.Error(err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Errorf("got %v, want %s", err, c.says)
			}
		})
	}
}

// TestL03_RejectedReload loads configs that fail after the handler is set up.
func TestL03_RejectedReload(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing", "caddy.sock")
	for name, reject := range map[string]func(s *site, text string) error{
		"another handler": func(s *site, text string) error {
			// A handler and not a matcher: Caddy provisions all of these first.
			err := s.load(strings.Replace(text, "respond", "handle {\nheader X-A [ b\n}\nrespond", 1))
			return want(err, "error parsing regexp")
		},
		"another huma_token": func(s *site, text string) error {
			err := s.load(strings.Replace(text, "respond", "huma_token /other/* {\n}\nrespond", 1))
			return want(err, "api:")
		},
		"other limits of the account": func(s *site, text string) error {
			at, end := strings.Index(text, "huma_token"), strings.LastIndex(text, "respond")
			second := strings.NewReplacer("huma_token", "huma_token /other/*", "max_concurrent 7", "max_concurrent 3").Replace(text[at:end])
			err := s.load(text[:end] + second + text[end:])
			return want(err, "another huma_token of the same account")
		},
		"a listener": func(s *site, text string) error {
			// The listener that cannot be opened comes first, so that Caddy
			// opens no other one.
			config := editServer(s, text, func(server map[string]any) {
				server["listen"] = append([]any{"unix/" + missing}, server["listen"].([]any)...)
			})
			return want(caddy.Load(config, true), missing)
		},
		"only validated": func(s *site, text string) error {
			return validateJSON(s.t, s.adapt(text))
		},
	} {
		t.Run(name, func(t *testing.T) {
			huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
			text := simpleSite(huma, "max_concurrent 7")
			s := serve(t, text)
			token := s.request("GET", iosPath, as("a@x.example")).tokens(t).AuthToken

			for range 3 {
				if err := reject(s, text); err != nil {
					t.Fatal(err)
				}
			}
			kept := func(after string) {
				t.Helper()
				if got := s.request("GET", iosPath, as("a@x.example")).tokens(t).AuthToken; got != token {
					t.Errorf("%s: the token was not kept", after)
				}
				if n := huma.calls("signin"); n != 1 {
					t.Errorf("%s: %d sign-ins, want 1", after, n)
				}
			}
			kept("rejected")
			// What is shared is still counted right: the next config finds it,
			// and may set the account's limits anew.
			s.move()
			if err := s.load(strings.Replace(text, "max_concurrent 7", "max_concurrent 8", 1)); err != nil {
				t.Fatal(err)
			}
			kept("loaded")
			// And it ends with its last user.
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
			s.move()
			if err := s.load(text); err != nil {
				t.Fatal(err)
			}
			if s.request("GET", iosPath, as("a@x.example")).tokens(t).AuthToken == token || huma.calls("signin") != 2 {
				t.Error("the state was still held by a config that was rejected")
			}
		})
	}
}

// move lets the next config have another address. After a reload Caddy lets go
// of the old listener a moment later, and drops who connects in between.
func (s *site) move() {
	s.t.Helper()
	s.address = freeAddress(s.t)
	s.URL = "http://" + s.address
}

// want is nil if an error says what it should.
func want(err error, says string) error {
	if err == nil || !strings.Contains(err.Error(), says) {
		return fmt.Errorf("got the error %v, want one that says %s", err, says)
	}
	return nil
}

// editServer adapts a Caddyfile of one server and changes that.
func editServer(s *site, text string, edit func(server map[string]any)) []byte {
	s.t.Helper()
	return editConfig(s, text, func(config map[string]any) {
		servers := config["apps"].(map[string]any)["http"].(map[string]any)["servers"].(map[string]any)
		for _, server := range servers {
			edit(server.(map[string]any))
		}
	})
}

// editConfig adapts a Caddyfile and changes what becomes of it.
func editConfig(s *site, text string, edit func(config map[string]any)) []byte {
	s.t.Helper()
	var config map[string]any
	if err := json.Unmarshal(s.adapt(text), &config); err != nil {
		s.t.Fatal(err)
	}
	edit(config)
	b, err := json.Marshal(config)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// TestL05_NoNetwork checks that a config is adapted and validated without a
// connection to anybody.
func TestL05_NoNetwork(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var connections atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_ = conn.Close()
		}
	}()
	api := "http://" + listener.Addr().String()
	certificate, key := keyPair(t)
	file := writeFile(t, "huma-config.json", `{"apiUrl":"`+api+`","projectId":"p1","deploymentId":"d1","clientId":"c1","secret":"s1"}`)
	for name, changes := range map[string][]string{
		"api":         {"api " + api},
		"with tls":    {"api " + api, "tls {\nca " + certificate + "\nclient_certificate " + certificate + " " + key + "\n}"},
		"config_file": {"api", "project_id", "deployment_id", "client_id", "secret", "config_file " + file},
		"forward_auth": {
			"api " + api, "identity authelia", "trust forward_auth " + listener.Addr().String(),
		},
	} {
		if err := validateText(t, directive(changes...)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A call of ours, so that the count is known to work and to have ended.
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(conn)
	_ = conn.Close()
	_ = listener.Close()
	<-done
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n-1)
	}
}

// TestL06_SecretsStayPlaceholders checks all places where Caddy shows or keeps
// a config.
func TestL06_SecretsStayPlaceholders(t *testing.T) {
	autosave := filepath.Join(t.TempDir(), "autosave.json")
	defer func(before string) { caddy.ConfigAutosavePath = before }(caddy.ConfigAutosavePath)
	caddy.ConfigAutosavePath = autosave

	secrets := []string{"CANARY-secret", "CANARY-header", "CANARY-code", "CANARY-hash", "CANARY-key"}
	huma := newHuma(t, sandbox.Config{Secret: secrets[0]})
	t.Setenv("HUMA_TEST_L06_HEADER", secrets[1])
	t.Setenv("HUMA_TEST_L06_CODE", secrets[2])
	t.Setenv("HUMA_TEST_L06_CONFIG_KEY", secrets[4])
	written := []string{
		"{file." + writeFile(t, "secret", secrets[0]+"\n") + "}", "{env.HUMA_TEST_L06_HEADER}",
		"{env.HUMA_TEST_L06_CODE}", "{file." + writeFile(t, "hash", secrets[3]) + "}", "{env.HUMA_TEST_L06_CONFIG_KEY}",
	}
	text := strings.Replace(simpleSite(huma, `
		header_up Authorization "Bearer `+written[1]+`"
		header_up X-Key `+written[4]+`
		registration {
			activation_code `+written[2]+`
		}
		hash_key `+written[3]+`
	`), "secret sandbox-secret", "secret "+written[0], 1)

	s := serve(t, text)
	s.move()
	admin := freeAddress(t)
	config := editConfig(s, text, func(config map[string]any) { config["admin"] = map[string]any{"listen": admin} })
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // Stop leaves the admin endpoint
		_ = caddy.Load([]byte(`{"admin":{"disabled":true,"config":{"persist":false}}}`), true)
	})
	// The secrets are in use: the sandbox checks the signature.
	s.request("GET", iosPath, as("new@x.example")).tokens(t)
	s.request("GET", iosPath, as("no address"))

	shown, err := s.client.Get("http://" + admin + "/config/")
	if err != nil {
		t.Fatal(err)
	}
	defer shown.Body.Close()
	endpoint, err := io.ReadAll(shown.Body)
	if err != nil || shown.StatusCode != http.StatusOK {
		t.Fatalf("/config/: %d %v", shown.StatusCode, err)
	}
	saved, err := os.ReadFile(autosave)
	if err != nil {
		t.Fatal(err)
	}
	for place, text := range map[string]string{
		"the adapted JSON": string(config),
		"/config/":         string(endpoint),
		"autosave":         string(saved),
	} {
		for i, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds the secret %s: %s", place, secret, text)
			}
			if !strings.Contains(text, written[i]) {
				t.Errorf("%s does not hold %s: %s", place, written[i], text)
			}
		}
	}
	if !strings.Contains(s.log(), `"level":"debug"`) {
		t.Error("there is no debug log")
	}
	s.noSecretsInLog(secrets...)
}
