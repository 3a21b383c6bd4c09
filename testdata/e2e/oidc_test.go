package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	rose   = "rtyler@badwolf.org"
	doctor = "dwho@badwolf.org"
)

// forgeries holds headers by which a client impersonates the Doctor.
var forgeries = map[string]http.Header{
	"response":   {"X-Auth-Request-Email": {doctor}, "X-Auth-Request-User": {"dwho"}},
	"forwarded":  {"X-Forwarded-Email": {doctor}, "X-Forwarded-User": {"dwho"}},
	"twice":      {"X-Auth-Request-Email": {doctor, doctor}, "X-Forwarded-Email": {doctor, doctor}},
	"lower case": {"x-auth-request-email": {doctor}, "x-forwarded-email": {doctor}},
	"underscore": {"X_Auth_Request_Email": {doctor}, "X_Forwarded_Email": {doctor}},
	"names":      {"X-Forwarded-Given-Name": {"Doctor"}, "X-Auth-Request-Family-Name": {"Who"}},
	"where":      {"X-Forwarded-Uri": {"/open/"}, "X-Forwarded-Method": {"OPTIONS"}, "X-Forwarded-Host": {"localhost"}, "X-Original-Url": {"/open/"}},
	"peer":       {"X-Forwarded-For": {"127.0.0.1"}, "X-Real-Ip": {"127.0.0.1"}},
	"bearer":     {"Authorization": {"Bearer " + doctor}},
}

// TestOIDCProxy checks oauth2-proxy with an OpenID provider, in each documented mode.
func TestOIDCProxy(t *testing.T) {
	type deployment struct {
		proxyMode
		claims bool
		port   string
	}
	var deployments []deployment
	client := relyingParty{tokenLifetime: time.Hour}
	for _, mode := range proxyModes {
		for _, claims := range []bool{false, true} {
			d := deployment{mode, claims, freePort(t)}
			client.redirects = append(client.redirects, "http://127.0.0.1:"+d.port+"/oauth2/callback")
			deployments = append(deployments, d)
		}
	}
	p := startProvider(t, map[string]relyingParty{proxyClient: client})
	for _, d := range deployments {
		name := d.name + " with flags"
		if d.claims {
			name = d.name + " with claims"
		}
		t.Run(name, func(t *testing.T) {
			s := startProxied(t, p, d.proxyMode, d.port, oauth2Proxy{claims: d.claims, expire: time.Hour})
			s.wantSessions(t, p, d.proxyMode)
			session := s.signIn(t, p, "dwho").header(t, s.url)
			s.wantToken(t, session, doctor)
			if d.claims {
				s.wantNames(t, rose, "Rose", "Tyler")
				s.wantNames(t, doctor, "René", "Müller")
			}
			s.wantUnverified(t, p, d.claims, d.code)
			if d.inFront {
				for _, header := range forgeries {
					if a := do(t, http.MethodGet, s.url+"/open/huma-token", header, nil); a.status != http.StatusUnauthorized || a.json["code"] != "identity_missing" {
						t.Errorf("%v at a path without sign-in: %d %s", header, a.status, a.body)
					}
				}
			}
			s.wantNotLoggedByHuma(t, rose, doctor, "Müller", "René")

			s.proxy.kill(t)
			switch {
			case d.inFront:
			case d.code != "":
				s.wantRejection(t, session, http.StatusServiceUnavailable, "identity_unavailable")
			default:
				s.wantRejection(t, session, http.StatusBadGateway, "")
			}
		})
	}
}

// wantSessions checks requests with and without a session.
func (s *proxied) wantSessions(t *testing.T, p *provider, mode proxyMode) {
	t.Helper()
	b := s.signIn(t, p, "rtyler")
	session := b.header(t, s.url)
	s.wantToken(t, session, rose)
	for name, header := range forgeries {
		t.Run("forged "+name, func(t *testing.T) {
			s.wantToken(t, withHeaders(header, "Cookie", session.Get("Cookie")), rose)
			s.wantRejection(t, header, http.StatusUnauthorized, mode.code)
			s.wantRejection(t, withHeaders(header, "Cookie", "_oauth2_proxy=garbage"), http.StatusUnauthorized, mode.code)
		})
	}
	t.Run("hop by hop", func(t *testing.T) {
		// oauth2-proxy removes headers that the client names in Connection, and the one
		// that it adds itself, too. The email address of the client must not take its place.
		header := withHeaders(session, "Connection", "X-Forwarded-Email, X-Auth-Request-Email", "X-Forwarded-Email", doctor, "X-Auth-Request-Email", doctor)
		if mode.inFront {
			s.wantRejection(t, header, http.StatusUnauthorized, "identity_missing")
		} else {
			s.wantToken(t, header, rose)
		}
	})
	t.Run("changed cookie", func(t *testing.T) {
		cookie := session.Get("Cookie")
		s.wantRejection(t, http.Header{"Cookie": {cookie[:len(cookie)-4]}}, http.StatusUnauthorized, mode.code)
	})
	t.Run("signed out", func(t *testing.T) {
		// The page to which it leads would sign the user in again, because the user is still
		// signed in at the provider.
		b.CheckRedirect = client.CheckRedirect
		if at := b.open(t, s.url+"/oauth2/sign_out", nil); at.status != http.StatusFound {
			t.Fatalf("sign out: %v", at)
		}
		s.wantRejection(t, b.header(t, s.url), http.StatusUnauthorized, mode.code)
		s.wantToken(t, session, rose) // oauth2-proxy cannot revoke a session that is stored in the cookie
	})
}

