package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestSharedLimits checks two handlers of one account whose limits differ.
func TestSharedLimits(t *testing.T) {
	type row struct {
		first, second []string
		clash         bool
	}
	both := map[string]row{
		"the same defaults":   {nil, nil, false},
		"the same":            {[]string{"max_concurrent 5"}, []string{"max_concurrent 5"}, false},
		"the default written": {nil, []string{"max_concurrent 64", "max_waiting 2000", "cache {\nmax_entries 100000\n}", "breaker {\nfailures 20\nopen 5s\n}"}, false},
		"each its own":        {[]string{"timeout 5s", "attempt_timeout 1s", "retries 0", "cache 10s", "errors caddy"}, []string{"cache off", "cross_site allow"}, false},
		"max_concurrent":      {nil, []string{"max_concurrent 5"}, true},
		"max_waiting":         {nil, []string{"max_waiting 5"}, true},
		"max_entries":         {nil, []string{"cache {\nmax_entries 5\n}"}, true},
		"breaker off":         {nil, []string{"breaker off"}, true},
		"breaker failures":    {nil, []string{"breaker {\nfailures 5\n}"}, true},
		"breaker open":        {nil, []string{"breaker {\nopen 1s\n}"}, true},
	}
	own := map[*tokenDirective]map[string]row{
		humaToken: {
			"the default rate":     {nil, []string{"registration {\nrate 50/s 500\n}"}, false},
			"registration rate":    {nil, []string{"registration {\nrate 1/m\n}"}, true},
			"registration burst":   {nil, []string{"registration {\nrate 50/s 1\n}"}, true},
			"of different account": {[]string{"project_id p2"}, []string{"max_concurrent 5", "breaker off"}, false},
		},
		humanAPIToken: {
			"other scopes":           {[]string{"extra_scopes one"}, []string{"extra_scopes two"}, false},
			"scopes and limits":      {[]string{"extra_scopes one"}, []string{"max_concurrent 5"}, true},
			"of another application": {[]string{"client_id hapi2"}, []string{"max_concurrent 5", "breaker off"}, false},
			"of another secret":      {[]string{"client_secret other"}, []string{"max_concurrent 5"}, false},
			"of another service":     {[]string{"api https://auth.humanapi.example"}, []string{"max_concurrent 5"}, false},
		},
	}
	for _, d := range bothDirectives {
		for _, rows := range []map[string]row{both, own[d]} {
			for name, c := range rows {
				t.Run(d.name+" "+name, func(t *testing.T) {
					second := strings.Replace(d.lines(c.second...), d.name, d.name+" /other", 1)
					err := validateText(t, d.lines(c.first...)+second)
					if c.clash {
						wantProblem(t, err, "another "+d.name+" of the same account", "max_concurrent", "set the same")
					} else if err != nil {
						t.Error(err)
					}
					if d != humaToken && err != nil && strings.Contains(err.Error(), "registration") {
						t.Errorf("the error names an option that does not exist: %v", err)
					}
				})
			}
		}
	}
	t.Run("of the other directive", func(t *testing.T) {
		if err := validateText(t, humaToken.lines()+humanAPIToken.lines("max_concurrent 5", "breaker off")); err != nil {
			t.Error(err)
		}
	})
}

// TestL03_RejectedReload checks configs that fail after the handler was provisioned.
func TestL03_RejectedReload(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing", "caddy.sock")
	type rejection func(d *tokenDirective, s *site, text string) error
	for name, reject := range map[string]rejection{
		"another handler": func(_ *tokenDirective, s *site, text string) error {
			// A handler fails and not a matcher, because Caddy provisions all matchers
			// first.
			err := s.load(strings.Replace(text, "respond", "handle {\nheader X-A [ b\n}\nrespond", 1))
			return wantError(err, "error parsing regexp")
		},
		"another of the same": func(d *tokenDirective, s *site, text string) error {
			err := s.load(strings.Replace(text, "respond", d.name+" /other/* {\n}\nrespond", 1))
			return wantError(err, "client_id:")
		},
		"the other directive": func(d *tokenDirective, s *site, text string) error {
			for _, other := range bothDirectives {
				if other == d {
					continue
				}
				if err := wantError(s.load(strings.Replace(text, "respond", other.name+"\nrespond", 1)), "client_id:"); err != nil {
					return err
				}
			}
			return nil
		},
		"other limits of the account": func(d *tokenDirective, s *site, text string) error {
			at, end := strings.Index(text, d.name), strings.LastIndex(text, "respond")
			second := strings.NewReplacer(d.name, d.name+" /other/*", "max_concurrent 7", "max_concurrent 3").Replace(text[at:end])
			err := s.load(text[:end] + second + text[end:])
			return wantError(err, "another "+d.name+" of the same account")
		},
		"a listener": func(_ *tokenDirective, s *site, text string) error {
			// The listener that cannot be opened comes first, so that Caddy opens no
			// other one.
			config := editServer(s, text, func(server map[string]any) {
				server["listen"] = append([]any{"unix/" + missing}, server["listen"].([]any)...)
			})
			return wantError(loadConfig(config), missing)
		},
		"only validated": func(_ *tokenDirective, s *site, text string) error {
			return validateJSON(s.t, s.adapt(text))
		},
	} {
		for _, d := range bothDirectives {
			t.Run(name+" "+d.name, func(t *testing.T) {
				d.keepsState(t, func(s *site, text string) error { return reject(d, s, text) })
			})
		}
	}
}

