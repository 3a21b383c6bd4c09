package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bothDirectives is a config with both directives: one distinguishes users by email
// address, the other by ID.
const bothDirectives = `http://localhost {
	forward_auth authelia:9091 {
		uri /verify
	}
	huma_token {
		secret {env.NOT_SET}
		identity authelia
		trust forward_auth
	}
	human_api_token {
		client_secret {env.NOT_SET}
		identity authelia
		trust forward_auth
	}
}
http://localhost:8080 {
	human_api_token {
		identity {
			user_id X-User-Id
			email X-Email
			domains x.example
		}
		trust proxies 127.0.0.1
	}
}
`

// TestCommandIdentityOfHumanAPI: the id identifies the user, with an email address or
// without.
func TestCommandIdentityOfHumanAPI(t *testing.T) {
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"user":{"email":"alice@x.example","id":1001}}`))
	}))
	defer app.Close()
	asking := file("Caddyfile", "http://localhost {\nhuman_api_token {\nuserinfo "+app.URL+" {\nuser_id user.id\n}\n}\n}\n")
	addressed := file("Caddyfile", "http://localhost {\nhuman_api_token {\nidentity {\nemail {user_email}\n}\n}\n}\n")
	misspelt := file("config.json", `{"apps":{"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"human_api_token","secret":"x","identity":{"preset":"basic_auth"}}]}]}}}}}`)
	both := file("Caddyfile", bothDirectives)
	of := func(args ...string) []string { return append([]string{"--directive", "human_api_token"}, args...) }

	for _, tt := range []struct {
		name  string
		args  []string
		found bool
		parts []string // parts of the output, in this order
	}{
		{"a response",
			of("--preset", "authelia", "--response", "Remote-User: alice", "--response", "Remote-Email: alice@x.example", "--hash-key", "one"),
			true, []string{"human_api_token with `identity authelia` and `trust forward_auth`", "email", "Remote-Email of the auth server's response", "user_id", "Remote-User of the auth server's response", "→ alice, alice@x.example", "in logs"},
		},
		{"no address",
			of("--preset", "authelia", "--response", "Remote-User: alice"),
			true, []string{"– the auth server's response does not have the header of the option email", "→ alice\n"},
		},
		{"no id",
			of("--preset", "authelia", "--response", "Remote-Email: alice@x.example"),
			false, []string{"– see below", "no user: 401 identity_missing: the auth server's response does not have the header of the option user_id"},
		},
		{"the same for both",
			of("--preset", "basic_auth", "--placeholder", "http.auth.user.id=alice"),
			true, []string{"{http.auth.user.id}", "→ alice\n"},
		},
		{"an id that is none",
			of("--preset", "basic_auth", "--placeholder", "http.auth.user.id={http.auth.user.id}"),
			false, []string{"no user: 401 identity_invalid", "user_id"},
		},
		{"two ids",
			of("--preset", "authelia", "-H", "Remote-User: alice", "-H", "Remote-User: bob"),
			false, []string{"`trust proxies 127.0.0.1`", "no user: 401 identity_ambiguous"},
		},
		{"another layer's id",
			of("--preset", "authelia", "-H", "X-Authentik-Uid: 0123"),
			false, []string{"the preset for the request header X-Authentik-Uid is authentik", "no user: 401 identity_missing"},
		},
		{"the client's own",
			of("--preset", "authelia", "-H", "Remote-User: mallory", "--response", "Remote-Email: alice@x.example"),
			false, []string{"ignoring the request header Remote-User: trust forward_auth", "no user: 401 identity_missing"},
		},
		{"an assertion without verify",
			of("--preset", "teleport", "-H", "Teleport-Jwt-Assertion: x"),
			false, []string{"does not load: audience: ", "does not load: jwks: "},
		},
		{"both in a config",
			[]string{"--config", both, "--response", "Remote-User: alice", "--response", "Remote-Email: alice@x.example", "-H", "X-User-Id: u-1", "-H", "X-Email: a@x.example"},
			true, []string{"human_api_token localhost/private/human-api-token (Caddyfile:10)", "→ alice, alice@x.example", "huma_token localhost/private/huma-token (Caddyfile:5)", "→ alice@x.example\n", "human_api_token localhost:8080/private/human-api-token", "→ u-1, a@x.example"},
		},
		{"one of them",
			[]string{"--config", both, "--response", "Remote-Email: alice@x.example", "-H", "X-User-Id: u-1", "-H", "X-Email: a@evil.example"},
			false, []string{"no user: 401 identity_missing", "→ alice@x.example\n", "no user: 403 domain_not_allowed"},
		},
		{"the application",
			[]string{"--config", asking, "-H", "Cookie: session=alice"},
			true, []string{"user.id in the application's response", "1001", "→ 1001\n"},
		},
		{"a config without an id",
			[]string{"--config", addressed, "--placeholder", "user_email=alice@x.example"},
			false, []string{"does not load: user_id: is required: write"},
		},
		{"a field of the other",
			[]string{"--config", misspelt, "--placeholder", "http.auth.user.id=alice"},
			false, []string{`human_api_token /*`, `does not load: json: unknown field "secret"`},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := runCommand(t, IdentityCommand(), tt.args...)
			if (err == nil) != tt.found {
				t.Errorf("found %t, error %v", tt.found, err)
			}
			rest := out
			for _, part := range tt.parts {
				_, after, ok := strings.Cut(rest, part)
				if !ok {
					t.Fatalf("without %q, or not in this order:\n%s", part, out)
				}
				rest = after
			}
		})
	}
	for name, args := range map[string][]string{
		"no such directive": {"--directive", "huma_tokens", "--preset", "authelia"},
		"the module's name": {"--directive", "http.handlers.human_api_token", "--preset", "authelia"},
		"no config":         {"--directive", "human_api_token"},
	} {
		out, err := runCommand(t, IdentityCommand(), args...)
		if err == nil || name != "no config" && !strings.Contains(out, "use huma_token or human_api_token") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

func TestCommandIdentityOfHumanAPIJSON(t *testing.T) {
	type document struct {
		Directive, Email, Code, Detail string
		UserID                         string `json:"user_id"`
		LogName                        string `json:"log_name"`
		Status                         int
		Sources                        []struct{ Option, Source, Value, Reason string }
		Problems                       []string
	}
	run := func(args ...string) ([]document, error) {
		t.Helper()
		out, err := runCommand(t, IdentityCommand(), append([]string{"--json", "--directive", "human_api_token"}, args...)...)
		var found []document
		if bad := json.Unmarshal([]byte(out), &found); bad != nil || len(found) != 1 {
			t.Fatalf("%v: %s", bad, out)
		}
		return found, err
	}

	// TestOutcomesOfHumanAPI finds the same hash in the logs.
	found, err := run("--preset", "authelia", "--response", "Remote-User: u-1", "--response", "Remote-Email: a@x.example", "--hash-key", "one")
	d := found[0]
	if err != nil || d.UserID != "u-1" || d.Email != "a@x.example" || d.LogName != "d1a38c36" || d.Code != "" || d.Status != 0 {
		t.Errorf("%v: %+v", err, d)
	}
	read := make(map[string]string)
	for _, s := range d.Sources {
		read[s.Option] = s.Value + s.Reason
	}
	if read["user_id"] != "u-1" || read["email"] != "a@x.example" || !strings.Contains(read["name"], "header of the option name") {
		t.Errorf("sources %v", read)
	}

	found, err = run("--preset", "authelia")
	if d := found[0]; err == nil || d.Code != "identity_missing" || d.Status != 401 || !strings.Contains(d.Detail, "the option user_id") || d.UserID != "" {
		t.Errorf("%v: %+v", err, d)
	}
	found, err = run("--preset", "teleport")
	if d := found[0]; err == nil || len(d.Problems) == 0 || d.Code != "" {
		t.Errorf("%v: %+v", err, d)
	}
}
