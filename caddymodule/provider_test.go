package caddymodule_test

import (
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// service is one of the two directives, with what differs between them for
// tests that both have to pass.
type service struct {
	name      string // of its subtests
	directive string
	path      string // what it serves
	query     string // what a request has to name

	// The calls that a token takes: the first always, the second only if the
	// service refuses the first.
	first, second string

	// member is the token in the answer to the first call.
	member string

	options  func(h *fakeHuma) string // whose service
	identity string                   // the user in X-Test-User

	addUsers         func(h *fakeHuma, users ...string)           // makes users for whom the first call is enough
	requireBothCalls func(t testing.TB, h *fakeHuma, user string) // makes the service want both calls for a user
	users            func(h *fakeHuma) int                        // how many it has

	// lifetimes are the lifetimes in an answer to a caller, and its token.
	parse func(t testing.TB, a *response) (token string, lifetimes []int64)
}

var humaService = service{
	name:      "huma",
	directive: "huma_token",
	path:      path,
	query:     "client_type=ios",
	first:     sandbox.OpSignIn,
	second:    sandbox.OpSignUp,
	member:    "authToken",
	options:   (*fakeHuma).credentials,
	identity:  "email X-Test-User\nname X-Test-Name",
	addUsers: func(h *fakeHuma, users ...string) {
		for _, u := range users {
			h.AddUser(u)
		}
	},
	requireBothCalls: func(testing.TB, *fakeHuma, string) {}, // as it does whom it does not know
	users:            func(h *fakeHuma) int { return len(h.Users()) },
	parse: func(t testing.TB, a *response) (string, []int64) {
		t.Helper()
		v := a.tokens(t)
		return v.AuthToken, []int64{*v.AuthTokenExpiresIn, *v.RefreshTokenExpiresIn, *v.ExpiresIn}
	},
}

var humanAPIService = service{
	name:      "human_api",
	directive: "human_api_token",
	path:      connectPath,
	first:     sandbox.OpSession,
	second:    sandbox.OpID,
	member:    "session_token",
	options:   func(h *fakeHuma) string { return h.clientOptions("hapi1", "sandbox-secret") },
	identity:  "user_id X-Test-User\nemail X-Test-Email",
	addUsers: func(h *fakeHuma, users ...string) {
		for _, u := range users {
			h.AddHumanUser("hapi1", u)
		}
	},
	requireBothCalls: func(t testing.TB, h *fakeHuma, user string) {
		t.Helper()
		h.AddHumanUser("hapi1", user)
		h.setConnected(t, user)
	},
	users: func(h *fakeHuma) int { return len(h.HumanUsers()) },
	parse: func(t testing.TB, a *response) (string, []int64) {
		t.Helper()
		v := a.connect(t)
		return v.Token, []int64{*v.ExpiresIn}
	},
}

// forBoth runs a test over both directives.
func forBoth(t *testing.T, test func(t *testing.T, p service)) {
	t.Helper()
	for _, p := range []service{humaService, humanAPIService} {
		t.Run(p.name, func(t *testing.T) { test(t, p) })
	}
}

// forBothParallel is forBoth with serveAtOnce.
func forBothParallel(t *testing.T, test func(t *testing.T, p service, serve func(text string) *site)) {
	t.Helper()
	tests := make(map[string]func(t *testing.T, serve func(text string) *site))
	for _, p := range []service{humaService, humanAPIService} {
		tests[p.name] = func(t *testing.T, serve func(text string) *site) { test(t, p, serve) }
	}
	serveParallel(t, tests)
}

// casesForBothParallel is forBothAtOnce over many cases.
func casesForBothParallel[C any](t *testing.T, cases func(p service) map[string]C, test func(t *testing.T, p service, c C, serve func(text string) *site)) {
	t.Helper()
	tests := make(map[string]func(t *testing.T, serve func(text string) *site))
	for _, p := range []service{humaService, humanAPIService} {
		for name, c := range cases(p) {
			tests[p.name+" "+name] = func(t *testing.T, serve func(text string) *site) { test(t, p, c, serve) }
		}
	}
	serveParallel(t, tests)
}

// target is the target of a request for a token, with more in its query.
func (p service) target(more ...string) string {
	query := strings.Trim(p.query+"&"+strings.Join(more, "&"), "&")
	if query == "" {
		return p.path
	}
	return p.path + "?" + query
}

// block is a directive with an identity from a header of loopback peers.
func (p service) block(matcher, options, more string) string {
	return strings.TrimSpace(p.directive+" "+matcher) + ` {
		` + options + `
		identity {
			` + p.identity + `
		}
		trust proxies 127.0.0.1
		` + more + `
	}
	`
}

// site is a site with this directive.
func (p service) site(h *fakeHuma, more string) string {
	return "SITE {\n" + p.block("", p.options(h), more) + "respond \"the application\" 404\n}"
}

// successBody is the service's answer to the first call, with a text of JSON for
// each lifetime. A token that is canary must not be found elsewhere.
func (p service) successBody(token, lifetime string) string {
	return strings.NewReplacer("TOKEN", token, "LIFE", lifetime).Replace(map[string]string{
		"huma":      `{"uid":"u","authToken":"TOKEN","refreshToken":"r","authTokenExpiresIn":LIFE,"expiresIn":LIFE}`,
		"human_api": `{"session_token":"TOKEN","human_id":"u","expires_in":LIFE}`,
	}[p.name])
}

// token reads a success and returns its token.
func (a *response) token(t testing.TB, p service) string {
	t.Helper()
	token, _ := p.parse(t, a)
	return token
}

// wantCalls checks how often each call was made.
func (p service) wantCalls(t testing.TB, h *fakeHuma, first, second int) {
	t.Helper()
	got, all := h.Calls().ByOp, 0
	for _, n := range got {
		all += n
	}
	if got[p.first] != first || got[p.second] != second || all != first+second {
		t.Errorf("calls %v, want %d × %s and %d × %s", got, first, p.first, second, p.second)
	}
}
