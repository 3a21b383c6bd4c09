package caddymodule_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/cli"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// edition is an edition of Huma's guide with the options of huma_token for it, which are
// those of the documentation.
type edition struct {
	options func(t *testing.T, h *fakeHuma, secretFile string) string
	secret  string         // the content of the file with the secret
	signUp  map[string]int // the calls for a user whom Huma does not know
	paths   [2]string      // of sign-in and sign-up
}

var editions = map[string]edition{
	"oldest": {
		options: func(t *testing.T, h *fakeHuma, secretFile string) string {
			t.Setenv("HUMA_TEST_ACTIVATION", "canary-code")
			return strings.NewReplacer("https://huma.example.com", h.URL,
				"{file./run/secrets/verification-token}", "{file."+secretFile+"}",
				"{file./run/secrets/activation-code}", "{env.HUMA_TEST_ACTIVATION}",
			).Replace(serviceOptions(t, "../docs/older-editions.md"))
		},
		secret: "sandbox-secret\n",
		signUp: map[string]int{"signin": 1, "signup": 1},
		paths:  [2]string{"/auth/v1/private/signin", "/auth/v1/private/signup"},
	},
	"middle": {
		options: migrated,
		secret:  `{"apiUrl":"URL","projectId":"p1","deploymentId":"d1","clients":{"ios":"c1"},"secret":"sandbox-secret"}`,
		signUp:  map[string]int{"signin": 2, "signup": 1},
		paths:   [2]string{"/api/integration/v1/auth/signin", "/api/integration/v1/auth/signup"},
	},
	"newest": {
		options: migrated,
		secret:  `{"clientIds":{"ios":"c1"},"domain":"URL","project_id":"p1","deployment_id":"d1","clientSecret":"sandbox-secret"}`,
		signUp:  map[string]int{"signin": 1, "signup": 1},
		paths:   [2]string{"/api/integration/v1/auth/signin", "/api/integration/v1/auth/signup"},
	},
}

// migrated returns the options for the middle and the newest editions.
func migrated(t *testing.T, _ *fakeHuma, secretFile string) string {
	return strings.ReplaceAll(serviceOptions(t, "../docs/migration.md"), "/etc/huma/huma-config.json", secretFile)
}

// serviceOptions returns the options of the first huma_token in a page of the
// documentation, without those that identify the user.
func serviceOptions(t *testing.T, page string) string {
	t.Helper()
	_, text, _ := strings.Cut(caddyfileBlocks(t, page)[0], "\n\thuma_token {\n")
	text, _, _ = strings.Cut(text, "\n\t}\n")
	var options []string
	for line := range strings.SplitSeq(text, "\n") {
		// The last option is the one that identifies the user.
		if strings.HasPrefix(line, "\t\tidentity ") || strings.HasPrefix(line, "\t\tuserinfo ") {
			return strings.Join(options, "\n")
		}
		options = append(options, line)
	}
	t.Fatalf("%s: no user is identified:\n%s", page, text)
	return ""
}

// setUp starts the sandbox of the edition, with the user bob@x.example, and returns it with
// the file of the secret and the options.
func (e edition) setUp(t *testing.T, name string) (fake *fakeHuma, secretFile, options string) {
	t.Helper()
	fake = newHuma(t, sandbox.Config{Edition: name, Users: []string{"bob@x.example"}})
	secretFile = writeFile(t, "secret", strings.ReplaceAll(e.secret, "URL", fake.URL))
	return fake, secretFile, e.options(t, fake, secretFile)
}

