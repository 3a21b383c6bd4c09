package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
)

// headerPreset is a layer that says who the user is in headers, as its
// documentation has them.
type headerPreset struct {
	name   string
	status int // of its auth server
	email  string
	others []string
	// ada is what it says of ada@x.example, whose name is Zoë Ångström.
	ada         http.Header
	first, last string // what Huma is to learn of that name
}

var headerPresets = []headerPreset{
	{
		name: "oauth2_proxy", status: 202, email: "X-Auth-Request-Email",
		others: []string{"X-Auth-Request-User", "X-Auth-Request-Given-Name", "X-Auth-Request-Family-Name", "X-Auth-Request-Groups", "X-Auth-Request-Preferred-Username"},
		ada: http.Header{
			"X-Auth-Request-Email": {"ada@x.example"}, "X-Auth-Request-User": {"sub-1"}, "X-Auth-Request-Preferred-Username": {"ada"},
			"X-Auth-Request-Groups": {"a,b"}, "X-Auth-Request-Given-Name": {"Zoë"}, "X-Auth-Request-Family-Name": {"Ångström"},
		},
		first: "Zoë", last: "Ångström",
	},
	{
		name: "authelia", status: 200, email: "Remote-Email",
		others: []string{"Remote-User", "Remote-Name", "Remote-Groups"},
		ada:    http.Header{"Remote-Email": {"ada@x.example"}, "Remote-User": {"ada"}, "Remote-Name": {"Zoë Ångström"}, "Remote-Groups": {"a,b"}},
		first:  "Zoë", last: "Ångström",
	},
	{
		name: "authentik", status: 200, email: "X-Authentik-Email",
		others: []string{"X-Authentik-Uid", "X-Authentik-Username", "X-Authentik-Name", "X-Authentik-Groups"},
		ada: http.Header{
			"X-Authentik-Email": {"ada@x.example"}, "X-Authentik-Uid": {"0123abcd"}, "X-Authentik-Username": {"ada"},
			"X-Authentik-Name": {"Zo\xeb \xc5ngstr\xf6m"}, "X-Authentik-Groups": {"a|b"}, // Latin-1
		},
		first: "Zoë", last: "Ångström",
	},
	{
		name: "tailscale", status: 204, email: "Tailscale-User-Login",
		others: []string{"Tailscale-User-Name", "Tailscale-User-Profile-Pic"},
		ada: http.Header{
			"Tailscale-User-Login": {"ada@x.example"}, "Tailscale-User-Name": {"=?utf-8?q?Zo=C3=AB_=C3=85ngstr=C3=B6m?="},
			"Tailscale-User-Profile-Pic": {"https://x.example/ada"},
		},
		first: "Zoë", last: "Ångström",
	},
}

// own are all headers of the layer.
func (p headerPreset) own() []string { return append([]string{p.email}, p.others...) }

// with is what the layer says with another address.
func (p headerPreset) with(emails ...string) http.Header {
	h := p.ada.Clone()
	if emails == nil {
		h.Del(p.email)
		return h
	}
	h[p.email] = emails
	return h
}

// behind runs a test twice: with the layer as auth server, and as a proxy.
func (p headerPreset) behind(t *testing.T, test func(t *testing.T, d *desk, l *layer, proxied bool)) {
	t.Run("forward_auth", func(t *testing.T) {
		l := newLayer(t)
		test(t, open(t, forwardAuth(l, "copy_headers "+strings.Join(p.own(), " "), "identity "+p.name)), l, false)
	})
	t.Run("proxies", func(t *testing.T) {
		l := newLayer(t)
		d := open(t, strings.Replace(trusting, "identity {\n\t\t\temail X-Test-User\n\t\t}", "identity "+p.name, 1))
		test(t, d.at(l.proxyTo(t, d.URL, p.own()...).URL), l, true)
	})
}

