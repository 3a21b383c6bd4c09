package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

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
		"jwks":     {"api " + api, assertionOf("google_iap", "jwks "+api+"/keys", "audience clinic")},
		"aws_alb":  {"api " + api, assertionOf("aws_alb", "jwks "+api+"/keys", "signer "+balancer)},
		"userinfo": append(asking(api+"/me", "email email"), "api "+api),
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