// keepsState checks that a rejected config changes nothing in the shared state and keeps
// no reference to it.
func (d *tokenDirective) keepsState(t *testing.T, reject func(s *site, text string) error) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	text := d.site(huma, "max_concurrent 7")
	s := serve(t, text)
	request := func() string {
		t.Helper()
		return d.token(t, s.request("GET", d.target(), as("a@x.example")))
	}
	token := request()

	for range 3 {
		if err := reject(s, text); err != nil {
			t.Fatal(err)
		}
	}
	wantCached := func(after string) {
		t.Helper()
		if request() != token {
			t.Errorf("%s: the token was not cached", after)
		}
		if n := huma.calls(d.service.first); n != 1 {
			t.Errorf("%s: %d calls, want 1", after, n)
		}
	}
	wantCached("rejected")
	// The reference count of the shared state is still correct: the next config uses the
	// state, and may change the limits of the account.
	s.move()
	if err := s.load(strings.Replace(text, "max_concurrent 7", "max_concurrent 8", 1)); err != nil {
		t.Fatal(err)
	}
	wantCached("loaded")
	// The state ends with its last config.
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	s.move()
	if err := s.load(text); err != nil {
		t.Fatal(err)
	}
	if request() == token || huma.calls(d.service.first) != 2 {
		t.Error("a rejected config still references the state")
	}
}

// move changes the address for the next config. After a reload, Caddy closes the old
// listener with a delay, and drops connections that are opened in between.
func (s *site) move() {
	s.t.Helper()
	s.address = freeAddress(s.t)
	s.URL = "http://" + s.address
}

// wantError returns nil if the text of err contains the given text.
func wantError(err error, message string) error {
	if err == nil || !strings.Contains(err.Error(), message) {
		return fmt.Errorf("got the error %v, want one that contains %s", err, message)
	}
	return nil
}

// editServer adapts a Caddyfile with one server and edits the JSON of the server.
func editServer(s *site, text string, edit func(server map[string]any)) []byte {
	s.t.Helper()
	return editConfig(s, text, func(config map[string]any) {
		servers := config["apps"].(map[string]any)["http"].(map[string]any)["servers"].(map[string]any)
		for _, server := range servers {
			edit(server.(map[string]any))
		}
	})
}

// editConfig adapts a Caddyfile and edits the JSON.
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

// adminAddress returns a free address for the admin endpoint. The endpoint is closed at
// the end of the test, because Stop does not close it.
func adminAddress(t testing.TB) string {
	t.Helper()
	t.Cleanup(func() { _ = loadConfig([]byte(`{"admin":{"disabled":true,"config":{"persist":false}}}`)) })
	return freeAddress(t)
}

// withAdmin adapts a Caddyfile and enables the admin endpoint at the given address.
func withAdmin(s *site, text, admin string) []byte {
	s.t.Helper()
	return editConfig(s, text, func(config map[string]any) { config["admin"] = map[string]any{"listen": admin} })
}

