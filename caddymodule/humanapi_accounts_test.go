package caddymodule_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// openTwoClients serves two clients of Human API, /one and /two, on one site.
func openTwoClients(t testing.TB, more string) *connectSite {
	t.Helper()
	fake := newHuma(t, sandbox.Config{HumanAPI: sandbox.HumanAPI{Clients: map[string]string{"hapi1": "secret", "hapi2": "secret"}}})
	s := serve(t, "SITE {\n"+
		humanAPIService.block("/one", fake.clientOptions("hapi1", "secret"), more)+
		humanAPIService.block("/two", fake.clientOptions("hapi2", "secret"), more)+"}")
	return &connectSite{site: s, fake: fake}
}

// TestConnect_TwoApplications checks that two applications share nothing: the same ID is
// a different user in each.
func TestConnect_TwoApplications(t *testing.T) {
	t.Run("tokens and hints", func(t *testing.T) {
		d := openTwoClients(t, "")
		one := d.request("GET", "/one", as("u-1")).connect(t)
		two := d.request("GET", "/two", as("u-1")).connect(t)
		d.wantCalls(t, "session", "session")
		if one.Token == two.Token || one.HumanID == two.HumanID {
			t.Error("two applications share a user")
		}
		if _, err := d.fake.Connect(sandbox.Connection{ClientID: "hapi1", ClientUserID: "u-1"}); err != nil {
			t.Fatal(err)
		}
		d.request("GET", "/one", as("u-1"), noCache).connect(t)
		d.wantCalls(t, "session", "id")
		d.request("GET", "/two", as("u-1"), noCache).connect(t)
		d.wantCalls(t, "session") // not the ID token first
		d.request("DELETE", "/one", as("u-1"))
		d.request("GET", "/two", as("u-1")).connect(t)
		d.wantCalls(t) // the other application's token is not evicted
		d.request("GET", "/one", as("u-1")).connect(t)
		d.wantCalls(t, "session", "id")
		if users := d.fake.Calls().ByClientUser; len(users) != 2 || users["hapi2"]["u-1"]["id"] != 0 {
			t.Errorf("calls %v", users)
		}
	})
	t.Run("breaker", func(t *testing.T) {
		d := openTwoClients(t, "retries 0\nbreaker {\nfailures 3\nopen 1m\n}")
		d.setFaults(t, sandbox.Fault{Status: 500})
		for i := range 5 {
			d.request("GET", "/one", as(fmt.Sprint(i))).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
		}
		d.wantCalls(t, "session", "session", "session")
		d.setFaults(t)
		d.request("GET", "/one", as("u-1")).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
		d.wantCalls(t)
		d.request("GET", "/two", as("u-1")).connect(t)
		d.wantCalls(t, "session")
	})
}

// TestConnect_ScopesAreNotShared checks that handlers of one application with different
// scopes do not share tokens, but share the token type hint and the connections.
func TestConnect_ScopesAreNotShared(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	scopes := map[string]string{"/none": "", "/one": "extra_scopes a", "/two": "extra_scopes a b", "/same": "extra_scopes a b"}
	text := ""
	for path, line := range scopes {
		text += humanAPIService.block(path, humanAPIService.options(fake), line+"\nretries 0\nbreaker {\nfailures 3\nopen 1m\n}")
	}
	d := &connectSite{site: serve(t, "SITE {\n"+text+"}"), fake: fake}
	d.addConnectedUser(t, "u-1")
	for _, c := range []struct {
		path   string
		calls  []string
		scopes []string
	}{
		{"/none", []string{"session", "id"}, nil},
		{"/one", []string{"id"}, []string{"a"}}, // the hint belongs to the user
		{"/two", []string{"id"}, []string{"a", "b"}},
		{"/same", nil, nil},
		{"/none", nil, nil},
	} {
		d.request("GET", c.path, as("u-1")).connect(t)
		d.wantCalls(t, c.calls...)
		calls := fake.Calls().Calls
		for _, call := range calls[len(calls)-len(c.calls):] {
			if !slices.Equal(call.ExtraScopes, c.scopes) {
				t.Errorf("%s: scopes %q", c.path, call.ExtraScopes)
			}
		}
	}
	// DELETE at one handler evicts the user at all handlers.
	d.request("DELETE", "/same", as("u-1"))
	d.request("GET", "/one", as("u-1")).connect(t)
	d.wantCalls(t, "session", "id")
	if n := fake.Calls().Connections; n != 1 {
		t.Errorf("%d connections", n)
	}
	d.setFaults(t, sandbox.Fault{Status: 500})
	for i := range 3 {
		d.request("GET", "/one", as(fmt.Sprint(i))).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
	}
	d.setFaults(t)
	d.request("GET", "/two", as("u-2")).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
	d.request("GET", "/one", as("u-1")).connect(t)
	d.wantCalls(t, "session", "session", "session")
}

// TestConnect_AScopeThatIsNotAllowed checks that a scope that Human API rejects is
// reported as an error of the config.
func TestConnect_AScopeThatIsNotAllowed(t *testing.T) {
	d := openConnect(t, sandbox.Config{HumanAPI: sandbox.HumanAPI{ExtraScopes: []string{"a"}}}, "extra_scopes b")
	a := d.request("GET", connectPath, as("u-1"))
	a.problem(t, http.StatusBadGateway, "upstream_rejected")
	if !strings.Contains(string(a.Body), "extra_scopes") {
		t.Errorf("the response does not contain the option: %s", a.Body)
	}
	d.wantCalls(t, "session")
}

// TestConnect_BothDirectivesOnOneSite checks that the directives do not share a service,
// placeholders or any other state.
func TestConnect_BothDirectivesOnOneSite(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	limits := "retries 0\nbreaker {\nfailures 3\nopen 1m\n}\n"
	d := &connectSite{fake: fake, site: serve(t, "SITE {\nlog\nlog_append huma {http.huma_token.outcome}\nlog_append human {http.human_api_token.outcome}\n"+
		humaService.block("", humaService.options(fake), limits)+
		humanAPIService.block("", humanAPIService.options(fake), limits+"max_concurrent 3")+"}")}
	d.request("GET", iosPath, as("a@x.example")).tokens(t)
	d.get(t, "a@x.example")
	d.wantCalls(t, "signin", "signup", "session")
	var outcomes []any
	eventually(t, 5*time.Second, "both requests are in the access log", func() bool {
		outcomes = nil
		for _, line := range d.accessLog() {
			outcomes = append(outcomes, line["huma"], line["human"])
		}
		return len(outcomes) == 4
	})
	if fmt.Sprint(outcomes) != "[registered <nil> <nil> signed_in]" {
		t.Errorf("outcomes %q", outcomes)
	}
	d.request("DELETE", path, as("a@x.example"))
	d.get(t, "a@x.example")
	d.wantCalls(t)
	d.setFaults(t, sandbox.Fault{Op: "session", Status: 500})
	for i := range 4 {
		d.request("GET", connectPath, as(fmt.Sprint(i))).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
	}
	if n := fake.calls("session"); n > 4 { // including the call before
		t.Errorf("%d calls: the breaker is not open", n)
	}
	d.request("GET", iosPath, as("a@x.example")).tokens(t)
	if n := fake.calls("signin"); n != 2 {
		t.Errorf("%d sign-ins", n)
	}
}
