package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/cli"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// tokenDocument is the output of caddy huma token --json.
type tokenDocument struct {
	Directive, Outcome, Code, Detail, Cause, Fix, Signed string
	Token                                                json.RawMessage
	Calls                                                []struct {
		Method, URL, Error string
		Status             int
		Request, Response  *struct {
			Header []string
			Body   string
		}
	}
}

// tokensOf reads the endpoint's answer in such a document.
func tokensOf(t *testing.T, raw json.RawMessage) tokens {
	t.Helper()
	return (&response{Response: &http.Response{StatusCode: http.StatusOK}, Body: raw}).tokens(t)
}

// TestTokenOfAConfigFile checks --config-file: a huma-config.json is sufficient.
func TestTokenOfAConfigFile(t *testing.T) {
	fake := newHuma(t, sandbox.Config{Users: []string{"bob@x.example"}})
	file := humaConfig(t, fake)
	token := func(args ...string) *ran {
		return run(t, cli.TokenCommand(), append([]string{"--config-file", file}, args...)...)
	}

	token("--email", "Bob@x.example", "--client-type", "iOS").
		ends(0, "huma_token with "+file, "/auth/signin", "200", "→ token issued (1 call", "auth token expires in 14m59s", "refresh token expires in 1079h59m59s").
		hides("eyJ", "sandbox-secret", "ob@x.example")

	// No user is signed up, and the output says what --register would do.
	token("--email", "carol@x.example", "--client-type", "ios").
		ends(3, "/auth/signin", "403", "→ no token: not_registered (1 call", "With --register, the command signs up the user", "sign in: status 403, code 300011").
		hides("carol")
	if n := len(fake.Users()); n != 1 || fake.calls("signup") != 0 {
		t.Fatalf("%d users, %d sign-ups", n, fake.calls("signup"))
	}
	token("--email", "carol@x.example", "--client-type", "ios", "--register").
		ends(0, "/auth/signin", "403", "/auth/signup", "201", "→ token issued; the user was signed up (2 calls").
		hides("eyJ", "carol")
	if n := len(fake.Users()); n != 2 || fake.calls("signup") != 1 {
		t.Errorf("%d users, %d sign-ups", n, fake.calls("signup"))
	}

	var v tokenDocument
	r := token("--email", "carol@x.example", "--client-type", "android", "--json").ends(0)
	r.json(&v)
	answered := tokensOf(t, v.Token)
	if v.Outcome != "signed_in" || v.Code != "" || !strings.HasPrefix(answered.AuthToken, "eyJ") || len(v.Calls) != 1 || v.Calls[0].Status != 200 || v.Calls[0].Request != nil {
		t.Errorf("%s", r.out)
	}
	v = tokenDocument{}
	r = token("--email", "dave@x.example", "--client-type", "android", "--json").ends(3).hides("dave")
	r.json(&v)
	if v.Code != "not_registered" || v.Token != nil || !strings.Contains(v.Detail, "--register") || v.Cause != "sign in: status 403, code 300011" {
		t.Errorf("%s", r.out)
	}
}

