package caddymodule_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

func TestI06_SourcesThatDoNotLoad(t *testing.T) {
	for _, c := range []struct {
		name    string
		option  string
		lines   []string
		message []string
	}{
		{"header", "email", []string{"identity {\nemail Remote-Email\n}"}, []string{"trust forward_auth", "trust proxies"}},
		{"header's placeholder", "email", []string{"identity {\nemail {header.Remote-Email}\n}"}, []string{"trust forward_auth", "trust proxies"}},
		{"preset of headers", "email", []string{"identity authelia"}, []string{"trust forward_auth", "trust proxies"}},
		{"a name that is a header", "name", []string{"identity basic_auth {\nname Remote-Name\n}"}, []string{"trust forward_auth", "trust proxies"}},
		{"no placeholder of a name", "verified", []string{"identity basic_auth {\nverified Remote-Verified\n}"}, []string{"trust"}},
		{"candidate", "email", []string{"identity {\nemail {http.auth.candidate.id}\n}"}, []string{"{http.auth.user.id}"}},
		{"candidate, with trust", "email", []string{"identity {\nemail {http.auth.candidate.id}\n}", "trust proxies 127.0.0.1"}, []string{"{http.auth.user.id}"}},
		{"query", "email", []string{"identity {\nemail {query.user}\n}"}, []string{"client", "{http.auth.user.id}"}},
		{"query in full", "email", []string{"identity {\nemail {http.request.uri.query.user}\n}"}, []string{"client", "{http.auth.user.id}"}},
		{"path", "email", []string{"identity {\nemail {path}\n}"}, []string{"client", "{http.auth.user.id}"}},
		{"cookie", "email", []string{"identity {\nemail {cookie.user}\n}"}, []string{"client", "{http.auth.user.id}"}},
		{"cookie in full", "email", []string{"identity {\nemail {http.request.cookie.user}\n}"}, []string{"client", "{http.auth.user.id}", "{http.request.cookie.user} ", "verify { … }"}},
		{"method", "email", []string{"identity {\nemail {method}\n}"}, []string{"{http.auth.user.id}"}},
		{"Caddy's own variable", "email", []string{"identity {\nemail {http.vars.client_ip}\n}"}, []string{"{http.auth.user.id}"}},
		{"environment", "email", []string{"identity {\nemail {env.USER}\n}"}, []string{"same for every user"}},
		{"part of a text", "email", []string{"identity {\nemail {http.auth.user.id}@x.example\n}"}, []string{"single placeholder"}},
		{"two placeholders", "email", []string{"identity {\nemail {http.auth.user.id}{user}\n}"}, []string{"single placeholder"}},
		{"no header's name", "email", []string{"identity {\nemail Remote(Email)\n}"}, []string{"Remote-Email"}},
		{"no source", "email", []string{"identity {\ndomains x.example\n}"}, []string{"identity <preset>", "email <source>"}},
		{"unknown preset", "identity", []string{"identity unknown"}, []string{"authelia", "tailscale"}},
		{"a domain that is none", "domains", []string{"identity basic_auth {\ndomains *.x.example\n}"}, []string{"x.example"}},
		{"a header that Caddy drops", "email", []string{"identity {\nemail Remote_Email\n}", "trust proxies 127.0.0.1"}, []string{"expected_underscore_headers"}},
		{"one with a dot", "email", []string{"identity {\nemail remote.email\n}", "trust proxies 127.0.0.1"}, []string{"expected_dot_headers"}},
		{"upstream with a path", "trust", []string{"identity authelia", "trust forward_auth http://authelia:9091/api"}, []string{"trust forward_auth authelia:9091"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, d := range bothDirectives {
				wantProblem(t, validateText(t, d.lines(d.convertLines(c.lines...)...)), d.convertOption(c.option), d.convertMessages(c.message...)...)
			}
		})
	}
}

// The following are blocks of configs.

// assertionOf returns an identity with a signed assertion and the given lines in its
// block verify.
func assertionOf(preset string, lines ...string) string {
	if preset == "" {
		return "identity {\nemail Authorization email\nverify {\n" + strings.Join(lines, "\n") + "\n}\n}"
	}
	return "identity " + preset + " {\nverify {\n" + strings.Join(lines, "\n") + "\n}\n}"
}

// withUserinfo returns the changes that replace identity by a userinfo with the given
// lines.
func withUserinfo(url string, lines ...string) []string {
	return []string{"identity", "userinfo \"" + url + "\" {\n" + strings.Join(lines, "\n") + "\n}"}
}