// TestEditions checks that each edition of Huma's guide works from the config alone: a
// known user, an unknown user, the cache, and a wrong secret.
func TestEditions(t *testing.T) {
	for name, e := range editions {
		t.Run(name, func(t *testing.T) {
			fake, secretFile, options := e.setUp(t, name)
			site := func(more string) string {
				return "SITE {\nhuma_token {\n" + options + "\nidentity {\nemail X-Test-User\nfirst_name X-First\nlast_name X-Last\n}\ntrust proxies 127.0.0.1\n" + more + "\n}\n}"
			}
			s := serve(t, site(""))
			known := s.request("GET", iosPath, as("bob@x.example")).tokens(t)
			if got := fake.Calls().ByOp; !maps.Equal(got, map[string]int{"signin": 1}) || *known.ExpiresIn != *known.RefreshTokenExpiresIn {
				t.Errorf("calls %v, tokens %+v", got, known)
			}
			if again := s.request("GET", iosPath, as("bob@x.example")).tokens(t); again.AuthToken != known.AuthToken || fake.calls("signin") != 1 {
				t.Errorf("%d sign-ins, want one and a cached token", fake.calls("signin"))
			}

			before := fake.calls("signin")
			s.request("GET", iosPath, as("carol@x.example"), header("X-First", "Carol"), header("X-Last", "Liddell")).tokens(t)
			if in, up := fake.calls("signin")-before, fake.calls("signup"); in != e.signUp["signin"] || up != e.signUp["signup"] {
				t.Errorf("%d sign-ins, %d sign-ups, want %v", in, up, e.signUp)
			}
			profile := fake.Users()[1].Profile
			if got := fmt.Sprint(profile["userAttributes"]); got != "map[familyName:Liddell givenName:Carol]" {
				t.Errorf("userAttributes %s", got)
			}
			if _, sent := profile["ipAddress"]; sent == (name == "oldest") {
				t.Errorf("profile %v", profile)
			}

			// The body of the oldest edition names the user. It must not have an effect.
			body := strings.NewReader(`{"email":"bob@x.example","firstName":"B","lastName":"B","activationCode":"a","client_type":"ios"}`)
			if a := s.request("POST", strings.TrimSuffix(iosPath, "?client_type=ios"), as("carol@x.example"), header("Content-Type", "application/json"), func(r *http.Request) {
				r.Body, r.ContentLength = io.NopCloser(body), body.Size()
			}).tokens(t); a.UID == known.UID {
				t.Error("the body selected the user")
			}

			// The credentials become invalid, and valid again.
			must(t, os.WriteFile(secretFile, []byte(strings.Replace(strings.ReplaceAll(e.secret, "URL", fake.URL), "sandbox-secret", "canary-wrong", 1)), 0o600))
			must(t, s.load(site("cache off")))
			s.request("GET", iosPath, as("bob@x.example")).problem(t, http.StatusBadGateway, "upstream_config")
			if found := s.logLines(`"meaning":"100006: Huma rejects the signature, or a header with a secret (options secret, signature and header_up)"`); len(found) != 1 {
				t.Errorf("the log has %q", found)
			}
			must(t, os.WriteFile(secretFile, []byte(strings.ReplaceAll(e.secret, "URL", fake.URL)), 0o600))
			s.request("GET", iosPath, as("bob@x.example")).tokens(t)
			s.noSecretsInLog("sandbox-secret", "canary", "carol", "Liddell")
		})
	}
}

// TestEditionsReject checks that the options of one edition lead to an error with the
// calls of another one, and never to an account.
func TestEditionsReject(t *testing.T) {
	for _, c := range []struct{ options, service string }{{"oldest", "newest"}, {"newest", "oldest"}, {"oldest", "middle"}, {"middle", "oldest"}} {
		t.Run(c.options+" at "+c.service, func(t *testing.T) {
			fake, _, options := editions[c.options].setUp(t, c.service)
			s := serve(t, "SITE {\nhuma_token {\n"+options+"\nidentity {\nemail X-Test-User\n}\ntrust proxies 127.0.0.1\n}\n}")
			s.request("GET", iosPath, as("a@x.example")).problem(t, http.StatusBadGateway, "upstream_rejected")
			if n := len(fake.Users()); n != 1 {
				t.Errorf("%d users, want 1", n)
			}
			_, all := runCheck(t, caddyfileOf(t, "huma_token {\n"+options+"\nidentity basic_auth\n}"))
			finds(t, all, "credentials problem: status 404 → sign_in and sign_up")
		})
	}
}