// TestTokenAsTheDirective checks that the command makes the calls of the directive.
func TestTokenAsTheDirective(t *testing.T) {
	t.Setenv("HEADER_UP", "canary-header")
	for _, c := range []struct {
		name    string
		service sandbox.Config
		options string
		calls   string
	}{
		{"a signature", sandbox.Config{Signature: sandbox.Signature{Algorithm: "hmac-sha512", Encoding: "base64", Payload: "{sig.method}.{sig.path}.{sig.body}"}}, "signature hmac-sha512 {\nencoding base64\npayload {sig.method}.{sig.path}.{sig.body}\n}", "signin signup"},
		{"hawk", sandbox.Config{Signature: sandbox.Signature{Algorithm: "hawk", ID: "h"}}, "signature hawk {\nid h\n}", "signin signup"},
		{"consent", sandbox.Config{}, "registration {\nsign_consent on\nactivation_code canary-code\n}", "signin signup consent"},
		{"a header", sandbox.Config{}, "header_up X-Up {env.HEADER_UP}", "signin signup"},
		{"no token", sandbox.Config{Edition: "middle"}, "", "signin signup signin"},
		{"a cache", sandbox.Config{}, "cache 5m {\nvary {header.X-Device}\n}", "signin signup"},
		{"a Redis nowhere", sandbox.Config{}, "cache {\nredis {\naddress 127.0.0.1:1\nencryption_keys " + redisKey + "\n}\n}", "signin signup"},
		{"a breaker", sandbox.Config{}, "breaker {\nfailures 1\n}", "signin signup"},
		{"errors caddy", sandbox.Config{}, "errors caddy", "signin signup"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := newHuma(t, c.service)
			config := caddyfileOf(t, humaBlock(fake, c.options))
			for range 2 { // there is nothing kept from the first time
				fake.Reset()
				run(t, cli.TokenCommand(), "--config", config, "--email", "alice@x.example", "--client-type", "web", "--register", "--trace").
					ends(0, "huma_token localhost:8080/private/huma-token (Caddyfile:2)", "→ token issued; the user was signed up").
					hides("eyJ", "sandbox-secret", "alice", "canary")
				var ops []string
				for _, call := range fake.Calls().Calls {
					ops = append(ops, call.Op)
				}
				if got := strings.Join(ops, " "); got != c.calls {
					t.Errorf("called %s, want %s", got, c.calls)
				}
			}
		})
	}
}

// TestTokenTrace checks that --trace prints the calls without secrets and personal data.
func TestTokenTrace(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	config := caddyfileOf(t, humaBlock(fake, "header_up X-Up canary-header\nregistration {\nactivation_code canary-code\nlanguage en\nattribute dob canary-dob\n}"))
	args := []string{"--config", config, "--email", "canary@x.example", "--client-type", "web", "--register", "--trace"}
	run(t, cli.TokenCommand(), args...).
		ends(0, "signature: hmac-sha256 of {sig.body}, in hex, in the header signature",
			"POST "+fake.URL+"/api/integration/v1/auth/signin", "403",
			"> Accept: application/json", "> X-Up: ***", "> deploymentId: d1", "> signature: ***",
			`> {"clientId":"c3","email":"***","language":"en","projectId":"p1"}`,
			"< Content-Type: application/json", "< Date: ", `< {"code":300011,"message":"***"}`,
			"/auth/signup", "201",
			`> {"clientId":"c3","email":"***","ipAddress":"***","language":"en","projectId":"p1","userAttributes":{"dob":"***"},"validationData":{"activationCode":"***"}}`,
			`< {"authToken":"***","authTokenExpiresIn":900,"expiresIn":3888000,"refreshToken":"***","uid":"***"}`).
		hides("canary", "sandbox-secret", "eyJ")

	var v tokenDocument
	r := run(t, cli.TokenCommand(), append(args, "--json")...).ends(0)
	r.json(&v)
	token := tokensOf(t, v.Token)
	r.hides("canary", "sandbox-secret")
	if strings.Count(r.out, token.AuthToken) != 1 || v.Calls[0].Request.Body != `{"clientId":"c3","email":"***","language":"en","projectId":"p1"}` || v.Calls[0].Response == nil {
		t.Errorf("%s", r.out)
	}

	// A payload may hold a part of the secret.
	config = caddyfileOf(t, humaBlock(fake, "signature hmac-sha256 {\npayload {sig.body}canary\n}"))
	run(t, cli.TokenCommand(), "--config", config, "--email", "a@x.example", "--client-type", "web", "--trace").
		ends(1, "signature: hmac-sha256 of a custom payload").hides("canary")
}

