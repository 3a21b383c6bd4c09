package e2e

import (
	"net/http"
	"sort"
	"strings"
	"testing"
)

// withHeaders returns a copy of header with further lines, given as names and values.
func withHeaders(header http.Header, pairs ...string) http.Header {
	h := header.Clone()
	if h == nil {
		h = http.Header{}
	}
	for n := 0; n < len(pairs); n += 2 {
		h[pairs[n]] = append(h[pairs[n]], pairs[n+1])
	}
	return h
}

// TestForwardAuth checks a real auth server with forward_auth.
func TestForwardAuth(t *testing.T) {
	plain := map[string]string{"Auth-User": "$uid", "Auth-Mail": "$mail", "Auth-Cn": "$cn"}
	hosts := map[string]virtualHost{
		"app": {"$uid ne 'msmith'", plain},
		// Without access control, the response contains no user.
		"open": {"skip", plain},
		"none": {"accept", map[string]string{"Auth-User": "$uid"}},
		// The header is present and empty.
		"empty": {"accept", map[string]string{"Auth-User": "$uid", "Auth-Mail": "''"}},
		"other": {"accept", plain},
		// These are names in the encodings of auth servers.
		"utf8":   {"accept", map[string]string{"Auth-Mail": "'utf8-'.$mail", "Auth-Cn": `"Ren\xC3\xA9 M\xC3\xBCller"`}},
		"latin1": {"accept", map[string]string{"Auth-Mail": "'latin1-'.$mail", "Auth-Cn": `"Ren\xE9 M\xFCller"`}},
		"base64": {"accept", map[string]string{"Auth-Mail": "'base64-'.$mail", "Auth-Cn": `encode_base64("Ren\xC3\xA9 M\xC3\xBCller", "")`}},
		// These are the header names of oauth2-proxy and Authelia.
		"oauth2":   {"accept", map[string]string{"X-Auth-Request-User": "$uid", "X-Auth-Request-Email": "'oauth2-'.$mail"}},
		"authelia": {"accept", map[string]string{"Remote-User": "$uid", "Remote-Email": "'authelia-'.$mail", "Remote-Name": "$cn"}},
	}
	own := "identity {\nemail Auth-Mail\nuser_id Auth-User\nname Auth-Cn\n"
	identities := map[string]string{
		"base64":   own + "name_encoding base64\n}",
		"oauth2":   "identity oauth2_proxy",
		"authelia": "identity authelia",
	}

	port := freePort(t)
	lemonldap := startLemonldap(t, port, hosts)
	backend := lemonldap.address
	var names []string
	for name := range hosts {
		names = append(names, name)
	}
	sort.Strings(names)
	text := `http://auth.` + domain + `:` + port + ` {
	reverse_proxy ` + backend + ` {
		transport fastcgi {
			root /usr/share/lemonldap-ng/portal/htdocs
			env LLTYPE portal
		}
	}
}
`
	for _, name := range names {
		identity, ok := identities[name]
		if !ok {
			identity = own + "}"
		}
		upstream := backend
		if name == "other" {
			upstream = "127.0.0.1:1"
		}
		text += `http://` + name + `.` + domain + `:` + port + ` {
	forward_auth ` + backend + ` {
		uri /
		transport fastcgi {
			root /usr/share/lemonldap-ng/portal/htdocs
			env LLTYPE handler
		}
	}
	huma_token {
		HUMA
		` + identity + `
		trust forward_auth ` + upstream + `
	}
	respond "the application"
}
`
	}
	s := startSite(t, port, text)
	app := s.at("app." + domain)
	dwho, rtyler, msmith := portalSignIn(t, s, "dwho"), portalSignIn(t, s, "rtyler"), portalSignIn(t, s, "msmith")

	t.Run("signed in", func(t *testing.T) {
		app.wantToken(t, dwho, "dwho@badwolf.org")
		app.wantNames(t, "dwho@badwolf.org", "Doctor", "Who")
		app.wantToken(t, rtyler, "rtyler@badwolf.org")
		app.wantNames(t, "rtyler@badwolf.org", "Rose", "Tyler")
		app.wantToken(t, dwho, "dwho@badwolf.org")
	})
	t.Run("not signed in", func(t *testing.T) {
		for name, header := range map[string]http.Header{
			"no session": nil,
			"garbage":    {"Cookie": {"lemonldap=garbage"}},
			"no such":    {"Cookie": {"lemonldap=" + strings.Repeat("0", 64)}},
			"forged":     {"Auth-Mail": {"dwho@badwolf.org"}, "Auth-User": {"dwho"}, "Lm-Remote-User": {"dwho"}},
		} {
			t.Run(name, func(t *testing.T) {
				a := app.wantRejection(t, header, http.StatusUnauthorized, "")
				if !strings.HasPrefix(a.header.Get("Location"), s.at("auth."+domain).url) {
					t.Errorf("not the response of the portal: %v", a.header)
				}
			})
		}
		app.wantRejection(t, msmith, http.StatusForbidden, "") // signed in, but not allowed
	})
	t.Run("forged header with a session", func(t *testing.T) {
		for name, header := range map[string]http.Header{
			"the header":     withHeaders(rtyler, "Auth-Mail", "dwho@badwolf.org"),
			"twice":          withHeaders(rtyler, "Auth-Mail", "dwho@badwolf.org", "Auth-Mail", "dwho@badwolf.org"),
			"another case":   withHeaders(rtyler, "auth-mail", "dwho@badwolf.org", "AUTH-MAIL", "dwho@badwolf.org"),
			"underscore":     withHeaders(rtyler, "Auth_Mail", "dwho@badwolf.org"),
			"lua's":          withHeaders(rtyler, "Headername1", "Auth-Mail", "Headervalue1", "dwho@badwolf.org"),
			"hop by hop":     withHeaders(rtyler, "Connection", "Auth-Mail, Cookie2", "Auth-Mail", "dwho@badwolf.org"),
			"forwarded":      withHeaders(rtyler, "X-Forwarded-User", "dwho", "X-Forwarded-Email", "dwho@badwolf.org", "X-Forwarded-For", "127.0.0.1"),
			"forwarded host": withHeaders(rtyler, "X-Forwarded-Host", "open."+domain, "X-Forwarded-Uri", "/"),
			"a second name":  withHeaders(rtyler, "Auth-User", "dwho", "Auth-Cn", "Doctor Who"),
		} {
			t.Run(name, func(t *testing.T) { app.wantToken(t, header, "rtyler@badwolf.org") })
		}
		app.wantNames(t, "rtyler@badwolf.org", "Rose", "Tyler")
	})
	t.Run("a response without a user", func(t *testing.T) {
		for _, host := range []string{"open", "none", "empty"} {
			t.Run(host, func(t *testing.T) {
				site := s.at(host + "." + domain)
				for _, header := range []http.Header{dwho, withHeaders(dwho, "Auth-Mail", "dwho@badwolf.org"), withHeaders(rtyler, "auth-mail", "dwho@badwolf.org")} {
					site.wantRejection(t, header, http.StatusUnauthorized, "identity_missing")
				}
				if host == "open" {
					site.wantRejection(t, withHeaders(nil, "Auth-Mail", "dwho@badwolf.org"), http.StatusUnauthorized, "identity_missing")
				}
			})
		}
	})
	t.Run("an upstream that is not trusted", func(t *testing.T) {
		s.at("other."+domain).wantRejection(t, dwho, http.StatusUnauthorized, "identity_untrusted")
	})
	t.Run("names", func(t *testing.T) {
		for _, host := range []string{"utf8", "latin1", "base64"} {
			s.at(host+"."+domain).wantToken(t, dwho, host+"-dwho@badwolf.org")
			s.wantNames(t, host+"-dwho@badwolf.org", "René", "Müller")
		}
	})
	t.Run("presets", func(t *testing.T) {
		for host, forged := range map[string]string{"oauth2": "X-Auth-Request-Email", "authelia": "Remote-Email"} {
			site := s.at(host + "." + domain)
			site.wantToken(t, withHeaders(rtyler, forged, "dwho@badwolf.org", "X-Forwarded-Email", "dwho@badwolf.org"), host+"-rtyler@badwolf.org")
			site.wantRejection(t, withHeaders(nil, forged, "dwho@badwolf.org"), http.StatusUnauthorized, "")
		}
		s.wantNames(t, "authelia-rtyler@badwolf.org", "Rose", "Tyler")
	})
	t.Run("signed out", func(t *testing.T) {
		session := portalSignIn(t, s, "dwho")
		app.wantToken(t, session, "dwho@badwolf.org")
		if a := do(t, http.MethodGet, s.at("auth."+domain).url+"/?logout=1", withHeaders(session, "Accept", "application/json"), nil); a.status != http.StatusOK {
			t.Fatalf("sign out: %d %s", a.status, a.body)
		}
		app.wantRejection(t, session, http.StatusUnauthorized, "")
		app.wantToken(t, dwho, "dwho@badwolf.org") // another session of the same user
	})
	t.Run("killed", func(t *testing.T) {
		lemonldap.kill(t)
		app.wantRejection(t, dwho, http.StatusBadGateway, "")
		app.wantRejection(t, withHeaders(nil, "Auth-Mail", "dwho@badwolf.org"), http.StatusBadGateway, "")
	})
}