func TestPresetsOfHeaders(t *testing.T) {
	for _, p := range headerPresets {
		t.Run(p.name, func(t *testing.T) {
			p.behind(t, func(t *testing.T, d *desk, l *layer, proxied bool) {
				l.saysWith(p.status, p.ada)
				d.granted(t, "ada@x.example", path)
				attributes, _ := d.user(t, "ada@x.example").Profile["userAttributes"].(map[string]any)
				if attributes["givenName"] != p.first || attributes["familyName"] != p.last {
					t.Errorf("Huma knows %q, want %q %q", attributes, p.first, p.last)
				}

				l.saysWith(p.status, http.Header{p.email: {"noname@x.example"}})
				d.granted(t, "noname@x.example", path) // names are optional
				if attributes, found := d.user(t, "noname@x.example").Profile["userAttributes"]; found && len(attributes.(map[string]any)) > 0 {
					t.Errorf("attributes out of nothing: %v", attributes)
				}

				for name, said := range map[string]http.Header{
					"identity_missing, nothing":  nil,
					"identity_missing, no email": p.with(),
					"identity_missing, empty":    p.with(""),
					"identity_missing, blank":    p.with("  "),
					"identity_missing, alias":    with(p.with(), strings.ReplaceAll(p.email, "-", "_"), "ada@x.example"),
					"identity_missing, dots":     with(p.with(), strings.ReplaceAll(p.email, "-", "."), "ada@x.example"),
					"identity_invalid, joined":   p.with("ada@x.example,bob@x.example"),
					"identity_invalid, a login":  p.with("ada@github"[:3]),
				} {
					code, _, _ := strings.Cut(name, ",")
					l.saysWith(p.status, said)
					d.refused(t, 401, code, path)
				}
				// Another layer's headers are not read.
				for _, other := range headerPresets {
					if other.name != p.name {
						l.saysWith(p.status, other.ada)
						d.refused(t, 401, "identity_missing", path)
					}
				}
				l.saysWith(p.status, p.with("ada@x.example", "bob@x.example"))
				code := "identity_invalid" // the proxy's placeholder joins them
				if proxied {
					code = "identity_ambiguous"
				}
				d.refused(t, 401, code, path)
				d.quiet(t, "@x.example", "Zo", "ngstr", "sub-1", "0123abcd")
			})
		})
	}
}

// with adds a header.
func with(h http.Header, name, value string) http.Header {
	h[name] = []string{value}
	return h
}

func TestPresetBasicAuth(t *testing.T) {
	d := open(t, `SITE {
		basic_auth {
			alice@x.example $2a$04$.PHAZ.x6qNFPpNuAw5kU6.oPUtFK/b5dYzllf6EgITKl1Ip.c3Yly
			bob $2a$04$.PHAZ.x6qNFPpNuAw5kU6.oPUtFK/b5dYzllf6EgITKl1Ip.c3Yly
		}
		huma_token {
			HUMA
			identity basic_auth
		}
	}`)
	d.granted(t, "alice@x.example", path, password("alice@x.example"))
	d.refused(t, 401, "identity_invalid", path, password("bob")) // an account that is no address
	// Accounts that do not exist are left to Caddy, which takes a second over
	// each of them.
	d.stopped(t, 401, path, func(r *http.Request) { r.SetBasicAuth("alice@x.example", "") })
	d.stopped(t, 401, path)
	// Of two the first one counts.
	const right, wrong = "Basic YWxpY2VAeC5leGFtcGxlOndvbmRlcmxhbmQ=", "Basic YWxpY2VAeC5leGFtcGxlOndyb25n"
	d.stopped(t, 401, path, header("Authorization", wrong), header("Authorization", right))
	d.granted(t, "alice@x.example", path, header("Authorization", right), header("Authorization", wrong))
	d.quiet(t, "@x.example")
}

// portal plays caddy-security, or any other plugin that authenticates: what
// its user is called is in placeholders. Its sessions come in a cookie.
type portal struct {
	Sessions map[string]caddyauth.User `json:"sessions"`
}

func init() {
	caddy.RegisterModule(portal{})
	// test_portal { <session> <id> [<key> <value>]... }
	httpcaddyfile.RegisterHandlerDirective("test_portal", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		p := portal{Sessions: make(map[string]caddyauth.User)}
		for h.NextBlock(0) {
			session, args := h.Val(), h.RemainingArgs()
			user := caddyauth.User{ID: args[0], Metadata: make(map[string]string)}
			for pair := range slices.Chunk(args[1:], 2) {
				user.Metadata[pair[0]] = pair[1]
			}
			p.Sessions[session] = user
		}
		config, err := json.Marshal(p)
		return caddyauth.Authentication{ProvidersRaw: caddy.ModuleMap{"test_portal": config}}, err
	})
	httpcaddyfile.RegisterDirectiveOrder("test_portal", httpcaddyfile.Before, "basic_auth")
}

func (portal) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.authentication.providers.test_portal", New: func() caddy.Module { return new(portal) }}
}

func (p portal) Authenticate(_ http.ResponseWriter, r *http.Request) (caddyauth.User, bool, error) {
	c, err := r.Cookie("session")
	if err != nil {
		return caddyauth.User{}, false, nil
	}
	user, known := p.Sessions[c.Value]
	return user, known, nil
}

// session signs a request in at the portal.
func session(name string) func(*http.Request) {
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "session", Value: name}) }
}

// portalSite is a site behind the portal.
const portalSite = `SITE {
	test_portal {
		ada 17 email ada@x.example name "Zoë van Ångström" sub 17
		bob 18 email bob@x.example sub 18
		list 19 email "ada@x.example, bob@x.example"
		blank 20 email " " name Nobody
		empty 21 email ""
		without carol@x.example name Carol sub carol@x.example
		bypass ""
	}
	huma_token {
		HUMA
		identity caddy_security
	}
}`