// TestEditionsCommands checks caddy huma check and caddy huma token with each edition.
func TestEditionsCommands(t *testing.T) {
	for name, e := range editions {
		t.Run(name, func(t *testing.T) {
			fake, secretFile, options := e.setUp(t, name)
			config := caddyfileOf(t, "huma_token {\n"+options+"\nidentity basic_auth\n}")
			code, all := runCheck(t, config)
			finds(t, all)
			if code != 0 || results(all)["credentials"] != "ok" || fake.calls("signup") != 0 {
				t.Errorf("exit code %d, %v", code, results(all))
			}
			args := []string{"--config", config, "--client-type", "ios", "--trace", "--email"}
			run(t, cli.TokenCommand(), append(args, "bob@x.example")...).
				ends(0, "POST "+fake.URL+e.paths[0], "200", "→ token issued (1 call").hides("eyJ", "sandbox-secret", "bob", "canary")
			run(t, cli.TokenCommand(), append(args, "carol@x.example")...).ends(3, e.paths[0], "403", "not_registered")
			r := run(t, cli.TokenCommand(), append(args, "carol@x.example", "--register")...).
				ends(0, e.paths[0], e.paths[1], "→ token issued; the user was signed up").hides("eyJ", "sandbox-secret", "carol", "canary")
			if oldest := name == "oldest"; strings.Contains(r.out, "> verification-token: ***") != oldest || strings.Contains(r.out, `"method":"***"`) != oldest || strings.Contains(r.out, "> deploymentId: d1") == oldest {
				t.Errorf("printed\n%s", r.out)
			}

			must(t, os.WriteFile(secretFile, []byte(strings.Replace(strings.ReplaceAll(e.secret, "URL", fake.URL), "sandbox-secret", "canary-wrong", 1)), 0o600))
			run(t, cli.TokenCommand(), append(args, "bob@x.example")...).ends(1, "401", "upstream_config", "header_up", "fix: secret").hides("canary")
			_, all = runCheck(t, config)
			finds(t, all, "credentials problem: status 401, code 100006: Huma rejects the signature, or a header with a secret → header_up")
		})
	}
}

// TestBodyMembers checks the members that the options add to the bodies: values are JSON,
// placeholders are text, and nothing is printed.
func TestBodyMembers(t *testing.T) {
	t.Setenv("HUMA_TEST_HOSTILE", `canary","email":"evil@x.example`)
	fake := newHuma(t, sandbox.Config{})
	file := writeFile(t, "secret", "canary-secret\n")
	config := caddyfileOf(t, humaBlock(fake, "sign_up {\nomit userAttributes validationData\nbody userAttributes `{\"__proto__\": {\"list\": [1, \"{env.HUMA_TEST_HOSTILE}\"]}, \"empty\": \"\"}`\nbody validationData `{\"code\": \"{file."+file+"}\"}`\nbody ssoEnabled true\nbody deviceAgent {env.HUMA_TEST_HOSTILE}\n}"))
	run(t, cli.TokenCommand(), "--config", config, "--client-type", "ios", "--email", "a@x.example", "--register", "--trace").
		ends(0, `"deviceAgent":"***"`, `"ssoEnabled":"***"`, `"userAttributes":{"__proto__":{"list":["***","***"]},"empty":""},"validationData":{"code":"***"}`).
		hides("canary", "evil")
	profile := fake.Users()[0].Profile
	if got, want := fmt.Sprint(profile["userAttributes"]), `map[__proto__:map[list:[1 canary","email":"evil@x.example]] empty:]`; got != want {
		t.Errorf("userAttributes %s, want %s", got, want)
	}
	if got := fmt.Sprintf("%v %v %v %v", profile["email"], profile["ssoEnabled"], profile["deviceAgent"], profile["validationData"]); got != `a@x.example true canary","email":"evil@x.example map[code:canary-secret]` {
		t.Errorf("profile %s", got)
	}
}
