package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
)

// portal is a fake of caddy-security or another authentication plugin. It sets
// placeholders for the user of the session in a cookie.
type portal struct {
	Sessions map[string]caddyauth.User `json:"sessions"`
}

// portalUsers holds further sessions, whose values a config cannot contain.
var (
	portalUsers sync.Map
	portalCount atomic.Int64
)

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
	if user, known := portalUsers.Load(c.Value); known {
		return user.(caddyauth.User), true, nil
	}
	user, known := p.Sessions[c.Value]
	return user, known, nil
}

// session adds the cookie of a session to a request.
func session(name string) func(*http.Request) {
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "session", Value: name}) }
}

// placeholderPreset describes a plugin that sets placeholders about the user. email, id,
// full, first and last are the keys of caddyauth.User.Metadata; the key "id" is
// caddyauth.User.ID.
type placeholderPreset struct {
	name                         string
	email, id, full, first, last string
	logins                       bool
	verified                     string // rejects the user only if its value is a denial
}

var placeholderPresets = []placeholderPreset{
	{name: "caddy_jwt", email: "email", id: "id", full: "name", first: "given_name", last: "family_name", verified: "email_verified"},
	{name: "caddy_security", email: "email", id: "sub", full: "name"},
	{name: "caddy_tailscale", email: "tailscale_user", id: "id", full: "tailscale_name", logins: true},
}

// site returns a site with the plugin as its authentication.
func (p placeholderPreset) site() string {
	return "SITE {\ntest_portal\nhuma_token {\nHUMA\nidentity " + p.name + "\n}\n}"
}

// signIn creates a session for a person, with the values that the plugin sets.
func (p placeholderPreset) signIn(t testing.TB, who person) func(*http.Request) {
	// The other addresses must not be used.
	user := caddyauth.User{ID: "also@x.example", Metadata: map[string]string{"preferred_username": "also@x.example", "tailscale_login": "also@x.example", "mail": "also@x.example"}}
	if p.id != "id" {
		user.Metadata[p.id] = who.id
	} else if who.id != "" {
		user.ID = who.id
	}
	for key, value := range map[string]string{p.full: who.name, p.first: who.first, p.last: who.last} {
		if key != "" && value != "" {
			user.Metadata[key] = value
		}
	}
	if email, ok := who.email.(string); ok {
		user.Metadata[p.email] = email
	}
	name := fmt.Sprint("dynamic-", portalCount.Add(1))
	portalUsers.Store(name, user)
	t.Cleanup(func() { portalUsers.Delete(name) })
	return session(name)
}

func TestPresetsOfPlaceholders(t *testing.T) {
	for _, p := range placeholderPresets {
		t.Run(p.name, func(t *testing.T) {
			d := open(t, p.site())
			d.wantTokenOf(t, "ada@x.example", path, p.signIn(t, ada))
			d.wantNames(t, "ada@x.example", "Zoë", "Ångström")
			d.wantTokenOf(t, "noname@x.example", path, p.signIn(t, person{email: "noname@x.example"}))
			d.wantNames(t, "noname@x.example", "", "")
			for n, c := range []struct {
				email any
				code  string
			}{
				{nil, "identity_missing"}, {"", "identity_missing"}, {" ", "identity_missing"}, {"\t\r\n", "identity_missing"}, {"\u3000", "identity_missing"},
				{"ada@x.example,bob@x.example", "identity_invalid"}, {"ada@x.example bob@x.example", "identity_invalid"}, {"ada", "identity_invalid"},
				{"ada@x.example\n", "identity_invalid"}, {"ada@x.example\x00", "identity_invalid"}, {"zo\xeb@x.example", "identity_invalid"}, {"{env.HOME}@x.example", "identity_invalid"},
				{"{http.auth.user.id}", "identity_invalid"}, {"accounts.google.com:ada@x.example", "identity_invalid"},
			} {
				a := d.request("GET", path, p.signIn(t, ada.with(c.email)))
				if a.StatusCode != 401 || !strings.Contains(string(a.Body), c.code) {
					t.Errorf("%d: %q: status %d, want 401 %s: %s", n, c.email, a.StatusCode, c.code, a.Body)
				}
			}
			for _, login := range []string{"ada@github", "ada@passkey"} {
				if p.logins {
					d.wantRejection(t, 401, "identity_invalid", path, p.signIn(t, ada.with(login)))
				}
			}
			for value, ok := range map[string]bool{"true": true, "": true, "false": false, "0": false} {
				user := caddyauth.User{ID: "u-1", Metadata: map[string]string{p.email: "verified@x.example", p.verified: value}}
				switch portalUsers.Store("verified", user); {
				case p.verified == "":
				case ok:
					d.wantTokenOf(t, "verified@x.example", path, session("verified"))
				default:
					d.wantRejection(t, 403, "email_unverified", path, session("verified"))
				}
				portalUsers.Delete("verified")
			}
			// The first of two sessions counts.
			bob := p.signIn(t, ada.with("bob@x.example"))
			d.wantTokenOf(t, "bob@x.example", path, bob, p.signIn(t, ada))
			d.wantNoToken(t, 401, path, session("unknown"), bob)
			d.wantNoToken(t, 401, path)
			if w := d.warnings(""); len(w) != 0 {
				t.Errorf("warnings: %q", w)
			}
			d.notLogged(t, "@x.example", "Zo", "ngstr", "id-of")
		})
	}
}

// Interface guards
var _ caddyauth.Authenticator = portal{}