func TestPresetCaddySecurity(t *testing.T) {
	d := open(t, portalSite)
	d.granted(t, "ada@x.example", path, session("ada"))
	attributes, _ := d.user(t, "ada@x.example").Profile["userAttributes"].(map[string]any)
	if attributes["givenName"] != "Zoë van" || attributes["familyName"] != "Ångström" {
		t.Errorf("Huma knows %q", attributes)
	}
	d.granted(t, "bob@x.example", path, session("bob"))
	for _, nobody := range []string{"blank", "empty", "without", "bypass"} {
		d.refused(t, 401, "identity_missing", path, session(nobody))
	}
	d.refused(t, 401, "identity_invalid", path, session("list"))
	d.stopped(t, 401, path)
	d.stopped(t, 401, path, session("unknown"))
	if w := d.warnings(""); len(w) != 0 {
		t.Errorf("warnings: %q", w)
	}
	d.quiet(t, "@x.example", "Zo", "Carol")
}

func TestDomains(t *testing.T) {
	d := open(t, strings.Replace(trusting, "email X-Test-User", "email X-Test-User\ndomains x.example Münster.example y.example", 1))
	for _, email := range []string{"a@x.example", "A@X.EXAMPLE", "a@Y.example", "a@Münster.example", "a@mÜnster.example"} {
		if email == "a@mÜnster.example" {
			d.refused(t, 403, "domain_not_allowed", path, as(email)) // ASCII letters alone are folded
			continue
		}
		before := len(d.huma.Calls().Calls)
		d.request("GET", path, as(email)).tokens(t)
		if calls := d.huma.Calls().Calls[before:]; len(calls) == 0 || calls[0].Email != email {
			t.Errorf("%s: calls %+v", email, calls)
		}
	}
	for _, email := range []string{
		"a@sub.x.example", "a@x.example.evil", "a@evilx.example", "a@x.example.", "a@.x.example", "x.example@evil.example", "a@x.exampl\u0435",
		"a@xn--mnster-3ya.example", "a@example", "a@\u212a.example",
	} {
		d.refused(t, 403, "domain_not_allowed", path, as(email))
	}
	d.refused(t, 401, "identity_invalid", path, as("a@evil.example@x.example"))
	d.refused(t, 401, "identity_missing", path)
	d.request("DELETE", path, as("a@evil.example")).problem(t, 403, "domain_not_allowed")
	d.quiet(t, "@x.example", "@evil", "@Y")
}

func TestVerified(t *testing.T) {
	yes, no := []string{"true", "1", "yes", "on", "TRUE", "Yes", "oN", " true "}, []string{"", "false", "0", "no", "off", "2", "verified", "true,true", "true true", "t", "null", "ｔrue"}
	t.Run("a header", func(t *testing.T) {
		d := open(t, strings.Replace(trusting, "email X-Test-User", "email X-Test-User\nverified X-Verified", 1))
		for _, v := range yes {
			d.granted(t, "a@x.example", path, as("a@x.example"), header("X-Verified", v))
		}
		for _, v := range no {
			d.refused(t, 403, "email_unverified", path, as("a@x.example"), header("X-Verified", v))
		}
		d.refused(t, 403, "email_unverified", path, as("a@x.example"))
		d.refused(t, 403, "email_unverified", path, as("a@x.example"), header("X-Verified", "true"), header("X-Verified", "true"))
		d.refused(t, 403, "email_unverified", path, as("a@x.example"), header("X-Verified", "false"), header("X-Verified", "true"))
		d.refused(t, 403, "email_unverified", path, as("a@x.example"), header("X_Verified", "true"))
		d.refused(t, 401, "identity_missing", path, header("X-Verified", "true")) // who is asking comes first
		d.quiet(t, "@x.example")
	})
	t.Run("an auth server", func(t *testing.T) {
		l := newLayer(t)
		d := open(t, forwardAuth(l, "", "identity authelia {\nverified X-Verified\n}"))
		said := http.Header{"Remote-Email": {"a@x.example"}}
		l.says(said)
		d.refused(t, 403, "email_unverified", path, header("X-Verified", "true")) // the client's word is none
		l.says(with(said.Clone(), "X-Verified", "true"))
		d.granted(t, "a@x.example", path, header("X-Verified", "false"))
		l.says(with(said.Clone(), "X-Verified", "false"))
		d.refused(t, 403, "email_unverified", path, header("X-Verified", "true"))
	})
	t.Run("a placeholder", func(t *testing.T) {
		for value, ok := range map[any]bool{true: true, false: false, "true": true, "no": false, 1: false, nil: false} {
			d := openEdited(t, strings.Replace(trusting, "email X-Test-User", "email X-Test-User\nverified {http.vars.checked}", 1), func(server map[string]any) {
				vars := map[string]any{"handle": []any{map[string]any{"handler": "vars", "checked": value}}}
				server["routes"] = append([]any{vars}, server["routes"].([]any)...)
			})
			if ok {
				d.granted(t, "a@x.example", path, as("a@x.example"))
			} else {
				d.refused(t, 403, "email_unverified", path, as("a@x.example"))
			}
		}
	})
}

// Interface guards
var _ caddyauth.Authenticator = portal{}
