package cli

import (
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userhash"
)

// runCommand runs a subcommand of caddy huma and returns its output.
func runCommand(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// wantInOrder fails unless the output contains all parts, in this order.
func wantInOrder(t *testing.T, out string, parts ...string) {
	t.Helper()
	rest := out
	for _, part := range parts {
		_, after, ok := strings.Cut(rest, part)
		if !ok {
			t.Fatalf("without %q, or not in this order:\n%s", part, out)
		}
		rest = after
	}
}

const testConfig = `{
	servers {
		trusted_proxies static 10.0.0.0/8
		expected_underscore_headers X_Kept_Email
	}
}
http://one.example {
	handle /a/* {
		forward_auth authelia:9091 {
			uri /verify
		}
		huma_token * {
			secret {env.NOT_SET}
			identity authelia
			trust forward_auth authelia:9091
		}
	}
	handle {
		huma_token {
			secret {env.NOT_SET}
			identity {
				email X_Kept_Email
				name X-Name
			}
			trust proxies
		}
	}
}
http://two.example:8080 {
	map {http.auth.user.id} {user_email} {
		alice alice@x.example
	}
	huma_token {
		secret {env.NOT_SET}
		identity {
			email {user_email}
			domains x.example
		}
	}
}
`

func TestCommandIdentity(t *testing.T) {
	config := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(config, []byte(testConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "session=alice" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.URL.Path == "/host" {
			_, _ = w.Write([]byte(`{"email":"alice@` + r.Host + `"}`))
			return
		}
		_, _ = w.Write([]byte(`{"user":{"email":"alice@x.example","id":7}}`))
	}))
	defer app.Close()
	asking := filepath.Join(t.TempDir(), "Caddyfile")
	text := "http://localhost {\nhuma_token {\nuserinfo " + app.URL + " {\nemail user.email\nuser_id user.id\n}\n}\n}\n"
	if err := os.WriteFile(asking, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const authelia = "huma_token {\nidentity authelia\ntrust forward_auth authelia:9091\n}\n"
	other := file("Caddyfile", "http://localhost {\nforward_auth other:1 {\nuri /\n}\n"+authelia+"}\n")
	unasked := file("Caddyfile", "http://localhost {\n"+authelia+"}\n")
	hyphens := file("Caddyfile", "{\nservers {\nexpected_underscore_headers Remote_*\n}\n}\nhttp://localhost {\nhuma_token {\nidentity authelia\ntrust proxies 127.0.0.1\n}\n}\n")
	misspelt := file("config.json", `{"apps":{"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"huma_token","domain":["x"],"identity":{"preset":"authelia"},"trust":{"mode":"forward_auth"}}]}]}}}}}`)
	hosted := file("Caddyfile", "http://localhost {\nhuma_token {\nuserinfo "+app.URL+"/host {\nforward_headers Cookie Host\nemail email\n}\n}\n}\n")
	iap := base64.StdEncoding.EncodeToString([]byte(`{"email":"alice@x.example"}`))

	for _, tt := range []struct {
		name  string
		args  []string
		found bool
		parts []string // parts of the output, in this order
	}{
		{"a response",
			[]string{"--preset", "authelia", "--response", "Remote-Email: alice@x.example", "--response", "Remote-Name: Ren\xe9 M\xfcller", "--hash-key", "key"},
			true, []string{"`trust forward_auth`", "Remote-Email of the auth server's response", "alice@x.example", "the option user_id", "→ alice@x.example", `"René"`, `"Müller"`, "in logs"},
		},
		{"a header from a proxy",
			[]string{"--preset", "google_iap", "-H", "X-Goog-Authenticated-User-Email: accounts.google.com:alice@x.example", "--peer", "10.1.2.3"},
			true, []string{"`trust proxies 10.1.2.3`", "→ alice@x.example\n"},
		},
		{"a placeholder",
			[]string{"--preset", "basic_auth", "--placeholder", "http.auth.user.id=alice@x.example"},
			true, []string{"{http.auth.user.id}", "→ alice@x.example\n"},
		},
		{"a document",
			[]string{"--preset", "gcp_api_gateway", "-H", "X-Apigateway-Api-Userinfo: " + iap},
			true, []string{"email in the request header X-Apigateway-Api-Userinfo", "→ alice@x.example\n"},
		},
		{"nothing",
			[]string{"--preset", "authelia"},
			false, []string{"– the request does not have the header", "no user: 401 identity_missing"},
		},
		{"an underscore",
			[]string{"--preset", "authelia", "--header", "Remote_Email: alice@x.example"},
			false, []string{"note: Caddy drops the request header Remote_email", "expected_underscore_headers", "send it as Remote-Email", "no user: 401 identity_missing"},
		},
		{"twice",
			[]string{"--preset", "authelia", "--header", "Remote-Email: alice@x.example", "--header", "Remote-Email: bob@x.example"},
			false, []string{"no user: 401 identity_ambiguous", "configure the proxy to replace the header"},
		},
		{"another layer's header",
			[]string{"--preset", "authelia", "--header", "X-Auth-Request-Email: alice@x.example"},
			false, []string{"the preset for the request header X-Auth-Request-Email is oauth2_proxy", "no user: 401"},
		},
		{"the client's own",
			[]string{"--preset", "authelia", "--header", "Remote-Email: alice@x.example", "--response", "Remote-User: alice"},
			false, []string{"ignoring the request header Remote-Email: trust forward_auth", "no user: 401 identity_missing"},
		},
		{"an assertion without verify",
			[]string{"--preset", "teleport", "-H", "Teleport-Jwt-Assertion: x"},
			false, []string{"does not load: audience: ", "does not load: issuer: ", "does not load: jwks: ", "/.well-known/jwks.json"},
		},
		{"a config",
			[]string{"--config", config, "--response", "Remote-Email: alice@x.example", "--peer", "10.0.0.7", "-H", "X_Kept_Email: bob@x.example", "--placeholder", "{user_email}=carol@x.example"},
			true, []string{"huma_token one.example/a/* (Caddyfile:12)", "→ alice@x.example", "huma_token", "→ bob@x.example", ":8080/", "→ carol@x.example"},
		},
		{"a config and a stranger",
			[]string{"--config", config, "--peer", "192.0.2.1", "-H", "X_Kept_Email: bob@x.example", "-H", "Remote-Email: mallory@x.example"},
			false, []string{"trust forward_auth reads the auth server's response only", "no user: 401 identity_missing", "no user: 401 identity_untrusted", "no user: 401 identity_missing"},
		},
		{"a response of another server",
			[]string{"--config", other, "--response", "Remote-Email: alice@x.example"},
			false, []string{"assuming that the response comes from other:1", "no user: 401 identity_untrusted"},
		},
		{"a response without forward_auth",
			[]string{"--config", unasked, "--response", "Remote-Email: alice@x.example"},
			false, []string{"has no forward_auth", "no user: 401 identity_missing"},
		},
		{"a header that never arrives",
			[]string{"--config", hyphens, "-H", "Remote-Email: alice@x.example"},
			false, []string{"does not load: email: Caddy drops the request header Remote-Email"},
		},
		{"a field that there is not",
			[]string{"--config", misspelt, "-H", "Remote-Email: alice@x.example"},
			false, []string{`does not load: json: unknown field "domain"`},
		},
		{"another site",
			[]string{"--preset", "authelia", "--response", "Remote-Email: alice@x.example", "-H", "Sec-Fetch-Site: cross-site"},
			false, []string{"no user: 403 cross_site"},
		},
		{"a space that is none",
			[]string{"--preset", "authelia", "--response", "Remote-Email: alice@x.example\u00a0"},
			false, []string{"no user: 401 identity_invalid"},
		},
		{"a host",
			[]string{"--config", hosted, "-H", "Cookie: session=alice", "-H", "Host: clinic.example"},
			true, []string{"→ alice@clinic.example"},
		},
		{"a domain",
			[]string{"--config", config, "--placeholder", "user_email=carol@y.example"},
			false, []string{"no user: 403 domain_not_allowed"},
		},
		{"the application",
			[]string{"--config", asking, "-H", "Cookie: session=alice"},
			true, []string{"user.email in the application's response", "alice@x.example", "user.id in", "7", "→ alice@x.example\n"},
		},
		{"the application does not know the user",
			[]string{"--config", asking, "-H", "Cookie: session=other"},
			false, []string{"no user: 401 identity_missing", "responded with 401"},
		},
		{"a certificate",
			[]string{"--preset", "basic_auth", "--placeholder", "http.request.tls.client.san.emails.0=alice@x.example"},
			false, []string{"assuming that the client certificate is verified", "no user: 401"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := runCommand(t, IdentityCommand(), tt.args...)
			if (err == nil) != tt.found {
				t.Errorf("found %t, error %v", tt.found, err)
			}
			wantInOrder(t, out, tt.parts...)
			if tt.found == (strings.Contains(out, "no user") || strings.Contains(out, "does not load")) {
				t.Errorf("found %t:\n%s", tt.found, out)
			}
		})
	}
	for name, args := range map[string][]string{
		"neither":       {},
		"both":          {"--preset", "authelia", "--config", config},
		"no such file":  {"--config", filepath.Join(t.TempDir(), "none")},
		"bad header":    {"--preset", "authelia", "--header", "Remote-Email"},
		"bad response":  {"--preset", "authelia", "--response", ": x"},
		"bad peer":      {"--preset", "authelia", "--peer", "proxy"},
		"bad value":     {"--preset", "authelia", "--placeholder", "x"},
		"argument":      {"authelia"},
		"no huma_token": {"--config", "nothing-here"},
	} {
		if out, err := runCommand(t, IdentityCommand(), args...); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// TestCommandIdentityJSON: the hash in the output is the one that a handler with the same
// hash_key writes to its logs.
func TestCommandIdentityJSON(t *testing.T) {
	type document struct {
		Email, Code, Detail string
		UserID              string `json:"user_id"`
		LogName             string `json:"log_name"`
		Status              int
		Sources             []struct{ Option, Value, Reason string }
		Problems            []string
	}
	run := func(args ...string) (document, error) {
		t.Helper()
		out, err := runCommand(t, IdentityCommand(), append([]string{"--json"}, args...)...)
		var found []document
		if bad := json.Unmarshal([]byte(out), &found); bad != nil || len(found) != 1 {
			t.Fatalf("%v: %s", bad, out)
		}
		return found[0], err
	}

	want := userhash.ForLogs(masked.New("key")).LogName(identity.User{Email: masked.New("alice@x.example")})
	d, err := run("--preset", "authelia", "--response", "Remote-User: u-1", "--response", "Remote-Email: Alice@x.example", "--hash-key", "key")
	if err != nil || d.UserID != "u-1" || d.Email != "Alice@x.example" || d.LogName != want || d.Code != "" || d.Status != 0 {
		t.Errorf("%v: %+v, want the name %s", err, d, want)
	}
	read := make(map[string]string)
	for _, s := range d.Sources {
		read[s.Option] = s.Value + s.Reason
	}
	if read["user_id"] != "u-1" || read["email"] != "Alice@x.example" || !strings.Contains(read["name"], "header of the option name") {
		t.Errorf("sources %v", read)
	}
	d, err = run("--preset", "authelia", "--directive", "human_api_token")
	if err == nil || d.Code != "identity_missing" || d.Status != 401 || !strings.Contains(d.Detail, "the option user_id") || d.UserID != "" {
		t.Errorf("%v: %+v", err, d)
	}
	d, err = run("--preset", "teleport")
	if err == nil || len(d.Problems) == 0 || d.Code != "" {
		t.Errorf("%v: %+v", err, d)
	}
}

func TestCommandPresets(t *testing.T) {
	list, err := runCommand(t, presetsCommand())
	if err != nil {
		t.Fatal(err)
	}
	out, err := runCommand(t, presetsCommand(), "--json")
	var documents []map[string]any
	if err != nil || json.Unmarshal([]byte(out), &documents) != nil || len(documents) != len(presets.All()) {
		t.Fatalf("%v: %s", err, out)
	}
	for n, p := range presets.All() {
		if !strings.Contains(list, "\n"+p.Name+" ") || documents[n]["name"] != p.Name {
			t.Errorf("%s is not listed", p.Name)
		}
		one, err := runCommand(t, presetsCommand(), p.Name)
		if err != nil || !strings.Contains(one, plain(p.Note)) {
			t.Errorf("%s: %v: %s", p.Name, err, one)
		}
		for _, header := range p.Headers() {
			if !strings.Contains(one, "request>headers>"+header+" delete") {
				t.Errorf("%s: no log filter for %s", p.Name, header)
			}
		}
	}
	if out, err := runCommand(t, presetsCommand(), "authelio"); err == nil || !strings.Contains(out, "caddy huma presets") {
		t.Errorf("%v: %s", err, out)
	}
}
