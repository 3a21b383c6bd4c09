package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

func TestC09_LifetimesThatCannotBeKept(t *testing.T) {
	type lifetime struct {
		others      bool
		least, most int64 // the limits of the lifetime in the response
	}
	day := lifetime{true, 86390, 86400}
	hour, none := lifetime{true, 3590, 3600}, lifetime{}
	for _, c := range []struct {
		name        string
		text        string
		huma, human lifetime // tokens of Human API are not served from the cache in their last five minutes, and live at most a day
	}{
		{"an hour", `3600`, hour, hour},
		{"as a text", `"3600"`, hour, hour},
		{"short", `30`, lifetime{true, 25, 30}, lifetime{false, 25, 30}},
		{"five minutes", `300`, lifetime{true, 290, 300}, lifetime{false, 290, 300}},
		{"a bit longer", `330`, lifetime{true, 320, 330}, lifetime{true, 320, 330}},
		{"two days", `172800`, lifetime{true, 172790, 172800}, day},
		{"zero", `0`, none, none},
		{"negative", `-5`, none, none},
		{"endless", `1e18`, none, day},
		{"nonsense", `"soon"`, none, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			forBoth(t, func(t *testing.T, p service) {
				want := map[string]lifetime{"huma": c.huma, "human_api": c.human}[p.name]
				fake := newHuma(t, sandbox.Config{})
				fake.SetFaults([]sandbox.Fault{{Op: p.first, Status: 200, Body: p.successBody("a", c.text)}})
				s := serve(t, p.site(fake, ""))
				_, lifetimes := p.parse(t, s.request("GET", p.target(), as("a@x.example")))
				for _, got := range lifetimes {
					if got < want.least || got > want.most {
						t.Errorf("lifetime %d, want %d to %d", got, want.least, want.most)
					}
				}
				s.request("GET", p.target(), as("a@x.example")).token(t, p)
				p.wantCalls(t, fake, map[bool]int{true: 1, false: 2}[want.others], 0)
			})
		})
	}
}

// TestC11_NothingIsSharedBetweenAccounts checks that one user has different tokens at
// different APIs and accounts.
func TestC11_NothingIsSharedBetweenAccounts(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		one, two := newHuma(t, sandbox.Config{}), newHuma(t, sandbox.Config{})
		other := newHuma(t, sandbox.Config{DeploymentID: "d2", Secret: "other", HumanAPI: sandbox.HumanAPI{
			Clients: map[string]string{"hapi1": "other", "hapi2": "other"},
		}})
		for _, fake := range []*fakeHuma{one, two, other} {
			p.addUsers(fake, "a@x.example")
		}
		changed := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(p.options(other)) }
		blocks := map[string]string{
			"/one":   p.options(one),
			"/same":  p.options(one),
			"/two":   p.options(two),
			"/other": changed("deployment_id d1", "deployment_id d2", "sandbox-secret", "other"),
		}
		if p.name == "human_api" {
			blocks["/client"] = changed("client_id hapi1", "client_id hapi2", "sandbox-secret", "other")
		}
		var text string
		for path, options := range blocks {
			text += p.block(path, options, "")
		}
		s := serve(t, "SITE {\n"+text+"}")
		seen := make(map[string]string)
		for _, path := range []string{"/one", "/same", "/two", "/other", "/client"} {
			if blocks[path] == "" {
				continue
			}
			token := s.request("GET", path+"?"+p.query, as("a@x.example")).token(t, p)
			if where, ok := seen[token]; ok != (path == "/same") {
				t.Errorf("%s: the token of %q", path, where)
			}
			seen[token] = path
		}
		p.wantCalls(t, one, 1, 0)
		p.wantCalls(t, two, 1, 0)
		p.wantCalls(t, other, len(blocks)-3, 0)
	})
}