// balancer is the ARN of a load balancer.
const balancer = "arn:aws:elasticloadbalancing:eu-west-2:123456789012:loadbalancer/app/clinic/50dc6c495c0c9188"

// verifyLines are the lines of a valid block verify.
var verifyLines = []string{"jwks https://login.example/keys", "issuer https://login.example/", "audience clinic"}

// verifyBlock is a valid block verify of userinfo.
const verifyBlock = "verify {\nissuer https://login.example/\naudience clinic\n}"

func TestAssertionsAndUserinfoLoad(t *testing.T) {
	for name, changes := range map[string][]string{
		"custom":                       {assertionOf("", verifyLines...)},
		"require":                      {assertionOf("", "issuer https://login.example/", "require azp clinic-app clinic-web", "require realm_access.roles patient")},
		"require and audience":         {assertionOf("", append(verifyLines[:3:3], "require groups staff", "require groups night")...)},
		"discovery":                    {assertionOf("", verifyLines[1:]...)},
		"discovery in a container":     {assertionOf("", "issuer http://keycloak:8080/realms/clinic", "audience clinic")},
		"jwks in a container":          {assertionOf("", "jwks http://keycloak:8080/keys", "issuer clinic", "audience clinic")},
		"custom over loopback":         {assertionOf("", append([]string{"jwks http://localhost:9000/keys"}, verifyLines[1:]...)...)},
		"custom with trust":            {assertionOf("", verifyLines...), "trust proxies 10.0.0.0/8"},
		"several audiences":            {assertionOf("", "jwks https://login.example/keys", "issuer https://login.example/", "audience one two")},
		"in a cookie":                  {"identity {\nemail {http.request.cookie.__session} email\nverify {\n" + strings.Join(verifyLines, "\n") + "\n}\n}"},
		"in a placeholder":             {"identity {\nemail {http.vars.token} user.email\nverify {\n" + strings.Join(verifyLines, "\n") + "\n}\n}"},
		"a name beside it":             {"identity {\nemail Authorization email\nname {http.auth.user.name}\nverify {\n" + strings.Join(verifyLines, "\n") + "\n}\n}"},
		"google_iap":                   {assertionOf("google_iap", "audience /projects/1/apps/clinic")},
		"cloudflare_access":            {assertionOf("cloudflare_access", "issuer https://clinic.cloudflareaccess.com", "audience 0123")},
		"pomerium":                     {assertionOf("pomerium", "audience clinic.example")},
		"pomerium on several routes":   {assertionOf("pomerium", "jwks https://a.example/keys", "issuer a.example", "audience a.example b.example")},
		"teleport":                     {assertionOf("teleport", "jwks https://proxy.example/.well-known/jwks.json", "issuer clinic", "audience https://app.example")},
		"aws_alb":                      {assertionOf("aws_alb", "signer "+balancer)},
		"aws_alb in China":             {assertionOf("aws_alb", "jwks https://keys.example", "signer "+strings.Replace(balancer, "arn:aws:", "arn:aws-cn:", 1))},
		"aws_alb in two regions":       {assertionOf("aws_alb", "jwks https://keys.example", "signer "+balancer+" "+strings.Replace(balancer, "eu-west-2", "eu-west-1", 1))},
		"aws_alb with all there is":    {assertionOf("aws_alb", "signer "+balancer, "issuer https://login.example", "audience client")},
		"a document, with trust":       {"identity {\nemail X-Userinfo user.email\n}", "trust proxies 10.0.0.0/8"},
		"a path by its environment":    {"identity {\nemail X-Userinfo user.{env.HUMA_TEST_SECRET}\n}", "trust proxies 10.0.0.0/8"},
		"a document, operator's":       {"identity {\nemail {http.vars.document} https://clinic\\.example/email\n}"},
		"userinfo":                     withUserinfo("http://localhost:3000/api/me", "email user.email"),
		"userinfo elsewhere":           withUserinfo("https://app.example/api/me?fields=email", "email data.0.email", "forward_headers Authorization X-Session Host"),
		"userinfo on another machine":  withUserinfo("http://app:3000/me", "email email"),
		"userinfo by IPv6":             withUserinfo("http://[::1]:3000/me", "email email"),
		"userinfo by its environment":  withUserinfo("http://localhost:3000/{env.HUMA_TEST_SECRET}", "email email"),
		"userinfo, verify":             withUserinfo("https://login.example/userinfo", "email email", verifyBlock, "cache 5m"),
		"userinfo, a cookie":           withUserinfo("https://login.example/userinfo", "email email", "verify {\nissuer https://login.example\nrequire azp clinic\ntoken {http.request.cookie.access_token}\n}"),
		"userinfo with a dot in names": withUserinfo("http://localhost:3000/me", `email https://clinic\.example/email`),
	} {
		t.Run(name, func(t *testing.T) {
			for _, d := range bothDirectives {
				if err := validateText(t, d.lines(d.convertLines(changes...)...)); err != nil {
					t.Errorf("%s: %v", d.name, err)
				}
			}
		})
	}
}

