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
			sign_up_without_token
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
			`"users":["a@example.com","b@example.com","c@example.com"],"sign_up_without_token":true,"lifetimes_as_strings":true}`},
		{"signature without a block", "huma_sandbox {\nsignature off\nproject_id p2\n}", `{"project_id":"p2","signature":{"algorithm":"off"}}`},
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

func TestWrongCaddyfiles(t *testing.T) {
	for _, test := range []struct{ option, problem string }{
		{"projects p1", `unknown option "projects"`},
		{"secret", "secret takes one value, not 0"},
		{"secret a b", "secret takes one value, not 2"},
		{`secret ""`, "secret: the value is empty"},
		{"secret a\nsecret b", "option secret is repeated"},
		{"name {\n}", "name takes one value"},
		{"secret a {\n}", `unknown option "{"`},
		{"client_id c1", "client_id takes a kind and an id"},
		{"client_id tv c1", `client_id: "tv" is not one of ios, android, web`},
		{`client_id ios ""`, "client_id ios: the id is empty"},
		{"client_id ios a\nclient_id ios b", "client_id ios is repeated"},
		{"user", "user takes at least one"},
		{"auth_token_lifetime", "auth_token_lifetime takes one value"},
		{"auth_token_lifetime 900", `auth_token_lifetime: "900" is not a duration`},
		{"auth_token_lifetime 1parsec", "is not a duration"},
		{"refresh_token_lifetime 1ms", "refresh_token_lifetime: 1ms is too short"},
		{"max_clock_skew -1m", "max_clock_skew: -1m is too short"},
		{"sign_up_without_token yes", "sign_up_without_token takes no value"},
		{"lifetimes_as_strings\nlifetimes_as_strings", "option lifetimes_as_strings is repeated"},
		{"signature", "signature takes one value"},
		{"signature md5", `signature: "md5" is not one of`},
		{"signature off\nsignature off", "option signature is repeated"},
		{"signature hmac-sha256 {\nencoding base32\n}", `encoding: "base32" is not one of hex, base64, base64url`},
		{"signature hmac-sha256 {\nsalt x\n}", `unknown option "salt"`},
		{"signature hmac-sha256 {\nid a\nid b\n}", "option id is repeated"},
		{"signature hmac-sha256 {\npayload\n}", "payload takes one value"},
		{"human_api x", "human_api takes a block and no value"},
		{"human_api {\n}\nhuman_api {\n}", "option human_api is repeated"},
		{"human_api {\nsecret x\n}", `unknown option "secret"`},
		{"human_api {\nclient a\n}", "client takes a client id and its secret, not 1 values"},
		{"human_api {\nclient a \"\"\n}", "client: the id or the secret is empty"},
		{"human_api {\nclient a 1\nclient a 2\n}", "client a is repeated"},
		{"human_api {\nsession_lifetime 3600\n}", `session_lifetime: "3600" is not a duration`},
		{"human_api {\nid_lifetime 1ms\n}", "id_lifetime: 1ms is too short"},
		{"human_api {\nid_lifetime 1h\nid_lifetime 2h\n}", "option id_lifetime is repeated"},
		{"human_api {\nextra_scopes\n}", "extra_scopes takes at least one scope"},
		{"human_api {\nextra_scopes a\nextra_scopes b\n}", "option extra_scopes is repeated"},
		{"client hapi1 s", `unknown option "client"`},
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
		t.Error("an argument that is no matcher was taken")
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
	h := &Handler{
		Secret: "{file." + file + "}", DeploymentID: "{env.SANDBOX_TEST_ID}",
		ClientIDs: map[string]string{"ios": "x-{env.SANDBOX_TEST_ID}"},
		Users:     []string{"{env.SANDBOX_TEST_ID}@example.com"},
		Signature: &Signature{Payload: "{sig.body}"},
		HumanAPI: &HumanAPI{
			Clients:     map[string]string{"x-{env.SANDBOX_TEST_ID}": "{file." + file + "}"},
			ExtraScopes: []string{"{env.SANDBOX_TEST_ID}:read"},
		},
	}
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
		t.Error("the placeholders are gone from the handler's own JSON")
	}
	for _, wrong := range []string{"{env.SANDBOX_TEST_UNSET}", "{env.SANDBOX_TEST_EMPTY}", "{nothing}", "{file." + file + ".not}"} {
		if _, err := (&Handler{Secret: wrong}).config(); err == nil || !strings.HasPrefix(err.Error(), "secret: ") {
			t.Errorf("%s: %v", wrong, err)
		}
		human := &HumanAPI{Clients: map[string]string{"hapi1": wrong}}
		if _, err := (&Handler{HumanAPI: human}).config(); err == nil || !strings.HasPrefix(err.Error(), "human_api client hapi1: ") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	twice := &HumanAPI{Clients: map[string]string{"{env.SANDBOX_TEST_ID}": "1", "d9": "2"}}
	if _, err := (&Handler{HumanAPI: twice}).config(); err == nil || !strings.Contains(err.Error(), "stands there twice") {
		t.Errorf("a client twice: %v", err)
	}
}

func TestHandlerReferencesState(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	references := func() int { n, _ := states.References("held"); return n }

	wrong := &Handler{Name: "held", Prefix: "x"}
	if err := wrong.Provision(ctx); err == nil {
		t.Fatal("a wrong prefix was taken")
	}
	if err := wrong.Cleanup(); err != nil || references() != 0 {
		t.Errorf("%v, %d references", err, references())
	}
	var handlers []*Handler
	for range 2 {
		h := &Handler{Name: "held"}
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
		t.Error("an unknown member was taken")
	}
}
