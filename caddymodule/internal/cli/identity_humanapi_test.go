package cli

import (
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
	addressed := file("Caddyfile", "http://localhost {\nhuman_api_token {\nidentity {\nemail {user_email}\n}\n}\n}\n")
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
		{"both in a config",
			[]string{"--config", both, "--response", "Remote-User: alice", "--response", "Remote-Email: alice@x.example", "-H", "X-User-Id: u-1", "-H", "X-Email: a@x.example"},
			true, []string{"human_api_token localhost/private/human-api-token (Caddyfile:10)", "→ alice, alice@x.example", "huma_token localhost/private/huma-token (Caddyfile:5)", "→ alice@x.example\n", "human_api_token localhost:8080/private/human-api-token", "→ u-1, a@x.example"},
		},
		{"one of them",
			[]string{"--config", both, "--response", "Remote-Email: alice@x.example", "-H", "X-User-Id: u-1", "-H", "X-Email: a@evil.example"},
			false, []string{"no user: 401 identity_missing", "→ alice@x.example\n", "no user: 403 domain_not_allowed"},
		},
		{"a config without an id",
			[]string{"--config", addressed, "--placeholder", "user_email=alice@x.example"},
			false, []string{"does not load: user_id: is required: write"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := runCommand(t, IdentityCommand(), tt.args...)
			if (err == nil) != tt.found {
				t.Errorf("found %t, error %v", tt.found, err)
			}
			wantInOrder(t, out, tt.parts...)
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