// wantUnverified checks a user whose address is not verified: without claims,
// oauth2-proxy refuses the user, and with them, the site does.
func (s *proxied) wantUnverified(t *testing.T, p *provider, claims bool, refusal string) {
	t.Helper()
	t.Run("unverified", func(t *testing.T) {
		if claims {
			session := s.signIn(t, p, "msmith").header(t, s.url)
			for _, prefix := range []string{"X-Auth-Request-", "X-Forwarded-"} {
				s.wantRejection(t, withHeaders(session, prefix+"Email-Verified", "true"), http.StatusForbidden, "email_unverified")
			}
			return
		}
		b := p.newBrowser(t)
		if at := b.signIn(t, s.url+"/oauth2/start?rd=%2F", "msmith"); at.status != http.StatusForbidden {
			t.Errorf("the response to a user with an unverified address is %v", at)
		}
		s.wantRejection(t, b.header(t, s.url), http.StatusUnauthorized, refusal)
	})
}

// TestOIDCProxySession checks that sessions of oauth2-proxy are renewed and end.
func TestOIDCProxySession(t *testing.T) {
	const refresh, expire = time.Second, 5 * time.Second
	client, ports := relyingParty{tokenLifetime: time.Hour}, map[string]string{}
	for _, mode := range proxyModes {
		ports[mode.name] = freePort(t)
		client.redirects = append(client.redirects, "http://127.0.0.1:"+ports[mode.name]+"/oauth2/callback")
	}
	p := startProvider(t, map[string]relyingParty{proxyClient: client})
	for _, mode := range proxyModes {
		t.Run(mode.name, func(t *testing.T) {
			s := startProxied(t, p, mode, ports[mode.name], oauth2Proxy{refresh: refresh, expire: expire})
			b, signedIn := s.signIn(t, p, "rtyler"), time.Now()
			first := b.header(t, s.url)
			s.wantToken(t, first, rose)
			time.Sleep(time.Until(signedIn.Add(refresh + time.Second)))
			renewed := s.token(t, first)
			cookie, _, _ := strings.Cut(renewed.header.Get("Set-Cookie"), ";")
			if renewed.status != http.StatusOK || strings.HasPrefix(cookie, "_oauth2_proxy=") != mode.refresh {
				t.Fatalf("when the session is renewed: %d %v", renewed.status, renewed.header)
			}
			time.Sleep(time.Until(signedIn.Add(expire + 500*time.Millisecond)))
			s.wantRejection(t, first, http.StatusUnauthorized, mode.code)
			if mode.refresh {
				s.wantToken(t, http.Header{"Cookie": {cookie}}, rose)
			}

			// After sign-out at the provider, the session ends with the next check by
			// oauth2-proxy.
			second := s.signIn(t, p, "rtyler")
			session := second.header(t, s.url)
			s.wantToken(t, session, rose)
			second.open(t, p.issuer+"/?logout=1", nil)
			time.Sleep(refresh + time.Second)
			s.wantRejection(t, session, http.StatusUnauthorized, mode.code)
		})
	}
}

// TestOIDCProxyHeaders checks that oauth2-proxy in front removes only the headers that it
// sets itself. A signed-in user can send the others. Therefore the documentation requires that
// X-Forwarded-Email is one of them.
func TestOIDCProxyHeaders(t *testing.T) {
	tests := []struct {
		name, flags, identity string
		email                 string // of the session alone; empty if the request is rejected
		forged                string // of the session with the Doctor's X-Forwarded-Email
	}{
		{"default", "", "identity oauth2_proxy_upstream", rose, rose},
		{"address as the user", "prefer_email_to_user = true", "identity oauth2_proxy_upstream {\nemail X-Forwarded-User\n}", rose, rose},
		{"address as the user, wrong header", "prefer_email_to_user = true", "identity oauth2_proxy_upstream", "", doctor},
		{"no headers", "pass_user_headers = false\npass_basic_auth = false", "identity oauth2_proxy_upstream", "", doctor},
	}
	client, ports := relyingParty{tokenLifetime: time.Hour}, map[string]string{}
	for _, test := range tests {
		ports[test.name] = freePort(t)
		client.redirects = append(client.redirects, "http://127.0.0.1:"+ports[test.name]+"/oauth2/callback")
	}
	p := startProvider(t, map[string]relyingParty{proxyClient: client})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mode := proxyModes[2]
			mode.site = strings.ReplaceAll(mode.site, "identity oauth2_proxy_upstream", test.identity)
			s := startProxied(t, p, mode, ports[test.name], oauth2Proxy{expire: time.Hour, more: test.flags})
			session := s.signIn(t, p, "rtyler").header(t, s.url)
			if test.email == "" {
				s.wantRejection(t, session, http.StatusUnauthorized, "identity_missing")
			} else {
				s.wantToken(t, session, test.email)
			}
			s.wantToken(t, withHeaders(session, "X-Forwarded-Email", doctor), test.forged)
			s.wantRejection(t, withHeaders(nil, "X-Forwarded-Email", doctor), http.StatusUnauthorized, "")
		})
	}
}