// TestTokenFails checks the exit code and the advice of each failure.
func TestTokenFails(t *testing.T) {
	fault := func(f sandbox.Fault) []sandbox.Fault { return []sandbox.Fault{f} }
	for _, c := range []struct {
		name    string
		service sandbox.Config
		faults  []sandbox.Fault
		options string
		code    int
		parts   []string
	}{
		{"another secret", sandbox.Config{Secret: "another"}, nil, "", 1, []string{"→ no token: upstream_config", "Huma rejects the signature", "status 401, code 100006", "fix: secret"}},
		{"another deployment", sandbox.Config{DeploymentID: "d2"}, nil, "", 1, []string{"Huma rejects an ID", "100004", "fix: deployment_id"}},
		{"another project", sandbox.Config{ProjectID: "p2"}, nil, "", 1, []string{"upstream_config", "Huma does not know this project", "fix: project_id"}},
		{"401 without a code", sandbox.Config{}, fault(sandbox.Fault{Status: 401, Body: "no"}), "", 1, []string{"upstream_config", "check its signature, secret and IDs"}},
		{"not found", sandbox.Config{}, fault(sandbox.Fault{Status: 404, Body: "no"}), "", 1, []string{"upstream_rejected", "see the options api"}},
		{"down", sandbox.Config{}, fault(sandbox.Fault{Status: 503}), "", 4, []string{"503", "503", "→ no token: upstream_unavailable (2 calls"}},
		{"reset", sandbox.Config{}, fault(sandbox.Fault{Reset: sandbox.ResetBefore}), "retries 0", 4, []string{"upstream_unavailable (1 call,"}},
		{"too slow", sandbox.Config{}, fault(sandbox.Fault{Delay: 5 * time.Second}), "retries 0\nattempt_timeout 100ms", 4, []string{"timed out", "upstream_timeout"}},
		{"refused", sandbox.Config{}, fault(sandbox.Fault{Status: 403, Body: "{}"}), "", 1, []string{"refused", "The service refuses to sign in or sign up this user", "No token exchange has succeeded"}},
		{"registration off", sandbox.Config{}, nil, "registration off", 3, []string{"not_registered", "the config has `registration off`"}},
		{"HTML", sandbox.Config{}, fault(sandbox.Fault{Status: 200, Body: "<html>canary"}), "", 1, []string{"upstream_bad_response"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := newHuma(t, c.service)
			if err := fake.SetFaults(c.faults); err != nil {
				t.Fatal(err)
			}
			run(t, cli.TokenCommand(), "--config", caddyfileOf(t, humaBlock(fake, c.options)), "--email", "alice@x.example", "--client-type", "web", "--register").
				ends(c.code, c.parts...).hides("canary", "sandbox-secret", "alice")
			if len(fake.Users()) > 0 {
				t.Error("a user was signed up")
			}
		})
	}
}

func TestTokenOfHumanAPI(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	config := caddyfileOf(t, humaBlock(fake), humanBlock(fake, "extra_scopes a b"))
	token := func(args ...string) *ran {
		return run(t, cli.TokenCommand(), append([]string{"--config", config, "--directive", "human_api_token", "--user-id", "user-canary"}, args...)...)
	}
	// A session token would make the user.
	token().ends(3, "human_api_token localhost:8080/private/human-api-token", "/v1/connect/token", "no token: not_registered (1 call", "only an id token was requested").hides("canary")
	if users := fake.HumanUsers(); len(users) != 0 {
		t.Fatalf("made %v", users)
	}
	token("--register", "--email", "canary@x.example", "--trace").
		ends(0, `> {"client_id":"hapi1","client_secret":"***","client_user_email":"***","client_user_id":"***","extra_scopes":["a","b"],"type":"session"}`,
			`"session_token":"***"`, "→ token issued (1 call", "token expires in 59m59s").hides("canary", "sandbox-secret", "signature:")
	if users := fake.HumanUsers(); len(users) != 1 {
		t.Errorf("there are %v", users)
	}
	if _, err := fake.Connect(sandbox.Connection{ClientUserID: "user-canary"}); err != nil {
		t.Fatal(err)
	}
	var v tokenDocument
	token("--json").ends(0).json(&v) // a user who has connected a source gets an id token at once
	if !strings.Contains(string(v.Token), `"id_token"`) {
		t.Errorf("%s", v.Token)
	}
	token("--register").ends(0, "403", "200", "(2 calls")

	wrong := caddyfileOf(t, strings.Replace(humanBlock(fake), "sandbox-secret", "another", 1))
	run(t, cli.TokenCommand(), "--config", wrong, "--user-id", "u").ends(1, "INVALID_CLIENT_ID_OR_SECRET", "fix: client_id")
}

