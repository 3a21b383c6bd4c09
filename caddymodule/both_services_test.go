package caddymodule_test

import (
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// service describes either directive and its service for tests of common behavior.
type service struct {
	name      string // the name of subtests
	directive string
	path      string // the path that the directive serves
	query     string // the required query of a request

	// first and second are the calls of a token request. The second call is made only if
	// the service refuses the first one.
	first, second string

	// member is the member with the token in the response to the first call.
	member string

	options  func(h *fakeHuma) string // the options about the service
	identity string                   // the user in X-Test-User

	addUsers         func(h *fakeHuma, users ...string)           // adds users for whom the first call succeeds
	requireBothCalls func(t testing.TB, h *fakeHuma, user string) // adds a user for whom both calls are needed
	users            func(h *fakeHuma) int                        // returns the number of users of the service

	// parse decodes a successful response and returns its token and lifetimes.
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
	requireBothCalls: func(testing.TB, *fakeHuma, string) {}, // Huma refuses unknown users
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

// forBoth runs a test for each directive.
func forBoth(t *testing.T, test func(t *testing.T, p service)) {
	t.Helper()
	for _, p := range []service{humaService, humanAPIService} {
		t.Run(p.name, func(t *testing.T) { test(t, p) })
	}
}

// forBothParallel is like forBoth, with serveParallel.
func forBothParallel(t *testing.T, test func(t *testing.T, p service, serve func(text string) *site)) {
	t.Helper()
	tests := make(map[string]func(t *testing.T, serve func(text string) *site))
	for _, p := range []service{humaService, humanAPIService} {
		tests[p.name] = func(t *testing.T, serve func(text string) *site) { test(t, p, serve) }
	}
	serveParallel(t, tests)
}

// casesForBothParallel is like forBothParallel, for each of several cases.
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

// target returns the target of a token request with further parameters.
func (p service) target(more ...string) string {
	query := strings.Trim(p.query+"&"+strings.Join(more, "&"), "&")
	if query == "" {
		return p.path
	}
	return p.path + "?" + query
}

// block returns the directive with an identity from a header of loopback peers.
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

// site returns a site with this directive.
func (p service) site(h *fakeHuma, more string) string {
	return "SITE {\n" + p.block("", p.options(h), more) + "respond \"the application\" 404\n}"
}

// successBody returns the service's response to the first call. lifetime is the JSON
// value of each lifetime.
func (p service) successBody(token, lifetime string) string {
	return strings.NewReplacer("TOKEN", token, "LIFE", lifetime).Replace(map[string]string{
		"huma":      `{"uid":"u","authToken":"TOKEN","refreshToken":"r","authTokenExpiresIn":LIFE,"expiresIn":LIFE}`,
		"human_api": `{"session_token":"TOKEN","human_id":"u","expires_in":LIFE}`,
	}[p.name])
}

// token decodes a successful response and returns its token.
func (a *response) token(t testing.TB, p service) string {
	t.Helper()
	token, _ := p.parse(t, a)
	return token
}

// wantCalls checks the number of calls.
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