// TestIdentityProblems checks that each mistake in the options about the identity is
// reported once, with the option and a fix.
func TestIdentityProblems(t *testing.T) {
	custom := func(lines ...string) []string { return []string{assertionOf("", lines...)} }
	for _, c := range []struct {
		name    string
		lines   []string
		option  string
		message []string
	}{
		{"no identity", []string{"identity"}, "identity:", []string{"is required", "identity authelia", "trust forward_auth", "userinfo http://"}},
		{"identity, userinfo", []string{"userinfo http://localhost:3000/me {\nemail email\n}"}, "userinfo:", []string{"cannot be combined with identity", "remove one of them"}},
		{"trust, userinfo", append(withUserinfo("http://localhost:3000/me", "email email"), "trust forward_auth"), "trust:", []string{"cannot be combined with userinfo", "remove it"}},

		{"no jwks, issuer without https", custom("issuer clinic", verifyLines[2]), "issuer:", []string{"begins with https://", "/.well-known/openid-configuration", "option jwks"}},
		{"no jwks, issuer over http", custom("issuer http://login.example", verifyLines[2]), "issuer:", []string{"must use https", "without a dot"}},
		{"no jwks, issuer with a query", custom("issuer https://login.example?a=b", verifyLines[2]), "issuer:", []string{"query"}},
		{"no issuer", custom(verifyLines[0], verifyLines[2]), "issuer:", []string{"is required", "(claim iss)"}},
		{"no audience", custom(verifyLines[0], verifyLines[1]), "audience:", []string{"is required", "(claim aud)"}},
		{"require of another claim", custom(verifyLines[0], verifyLines[1], "require groups a"), "audience:", []string{"require azp <client ID>"}},
		{"require of no path", custom(append(verifyLines[:3:3], "require a..b c")...), "require:", []string{`"a..b"`, "empty member name"}},
		{"require of nothing", custom(append(verifyLines[:3:3], `require azp ""`)...), "require:", []string{"empty value"}},
		{"pomerium, require", []string{assertionOf("pomerium", "require azp a", "issuer a.example")}, "jwks:", []string{"is required", "such as https://"}},
		{"an empty audience", custom(verifyLines[0], verifyLines[1], `audience one ""`), "audience:", []string{"empty"}},
		{"a signer", custom(append(verifyLines[:3:3], "signer "+balancer)...), "signer:", []string{"preset aws_alb only", "remove it"}},

		{"google_iap, no audience", []string{assertionOf("google_iap", "jwks https://keys.example")}, "audience:", []string{"(claim aud)"}},
		{"google_iap, a signer", []string{assertionOf("google_iap", "audience a", "signer "+balancer)}, "signer:", []string{"aws_alb"}},
		{"cloudflare_access, no issuer", []string{assertionOf("cloudflare_access", "audience a")}, "issuer:", []string{"https://<team>.cloudflareaccess.com"}},
		{"cloudflare_access, no audience", []string{assertionOf("cloudflare_access", "issuer https://a.cloudflareaccess.com")}, "audience:", []string{"(claim aud)"}},
		{"cloudflare_access, a bare name", []string{assertionOf("cloudflare_access", "issuer clinic", "audience a")}, "issuer:", []string{"must begin with https://", "such as https://<team>.cloudflareaccess.com"}},
		{"cloudflare_access over http", []string{assertionOf("cloudflare_access", "issuer http://a.cloudflareaccess.com", "audience a")}, "issuer:", []string{"must begin with https://"}},
		{"pomerium, no audience", []string{assertionOf("pomerium", "issuer a.example")}, "audience:", []string{"(claim aud)"}},
		{"teleport, no keys", []string{assertionOf("teleport", "issuer clinic", "audience a")}, "jwks:", []string{"https://<proxy>/.well-known/jwks.json"}},
		{"teleport, no issuer", []string{assertionOf("teleport", "jwks https://proxy.example/keys", "audience a")}, "issuer:", []string{"the cluster's name"}},
		{"teleport without verify", []string{"identity teleport"}, "identity:", []string{"teleport", "verify {", "jwks, issuer, audience"}},
		{"the same, with trust", []string{"identity teleport", "trust proxies 10.0.0.0/8"}, "identity:", []string{"verify {"}},
		{"aws_alb without verify", []string{"identity aws_alb"}, "identity:", []string{"aws_alb", "verify {", "signer"}},
		{"aws_alb with trust", []string{"identity aws_alb", "trust proxies 10.0.0.0/8"}, "identity:", []string{"verify {", "signer"}},
		{"aws_alb, no signer", []string{assertionOf("aws_alb", "jwks https://keys.example")}, "signer:", []string{"is required", "ARN"}},
		{"aws_alb, no signer or keys", []string{assertionOf("aws_alb", "audience client")}, "signer:", []string{"is required", "ARN"}},
		{"aws_alb, a name", []string{assertionOf("aws_alb", "signer clinic")}, "signer:", []string{`"clinic" is not the ARN`, "arn:aws:elasticloadbalancing:"}},
		{"aws_alb, another ARN", []string{assertionOf("aws_alb", "signer arn:aws:iam::123456789012:role/clinic")}, "signer:", []string{"is not the ARN of a load balancer"}},
		{"aws_alb, no region", []string{assertionOf("aws_alb", "signer arn:aws:elasticloadbalancing::123456789012:loadbalancer/app/a/b")}, "signer:", []string{"is not the ARN"}},
		{"aws_alb, one of two", []string{assertionOf("aws_alb", "signer "+balancer+" clinic")}, "signer:", []string{`"clinic"`}},
		{"aws_alb, two regions", []string{assertionOf("aws_alb", "signer "+balancer+" "+strings.Replace(balancer, "eu-west-2", "eu-west-1", 1))}, "jwks:", []string{"public-keys.auth.elb."}},
		{"no assertion is known", []string{assertionOf("authelia", verifyLines...), "trust forward_auth"}, "verify:", []string{"authelia", "remove verify", "email Authorization email"}},
		{"no path", []string{"identity {\nemail X-Token\nverify {\n" + strings.Join(verifyLines, "\n") + "\n}\n}"}, "email:", []string{"email Authorization email"}},
		{"a placeholder without a path", []string{"identity google_iap {\nemail {http.auth.user.id}\nverify {\naudience a\n}\n}"}, "email:", []string{"signed assertion"}},
		{"a name of another assertion", []string{"identity google_iap {\nname X-Token name\nverify {\naudience a\n}\n}"}, "name:", []string{"another assertion", "the same signed assertion"}},
		{"verified of another assertion", []string{"identity google_iap {\nverified {http.vars.token} ok\nverify {\naudience a\n}\n}"}, "verified:", []string{"another assertion"}},
		{"an unsigned name", []string{"identity google_iap {\nname X-Name\nverify {\naudience a\n}\n}"}, "name (X-Name)", []string{"trust forward_auth", "trust proxies"}},
		{"an unsigned verified", []string{"identity google_iap {\nverified X-Verified\nverify {\naudience a\n}\n}"}, "verified (X-Verified)", []string{"trust forward_auth", "trust proxies"}},
		{"an assertion that Caddy drops", []string{"identity {\nemail X_Token email\nverify {\n" + strings.Join(verifyLines, "\n") + "\n}\n}"}, "email:", []string{"expected_underscore_headers"}},

		{"a path of nowhere", []string{"identity {\nemail X-Userinfo {env.HUMA_TEST_UNSET}\n}", "trust proxies 10.0.0.0/8"}, "email", []string{"HUMA_TEST_UNSET is not set"}},
		{"a document without trust", []string{"identity {\nemail X-Userinfo user.email\n}"}, "email (X-Userinfo)", []string{"trust forward_auth", "trust proxies"}},
		{"azure without trust", []string{"identity azure_easy_auth"}, "", []string{"email (X-Ms-Client-Principal)", "trust forward_auth", "trust proxies"}},
		{"an empty step", []string{"identity {\nemail {http.vars.document} user..email\n}"}, "email:", []string{`"user..email"`, "single dots"}},
		{"a dot at the end", []string{"identity {\nemail {http.vars.document} user.\n}"}, "email:", []string{"single dots"}},
		{"a backslash", []string{"identity basic_auth {\nname {http.vars.document} user\\name\n}"}, "name:", []string{`\. for a dot`}},
		{"a path in an invalid name", []string{"identity {\nemail X(User) email\n}"}, "email:", []string{"is not a header name"}},
		{"a path behind a candidate", []string{"identity {\nemail {http.auth.candidate.claims} email\n}"}, "email:", []string{"{http.auth.user.id}"}},
		{"a path behind a cookie", []string{"identity {\nemail {cookie.user} email\n}"}, "email:", []string{"set by the client"}},
		{"a path stuck to its source", []string{"identity {\nemail {http.vars.document}email\n}"}, "email:", []string{"single placeholder"}},
		{"a wrong preset with verify", []string{assertionOf("google_aip", "audience a")}, "identity:", []string{"google_iap"}},

		{"userinfo, no email", withUserinfo("http://localhost:3000/me"), "email:", []string{"email user.email"}},
		{"userinfo, an empty step", withUserinfo("http://localhost:3000/me", "email .email"), "email:", []string{"single dots"}},
		{"userinfo, a name's", withUserinfo("http://localhost:3000/me", "email email", "last_name a..b"), "last_name:", []string{"single dots"}},
		{"userinfo, a name", withUserinfo("http://localhost:3000/me", "email email", `forward_headers Cookie "X Key"`), "forward_headers:", []string{`"X Key"`}},
		{"userinfo, only the host", withUserinfo("http://localhost:3000/me", "email email", "forward_headers Host"), "forward_headers:", []string{"Authorization or Cookie"}},
		{"userinfo, cache alone", withUserinfo("http://localhost:3000/me", "email email", "cache 1m"), "cache:", []string{"requires verify in userinfo"}},
		{"userinfo, a long cache", withUserinfo("http://localhost:3000/me", "email email", "cache 6m", verifyBlock), "cache:", []string{"at most 5m"}},
		{"userinfo, verify, forward_headers", withUserinfo("http://localhost:3000/me", "email email", "forward_headers Cookie", verifyBlock), "forward_headers:", []string{"cannot be combined with verify", "remove one of them"}},
		{"userinfo, verify, trust", append(withUserinfo("http://localhost:3000/me", "email email", verifyBlock), "trust forward_auth"), "trust:", []string{"cannot be combined with userinfo"}},
		{"userinfo, verify of nothing", withUserinfo("http://localhost:3000/me", "email email", "verify {\nissuer https://login.example\n}"), "audience:", []string{"is required", "require azp"}},
		{"userinfo, no issuer", withUserinfo("http://localhost:3000/me", "email email", "verify {\njwks https://login.example/keys\naudience a\n}"), "issuer:", []string{"is required"}},
		{"userinfo, another token", withUserinfo("http://localhost:3000/me", "email email", "verify {\nissuer https://login.example\naudience a\ntoken {http.auth.user.id}\n}"), "token:", []string{"name of a request header", "{http.request.cookie.access_token}"}},
		{"userinfo, a token that is dropped", withUserinfo("http://localhost:3000/me", "email email", "verify {\nissuer https://login.example\naudience a\ntoken X_Token\n}"), "token:", []string{"expected_underscore_headers"}},
		{"userinfo, a header that is dropped", withUserinfo("http://localhost:3000/me", "email email", "forward_headers Cookie X_Session"), "forward_headers:", []string{"Caddy drops the request header X_session", "expected_underscore_headers"}},
		{"auth_server, a header that is dropped", []string{"identity authelia {\nauth_server http://authelia:9091 {\nforward_headers api.key\n}\n}"}, "forward_headers:", []string{"Caddy drops the request header Api.key", "expected_dot_headers"}},
		{"a signed cookie, forward_auth", []string{"identity {\nemail {http.request.cookie.s} email\nname {http.request.cookie.s} name\nverify {\n" + strings.Join(verifyLines, "\n") + "\n}\n}", "trust forward_auth"}, "trust:", []string{"the cookie s", "remove trust"}},
		{"userinfo, no scheme", withUserinfo("localhost:3000/me", "email email"), "userinfo:", []string{"http:// or https://"}},
		{"userinfo, no URL of a Caddy", withUserinfo("unix//run/app.sock", "email email"), "userinfo:", []string{"http:// or https://"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, d := range bothDirectives {
				wantProblem(t, validateText(t, d.lines(d.convertLines(c.lines...)...)), d.convertOption(c.option), d.convertMessages(c.message...)...)
			}
		})
	}
}