// TestC12_KeysDoNotCollide checks that accounts and users are different even if the
// concatenation of their parts is equal.
func TestC12_KeysDoNotCollide(t *testing.T) {
	for _, c := range []struct {
		name    string
		p       service
		options []string // of handlers that must not share tokens
	}{
		{"huma, headers", humaService, []string{
			"header_up X-A bX-Cd", "header_up X-A b\nheader_up X-C d", "header_up X-Ab X-Cd", "header_up X-Ab X-C\nheader_up X-D d",
		}},
		{"huma, clients", humaService, []string{
			"client_id ios c1\nclient_id android c2\nclient_id web c3", "client_id ios c1\nclient_id android c2c3", "client_id ios c1\nclient_id web c2c3",
		}},
		{"huma, sign-in", humaService, []string{
			"client_type web", "sign_in {\nbody deviceAgent `\"a\"`\n}", "sign_in {\nbody deviceAgent `\"ab\"`\n}", "sign_in {\nomit language\n}",
			"sign_in {\npath /api/integration/v1/auth/signin\n}", "sign_in {\npath /api/integration/v1/auth/signin\nbody deviceAgent `\"a\"`\n}",
		}},
		{"human_api, scopes", humanAPIService, []string{
			"", "extra_scopes a", "extra_scopes ab", "extra_scopes a b", "extra_scopes b a", `extra_scopes "a b"`, "extra_scopes a,b",
		}},
		{"human_api, credentials", humanAPIService, []string{
			"client_id h\nclient_secret abc", "client_id ha\nclient_secret bc", "client_id hab\nclient_secret c",
			"client_id ha\nclient_secret bc\nextra_scopes d", "client_id hab\nclient_secret c\nextra_scopes d", "client_id habc\nclient_secret d",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := newHuma(t, sandbox.Config{HumanAPI: sandbox.HumanAPI{Clients: map[string]string{
				"hapi1": "sandbox-secret", "h": "abc", "ha": "bc", "hab": "c", "habc": "d",
			}}})
			c.p.addUsers(fake, "a@x.example")
			text := ""
			for i, options := range c.options {
				text += c.p.block(fmt.Sprint("/", i), replaceOptions(c.p.options(fake), options), "")
			}
			s := serve(t, "SITE {\n"+text+"}")
			seen := make(map[string]string)
			for range 2 { // the second response comes from the cache
				for i, options := range c.options {
					token := s.request("GET", fmt.Sprintf("/%d?%s", i, c.p.query), as("a@x.example")).token(t, c.p)
					if other, ok := seen[token]; ok && other != options {
						t.Errorf("%q got the token of %q", options, other)
					}
					seen[token] = options
				}
			}
			c.p.wantCalls(t, fake, len(c.options), 0)
		})
	}
}

// replaceOptions replaces all lines of the options in by.
func replaceOptions(lines, by string) string {
	var others []string
	for line := range strings.SplitSeq(lines, "\n") {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != "" && !strings.Contains("\n"+by, "\n"+name+" ") {
			others = append(others, line)
		}
	}
	return strings.Join(append(others, by), "\n")
}

func TestC13_EvictedWhileAnExchangeRuns(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		p.addUsers(fake, "a@x.example")
		release := fake.block(t, "")
		s := serve(t, p.site(fake, ""))
		before := make(chan *response)
		go func() { before <- s.request("GET", p.target(), as("a@x.example")) }()
		fake.waitBlocked(t, 1)
		if a := s.request("DELETE", p.path, as("a@x.example")); a.StatusCode != http.StatusNoContent {
			t.Fatalf("DELETE: %d", a.StatusCode)
		}
		release()
		old := (<-before).token(t, p)
		if got := s.request("GET", p.target(), as("a@x.example")).token(t, p); got == old {
			t.Error("the previous token was kept")
		}
	})
}

func TestNoCache(t *testing.T) {
	fresh := header("Cache-Control", "max-age=0, No-Cache")
	forBoth(t, func(t *testing.T, p service) {
		for _, c := range []struct {
			name    string
			options string
			calls   []int
		}{
			{"honored", "", []int{1, 1, 2, 2, 2}},
			{"ignored", "no_cache ignore", []int{1, 1, 1, 1, 1}},
			{"off", "cache off", []int{1, 2, 3, 4, 5}},
		} {
			t.Run(c.name, func(t *testing.T) {
				fake := newHuma(t, sandbox.Config{})
				p.addUsers(fake, "a@x.example")
				s := serve(t, p.site(fake, c.options))
				for i, edit := range []func(*http.Request){header("Accept", "*/*"), header("Cache-Control", "max-age=0"), fresh, fresh, header("Accept", "*/*")} {
					s.request("GET", p.target(), as("a@x.example"), edit).token(t, p)
					if n := fake.calls(p.first); n != c.calls[i] {
						t.Errorf("after request %d: %d calls, want %d", i, n, c.calls[i])
					}
				}
			})
		}
	})
}

func TestVary(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		p.addUsers(fake, "a@x.example")
		s := serve(t, p.site(fake, "cache 1m {\nvary {header.X-Device} {query.tab}\n}"))
		get := func(device, tab string) string {
			return s.request("GET", p.target("tab="+tab), as("a@x.example"), header("X-Device", device)).token(t, p)
		}
		phone, tablet := get("phone", "1"), get("tablet", "1")
		if phone == tablet || get("phone", "2") == phone {
			t.Error("two devices have the same token")
		}
		if get("phone", "1") != phone || get("tablet", "1") != tablet {
			t.Error("the token of a device was not cached")
		}
		if get("a", "bc") == get("ab", "c") {
			t.Error("two different lists of values have the same key")
		}
		for i := range 8 {
			get(strings.Repeat("x", 1000)+fmt.Sprint(i), "1")
		}
		if get("phone", "1") == phone {
			t.Error("more than 8 variants of a user are cached")
		}
	})
}