// TestL05_NoNetwork checks that no connection is opened when a config is adapted and
// validated.
func TestL05_NoNetwork(t *testing.T) {
	address, stop := testutil.CountConnections(t)
	api := "http://" + address
	certificate, key := keyPair(t)
	file := writeFile(t, "huma-config.json", `{"apiUrl":"`+api+`","projectId":"p1","deploymentId":"d1","clientId":"c1","secret":"s1"}`)
	both := map[string][]string{
		"api":          {"api " + api},
		"forward_auth": {"api " + api, "identity authelia", "trust forward_auth " + address},
		"jwks":         {"api " + api, assertionOf("google_iap", "jwks "+api+"/keys", "audience clinic")},
		"aws_alb":      {"api " + api, assertionOf("aws_alb", "jwks "+api+"/keys", "signer "+balancer)},
		"redis":        {"api " + api, "cache {\nredis {\naddress " + address + "\nencryption_keys AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n}\n}"},
		"userinfo":     append(withUserinfo(api+"/me", "email email", "user_id id"), "api "+api),
	}
	own := map[*tokenDirective]map[string][]string{
		humaToken: {
			"with tls":    {"api " + api, "tls {\nca " + certificate + "\nclient_certificate " + certificate + " " + key + "\n}"},
			"config_file": {"api", "project_id", "deployment_id", "client_id", "secret", "config_file " + file},
		},
		humanAPIToken: {
			"the default": {"api"},
			"scopes":      {"api " + api, "extra_scopes one two"},
		},
	}
	for _, d := range bothDirectives {
		for _, configs := range []map[string][]string{both, own[d]} {
			for name, changes := range configs {
				if err := validateText(t, d.lines(changes...)); err != nil {
					t.Errorf("%s of %s: %v", name, d.name, err)
				}
			}
		}
	}
	if n := stop(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// TestL06_SecretsStayPlaceholders checks all places where Caddy shows or stores a config.
func TestL06_SecretsStayPlaceholders(t *testing.T) {
	t.Run("huma_token", func(t *testing.T) {
		huma := newHuma(t, sandbox.Config{Secret: "CANARY-secret"})
		t.Setenv("HUMA_TEST_L06_HEADER", "CANARY-header")
		t.Setenv("HUMA_TEST_L06_CODE", "CANARY-code")
		t.Setenv("HUMA_TEST_L06_KEY", "CANARY-key")
		t.Setenv("HUMA_TEST_L06_BODY", "CANARY-body")
		written := []string{
			"{file." + writeFile(t, "secret", "CANARY-secret\n") + "}", "{env.HUMA_TEST_L06_HEADER}",
			"{env.HUMA_TEST_L06_CODE}", "{file." + writeFile(t, "hash", "CANARY-hash") + "}", "{env.HUMA_TEST_L06_KEY}",
			"{env.HUMA_TEST_L06_BODY}",
		}
		text := humaToken.site(huma, `
			header_up Authorization "Bearer `+written[1]+`"
			header_up X-Key `+written[4]+`
			sign_up {
				body deviceAgent `+written[5]+`
			}
			registration {
				activation_code `+written[2]+`
			}
			hash_key `+written[3])
		humaToken.hidesSecrets(t, strings.Replace(text, "secret sandbox-secret", "secret "+written[0], 1), written)
	})
	t.Run("human_api_token", func(t *testing.T) {
		huma := newHuma(t, sandbox.Config{HumanAPI: sandbox.HumanAPI{Clients: map[string]string{"hapi1": "CANARY-secret", "CANARY-id": "CANARY-env"}}})
		t.Setenv("HUMA_TEST_L06_ID", "CANARY-id")
		t.Setenv("HUMA_TEST_L06_SECRET", "CANARY-env")
		t.Setenv("HUMA_TEST_L06_HASH", "CANARY-hash")
		text := humanAPIToken.site(huma, "hash_key {env.HUMA_TEST_L06_HASH}")
		for _, written := range [][]string{
			{"hapi1", "{file." + writeFile(t, "secret", "CANARY-secret\r\n") + "}", "{env.HUMA_TEST_L06_HASH}"},
			{"{env.HUMA_TEST_L06_ID}", "{env.HUMA_TEST_L06_SECRET}", "{env.HUMA_TEST_L06_HASH}"},
		} {
			humanAPIToken.hidesSecrets(t, strings.NewReplacer("hapi1", written[0], "sandbox-secret", written[1]).Replace(text), written)
		}
	})
}

// hidesSecrets runs a config with the given texts in place of the secrets, whose values
// begin with CANARY.
func (d *tokenDirective) hidesSecrets(t *testing.T, text string, written []string) {
	t.Helper()
	autosave := filepath.Join(t.TempDir(), "autosave.json")
	defer func(before string) { caddy.ConfigAutosavePath = before }(caddy.ConfigAutosavePath)
	caddy.ConfigAutosavePath = autosave

	s := serve(t, text)
	s.move()
	admin := adminAddress(t)
	config := withAdmin(s, text, admin)
	must(t, loadConfig(config))
	// The secrets are in use: the sandbox checks them.
	d.token(t, s.request("GET", d.target(), as("new@x.example")))
	s.request("GET", d.target(), as("no {user}"))

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
		if strings.Contains(text, "CANARY") {
			t.Errorf("%s contains a secret: %s", place, text)
		}
		for _, placeholder := range written {
			if !strings.Contains(text, placeholder) {
				t.Errorf("%s does not contain %s: %s", place, placeholder, text)
			}
		}
	}
	if !strings.Contains(s.log(), `"level":"debug"`) {
		t.Error("the debug log is empty")
	}
	s.noSecretsInLog("CANARY")
}