// TestTokenUsage checks that wrong usage and errors of the config are reported before any
// call is made.
func TestTokenUsage(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	file, one := humaConfig(t, fake), caddyfileOf(t, humaBlock(fake))
	two := caddyfileOf(t, "handle /a/* {\n"+humaBlock(fake)+"\n}\nhandle {\n"+humaBlock(fake, "client_type web")+"\n}")
	human := caddyfileOf(t, humanBlock(fake))
	unset := caddyfileOf(t, strings.Replace(humaBlock(fake), "sandbox-secret", "{env.CADDY_HUMA_NOT_SET}", 1))
	for _, c := range []struct {
		name string
		args string
		code int
		part string
	}{
		{"no user", "--config-file " + file, 2, "--email is required"},
		{"no user id", "--config " + human + " --email a@x.example", 2, "--user-id is required"},
		{"no address", "--config-file " + file + " --client-type ios --email alice", 2, "identity_invalid: --email must be one email address"},
		{"no client type", "--config-file " + file + " --email a@x.example", 2, "client_type_required: set --client-type to ios, android or web"},
		{"another client type", "--config-file " + file + " --email a@x.example --client-type web", 2, "client_type_unknown: --client-type must be ios, android or web, and must have an ID"},
		{"both configs", "--config-file " + file + " --config " + one + " --email a@x.example", 2, "--config-file cannot be combined with"},
		{"no such directive", "--config " + one + " --directive human_api_token --user-id u", 2, "the config has no human_api_token"},
		{"an unknown directive", "--config " + one + " --directive huma --email a@x.example", 2, `unknown directive "huma"`},
		{"Huma's option", "--config " + human + " --user-id u --deployment-id d1", 2, "--deployment-id and --client-type can be used with huma_token only"},
		{"an argument", "alice@x.example", 2, "unexpected argument"},
		{"no such config", "--config /nonexistent/Caddyfile --email a@x.example", 1, "no such file"},
		{"no such file", "--config-file /nonexistent/h.json --email a@x.example", 1, "config_file: open /nonexistent/h.json: no such file"},
		{"a secret that is none", "--config " + unset + " --email a@x.example --client-type web", 1, "secret: environment variable CADDY_HUMA_NOT_SET is not set"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, cli.TokenCommand(), strings.Fields(c.args)...).fails(c.code, c.part)
		})
	}
	if n := len(fake.Calls().Calls); n != 0 {
		t.Errorf("%d calls", n)
	}

	run(t, cli.TokenCommand(), "--config", two, "--email", "a@x.example", "--which", "#2").ends(3, "huma_token localhost:8080/private/huma-token #2") // web, by its own option
	run(t, cli.TokenCommand(), "--config", one, "--email", "a@x.example", "--client-type", "ios", "--deployment-id", "d2").ends(1, "100004")
}

// TestTokenOverTLS checks that the certificate authorities of the config are used.
func TestTokenOverTLS(t *testing.T) {
	ca := testutil.NewAuthority(t.TempDir(), "the service's authority")
	fake := newTLSService(t, sandbox.Config{}, testutil.Loopback(), ca)
	for trust, code := range map[string]int{fmt.Sprintf("tls {\nca %s\n}", ca.File): 3, "": 4} {
		run(t, cli.TokenCommand(), "--config", caddyfileOf(t, humaBlock(fake, trust, "retries 0")), "--email", "a@x.example", "--client-type", "ios").ends(code)
	}
}