// TestUserIDs checks that human_api_token requires an ID of the user, because an address is
// not enough, and that an address must be from the same assertion.
func TestUserIDs(t *testing.T) {
	address := humanAPIToken.lines("identity {\nemail {http.auth.user.email}\n}")
	wantProblem(t, validateText(t, address), "user_id:", "identity <preset>", "user_id <source>")
	another := humanAPIToken.lines("identity {\nuser_id Authorization sub\nemail X-Token email\nverify {\n" + strings.Join(verifyLines, "\n") + "\n}\n}")
	wantProblem(t, validateText(t, another), "email:", "another assertion", "user_id")
}

// TestPresetsLoad checks that every preset without an assertion is valid for both
// directives, with trust if it reads headers.
func TestPresetsLoad(t *testing.T) {
	for _, p := range presets.All() {
		if p.Sources.Email.From == "" {
			continue // see TestAssertionsAndUserinfoLoad
		}
		for _, d := range bothDirectives {
			lines := []string{"identity " + p.Name}
			if p.NeedsTrust() {
				wantProblem(t, validateText(t, d.lines(lines...)), d.identityOption+" (", "trust proxies")
				lines = append(lines, "trust proxies 10.0.0.0/8")
			}
			if err := validateText(t, d.lines(lines...)); err != nil {
				t.Errorf("%s of %s: %v", p.Name, d.name, err)
			}
		}
	}
}

