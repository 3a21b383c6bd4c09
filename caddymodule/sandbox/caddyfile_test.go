package sandbox

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/sandboxtest"
)

func TestUnmarshalCaddyfile(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"no block", `huma_sandbox`, `{}`},
		{"empty block", "huma_sandbox {\n}", `{}`},
		{"everything", `huma_sandbox {
			name other
			prefix /huma
			project_id p2
			deployment_id d2
			client_id ios i
			client_id android a
			client_id web w
			secret {env.HUMA_SECRET}
			signature hmac-sha512 {
				encoding base64url
				payload "{sig.method} {sig.body}"
				header_name X-Signature
				id h
				timestamp_header X-Time
			}
			auth_token_lifetime 30s
			refresh_token_lifetime 2d
			max_clock_skew 5s
			user a@example.com b@example.com
			user c@example.com
			lifetimes_as_strings
			human_api {
				client a {env.HUMAN_SECRET}
				client b 2
				session_lifetime 30s
				id_lifetime 1d
				extra_scopes x:read y
			}
		}`, `{"name":"other","prefix":"/huma","project_id":"p2","deployment_id":"d2","client_ids":{"android":"a","ios":"i","web":"w"},` +
			`"secret":"{env.HUMA_SECRET}","signature":{"algorithm":"hmac-sha512","encoding":"base64url","payload":"{sig.method} {sig.body}","header_name":"X-Signature","id":"h","timestamp_header":"X-Time"},` +
			`"human_api":{"clients":{"a":"{env.HUMAN_SECRET}","b":"2"},"session_lifetime":30000000000,"id_lifetime":86400000000000,"extra_scopes":["x:read","y"]},` +
			`"auth_token_lifetime":30000000000,"refresh_token_lifetime":172800000000000,"max_clock_skew":5000000000,` +
			`"users":["a@example.com","b@example.com","c@example.com"],"lifetimes_as_strings":true}`},
		{"signature without a block", "huma_sandbox {\nsignature off\nproject_id p2\n}", `{"project_id":"p2","signature":{"algorithm":"off"}}`},
		{"edition", "huma_sandbox {\nedition oldest\n}", `{"edition":"oldest"}`},
		{"human_api alone", "huma_sandbox {\nhuman_api {\nclient hapi1 s\n}\n}", `{"human_api":{"clients":{"hapi1":"s"}}}`},
		{"bare payload", "huma_sandbox {\nsignature hmac-sha256 {\npayload {sig.body}\n}\n}", `{"signature":{"algorithm":"hmac-sha256","payload":"{sig.body}"}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := new(Handler)
			if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(test.in)); err != nil {
				t.Fatal(err)
			}
			if got := sandboxtest.Compact(t, h); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestInvalidCaddyfiles(t *testing.T) {
	for _, test := range []struct{ option, problem string }{
		{"projects p1", "unrecognized option 'projects'"},
		{"secret", "option 'secret' takes one value, not 0"},
		{"secret a b", "option 'secret' takes one value, not 2"},
		{`secret ""`, "option 'secret' must not be empty"},
		{"secret a\nsecret b", "duplicate option 'secret'"},
		{"name {\n}", "option 'name' takes one value"},
		{"secret a {\n}", "unrecognized option '{'"},
		{"client_id c1", "option 'client_id' takes a client type and an id"},
		{"client_id ios a\nclient_id ios b", "option 'client_id': duplicate client type 'ios'"},
		{"user", "option 'user' takes at least one"},
		{"auth_token_lifetime", "option 'auth_token_lifetime' takes one value"},
		{"auth_token_lifetime 900", "option 'auth_token_lifetime' must be a duration such as 10s or 1m, not '900'"},
		{"auth_token_lifetime 1parsec", "must be a duration"},
		{"max_clock_skew -1m", "option 'max_clock_skew' must be positive, not -1m"},
		{"lifetimes_as_strings yes", "option 'lifetimes_as_strings' takes no value"},
		{"lifetimes_as_strings\nlifetimes_as_strings", "duplicate option 'lifetimes_as_strings'"},
		{"signature", "option 'signature' takes one value"},
		{"signature off\nsignature off", "duplicate option 'signature'"},
		{"signature hmac-sha256 {\nsalt x\n}", "unrecognized option 'salt'"},
		{"signature hmac-sha256 {\nid a\nid b\n}", "duplicate option 'id'"},
		{"signature hmac-sha256 {\npayload\n}", "option 'payload' takes one value"},
		{"human_api x", "option 'human_api' takes a block, not a value"},
		{"human_api {\n}\nhuman_api {\n}", "duplicate option 'human_api'"},
		{"human_api {\nsecret x\n}", "unrecognized option 'secret'"},
		{"human_api {\nclient a\n}", "option 'client' takes a client id and a secret, not 1 values"},
		{"human_api {\nclient a 1\nclient a 2\n}", "option 'client': duplicate client id 'a'"},
		{"human_api {\nsession_lifetime 3600\n}", "option 'session_lifetime' must be a duration such as 10s or 1m, not '3600'"},
		{"human_api {\nid_lifetime 1h\nid_lifetime 2h\n}", "duplicate option 'id_lifetime'"},
		{"human_api {\nextra_scopes\n}", "option 'extra_scopes' takes one or more scopes"},
		{"human_api {\nextra_scopes a\nextra_scopes b\n}", "duplicate option 'extra_scopes'"},
		{"client hapi1 s", "unrecognized option 'client'"},
	} {
		t.Run(test.option, func(t *testing.T) {
			err := new(Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser("huma_sandbox {\n" + test.option + "\n}"))
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), test.problem) || !strings.Contains(err.Error(), "Testfile:") {
				t.Errorf("error: %v, want %s", err, test.problem)
			}
		})
	}
	err := new(Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser("huma_sandbox x"))
	if err == nil {
		t.Error("no error for an argument that is not a matcher")
	}
	err = new(Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser("huma_sandbox {\nsecret a\nnothing\n}"))
	if err == nil || !strings.Contains(err.Error(), "Testfile:3") {
		t.Errorf("line: %v", err)
	}
}

func TestDirectiveNeedsNoOrder(t *testing.T) {
	adapter := caddyconfig.GetAdapter("caddyfile")
	out, warnings, err := adapter.Adapt([]byte("http://127.0.0.1:1 {\n\trespond no\n\thuma_sandbox /huma/* {\n\t\tprefix /huma\n\t}\n}\n"), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 0 {
		t.Errorf("warnings: %v", warnings)
	}
	sandbox, respond := strings.Index(string(out), `"huma_sandbox"`), strings.Index(string(out), `"static_response"`)
	if sandbox < 0 || respond < sandbox || !strings.Contains(string(out), `"path":["/huma/*"]`) {
		t.Errorf("adapted: %s", out)
	}
}

func TestPlaceholders(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SANDBOX_TEST_ID", "d9")
	t.Setenv("SANDBOX_TEST_EMPTY", "")
	h := &Handler{Config: Config{
		Secret: "{file." + file + "}", DeploymentID: "{env.SANDBOX_TEST_ID}",
		ClientIDs: map[string]string{"ios": "x-{env.SANDBOX_TEST_ID}"},
		Users:     []string{"{env.SANDBOX_TEST_ID}@example.com"},
		Signature: Signature{Payload: "{sig.body}"},
		HumanAPI: HumanAPI{
			Clients:     map[string]string{"x-{env.SANDBOX_TEST_ID}": "{file." + file + "}"},
			ExtraScopes: []string{"{env.SANDBOX_TEST_ID}:read"},
		},
	}}
	before := sandboxtest.Compact(t, h)
	cfg, err := h.config()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Secret != "from-file" || cfg.DeploymentID != "d9" || cfg.ClientIDs["ios"] != "x-d9" || cfg.Users[0] != "d9@example.com" || cfg.Signature.Payload != "{sig.body}" {
		t.Errorf("config: %+v", cfg)
	}
	if cfg.HumanAPI.Clients["x-d9"] != "from-file" || len(cfg.HumanAPI.Clients) != 1 || cfg.HumanAPI.ExtraScopes[0] != "d9:read" {
		t.Errorf("config: %+v", cfg.HumanAPI)
	}
	if sandboxtest.Compact(t, h) != before {
		t.Error("config() changed the fields of the handler")
	}
	for _, invalid := range []string{"{env.SANDBOX_TEST_UNSET}", "{env.SANDBOX_TEST_EMPTY}", "{nothing}", "{file." + file + ".not}"} {
		if _, err := (&Handler{Config: Config{Secret: invalid}}).config(); err == nil || !strings.HasPrefix(err.Error(), "secret: ") {
			t.Errorf("%s: %v", invalid, err)
		}
		human := HumanAPI{Clients: map[string]string{"hapi1": invalid}}
		if _, err := (&Handler{Config: Config{HumanAPI: human}}).config(); err == nil || !strings.HasPrefix(err.Error(), "human_api client hapi1: ") {
			t.Errorf("%s: %v", invalid, err)
		}
	}
	duplicate := HumanAPI{Clients: map[string]string{"{env.SANDBOX_TEST_ID}": "1", "d9": "2"}}
	if _, err := (&Handler{Config: Config{HumanAPI: duplicate}}).config(); err == nil || !strings.Contains(err.Error(), "duplicate client id") {
		t.Errorf("duplicate client: %v", err)
	}
}

func TestHandlerReferencesState(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	references := func() int { n, _ := states.References("shared"); return n }

	invalid := &Handler{Name: "shared", Config: Config{Prefix: "x"}}
	if err := invalid.Provision(ctx); err == nil {
		t.Fatal("no error for an invalid prefix")
	}
	if err := invalid.Cleanup(); err != nil || references() != 0 {
		t.Errorf("%v, %d references", err, references())
	}
	var handlers []*Handler
	for range 2 {
		h := &Handler{Name: "shared"}
		if err := h.Provision(ctx); err != nil {
			t.Fatal(err)
		}
		handlers = append(handlers, h)
	}
	if references() != 2 || handlers[0].server.state != handlers[1].server.state {
		t.Errorf("%d references", references())
	}
	for range 2 {
		for _, h := range handlers {
			if err := h.Cleanup(); err != nil {
				t.Error(err)
			}
		}
	}
	if references() != 0 {
		t.Errorf("%d references left", references())
	}
}

func TestJSONIsStrict(t *testing.T) {
	var h Handler
	if err := caddy.StrictUnmarshalJSON(json.RawMessage(`{"secrets":"x"}`), &h); err == nil {
		t.Error("no error for an unknown field")
	}
}