// TestForeignURLs checks invalid URLs of key servers and applications. Errors do not
// contain the URL, because it may contain a secret.
func TestForeignURLs(t *testing.T) {
	t.Setenv("HUMA_TEST_URL", "https://user:CANARY@keys.example/%zz")
	for _, c := range []struct{ url, jwks, userinfo string }{
		{"http://keys.example/CANARY", "must use https", "loads"},
		{"http://127.0.0.2:9000/CANARY", "loads", "loads"},
		{"https://user:CANARY@keys.example/", "the text before the @", "user or a password"},
		{"keys.example/CANARY", "not a URL", "http:// or https://"},
		{"https://keys.example:CANARY/", "not a URL", "not a URL"},
		{"{env.HUMA_TEST_URL}", "not a URL", "not a URL"},
	} {
		t.Run(c.url, func(t *testing.T) {
			for option, message := range map[string]string{"jwks:": c.jwks, "userinfo:": c.userinfo} {
				changes := []string{assertionOf("google_iap", `jwks "`+c.url+`"`, "audience a")}
				if option == "userinfo:" {
					changes = withUserinfo(c.url, "email email")
				}
				err := validateText(t, directive(changes...))
				if message == "loads" {
					if err != nil {
						t.Errorf("%s %v", option, err)
					}
					continue
				}
				wantProblem(t, err, option, message)
				if err != nil && strings.Contains(err.Error(), "CANARY") {
					t.Errorf("the error contains the secret: %v", err)
				}
			}
		})
	}
}

// TestEveryProblemOfABlock checks that several mistakes in each block are all reported.
func TestEveryProblemOfABlock(t *testing.T) {
	for _, c := range []struct {
		name    string
		lines   []string
		options []string
	}{
		{"verify", []string{assertionOf("", "signer "+balancer)}, []string{"issuer:", "audience:", "signer:"}},
		{"verify of a row", []string{assertionOf("teleport", "signer x")}, []string{"jwks:", "issuer:", "audience:", "signer:"}},
		{"unset", []string{assertionOf("", "jwks {env.HUMA_TEST_UNSET}", "issuer {env.HUMA_TEST_UNSET}")}, []string{"jwks: environment variable", "issuer: environment variable", "audience:"}},
		{"identity",
			[]string{"identity {\nemail X-Token a..b\nuser_id {query.id}\nname {http.auth.user.id}x\ndomains *.example\n" + "verify {\naudience a\n}\n}"},
			[]string{"email:", "user_id:", "name:", "domains:", "issuer:"},
		},
		{"userinfo",
			append(withUserinfo("localhost", "forward_headers Upgrade", "name a..b", "last_name .c", "domains @"), "trust forward_auth"),
			[]string{"userinfo:", "forward_headers:", "email:", "name:", "last_name:", "domains:", "trust:"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := problemsIn(t, validateText(t, directive(append(c.lines, "project_id")...)))
			for _, option := range append(c.options, "project_id:") {
				if !slices.ContainsFunc(found, func(line string) bool { return strings.HasPrefix(line, option) }) {
					t.Errorf("%s is not named", option)
				}
			}
			if len(found) != len(c.options)+1 || t.Failed() {
				t.Errorf("%d problems:\n%s", len(found), strings.Join(found, "\n"))
			}
		})
	}
}
