package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// proxyMode is a way to use oauth2-proxy.
type proxyMode struct {
	name string
	// site is the text of the site, with PORT and PROXY for the addresses of the site and of
	// oauth2-proxy.
	site    string
	inFront bool   // oauth2-proxy is in front of the site
	refusal string // the code of a 401 without a session; empty if it is not ours
	refresh bool   // a new cookie of oauth2-proxy reaches the client
}

// proxyModes are the ways that the README documents.
var proxyModes = []proxyMode{
	{name: "auth_server", refusal: "identity_missing", refresh: true, site: `http://127.0.0.1:PORT {
	huma_token {
		HUMA
		identity oauth2_proxy {
			auth_server http://PROXY
		}
	}
	handle /oauth2/* {
		reverse_proxy PROXY
	}
	respond "the application"
}
`},
	{name: "forward_auth", site: `http://127.0.0.1:PORT {
	handle /oauth2/* {
		reverse_proxy PROXY
	}
	handle {
		forward_auth PROXY {
			uri /oauth2/auth
			copy_headers X-Auth-Request-User X-Auth-Request-Email
		}
		huma_token {
			HUMA
			identity oauth2_proxy
			trust forward_auth PROXY
		}
		respond "the application"
	}
}
`},
	{name: "in front", inFront: true, refresh: true, site: `http://127.0.0.1:PORT {
	huma_token {
		HUMA
		identity oauth2_proxy_upstream
		trust proxies 127.0.0.1
	}
	huma_token /open/huma-token {
		HUMA
		identity oauth2_proxy_upstream
		trust proxies 127.0.0.1
	}
	respond "the application"
}
`},
}

// proxied is a site with oauth2-proxy.
type proxied struct {
	*site
	proxy *process
}

// startProxied runs a site in that mode, and oauth2-proxy for it. Browsers reach the site at
// that port.
func startProxied(t *testing.T, p *provider, mode proxyMode, port string, o oauth2Proxy) *proxied {
	t.Helper()
	other := freePort(t)
	o.site, o.address = "http://127.0.0.1:"+port, "127.0.0.1:"+other
	sitePort := port
	if mode.inFront {
		o.address, o.upstream = "127.0.0.1:"+port, "http://127.0.0.1:"+other
		sitePort = other
	}
	s := &proxied{site: startSite(t, sitePort, strings.NewReplacer("PORT", sitePort, "PROXY", o.address).Replace(mode.site))}
	s.url = o.site
	s.proxy = startOAuth2Proxy(t, p, o)
	return s
}

// signIn returns a browser in which somebody has signed in to the site.
func (s *proxied) signIn(t *testing.T, p *provider, name string) *browser {
	t.Helper()
	b := p.newBrowser(t)
	if at := b.signIn(t, s.url+"/oauth2/start?rd=%2F", name); at.status != http.StatusOK || at.body != "the application" {
		t.Fatalf("%s signed in and sees %v", name, at)
	}
	return b
}

const (
	rose   = "rtyler@badwolf.org"
	doctor = "dwho@badwolf.org"
)

// forgeries are headers with which a client says that it is the Doctor.
var forgeries = map[string]http.Header{
	"answer":     {"X-Auth-Request-Email": {doctor}, "X-Auth-Request-User": {"dwho"}},
	"forwarded":  {"X-Forwarded-Email": {doctor}, "X-Forwarded-User": {"dwho"}},
	"twice":      {"X-Auth-Request-Email": {doctor, doctor}, "X-Forwarded-Email": {doctor, doctor}},
	"lower case": {"x-auth-request-email": {doctor}, "x-forwarded-email": {doctor}},
	"underscore": {"X_Auth_Request_Email": {doctor}, "X_Forwarded_Email": {doctor}},
	"names":      {"X-Forwarded-Given-Name": {"Doctor"}, "X-Auth-Request-Family-Name": {"Who"}},
	"where":      {"X-Forwarded-Uri": {"/open/"}, "X-Forwarded-Method": {"OPTIONS"}, "X-Forwarded-Host": {"localhost"}, "X-Original-Url": {"/open/"}},
	"peer":       {"X-Forwarded-For": {"127.0.0.1"}, "X-Real-Ip": {"127.0.0.1"}},
	"bearer":     {"Authorization": {"Bearer " + doctor}},
}

// TestOIDCProxy: oauth2-proxy and an OpenID provider, in each documented way.
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
			s.wantUnverified(t, p, d.claims, d.refusal)
			if d.inFront {
				for _, header := range forgeries {
					if a := do(t, http.MethodGet, s.url+"/open/huma-token", header, nil); a.status != http.StatusUnauthorized || a.json["code"] != "identity_missing" {
						t.Errorf("%v where nobody has to sign in: %d %s", header, a.status, a.body)
					}
				}
			}
			s.wantQuietLines(t, rose, doctor, "Müller", "René")

			s.proxy.kill(t)
			switch {
			case d.inFront:
			case d.refusal != "":
				s.wantRefusal(t, session, http.StatusServiceUnavailable, "identity_unavailable")
			default:
				s.wantRefusal(t, session, http.StatusBadGateway, "")
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
			s.wantToken(t, with(header, "Cookie", session.Get("Cookie")), rose)
			s.wantRefusal(t, header, http.StatusUnauthorized, mode.refusal)
			s.wantRefusal(t, with(header, "Cookie", "_oauth2_proxy=garbage"), http.StatusUnauthorized, mode.refusal)
		})
	}
	t.Run("hop by hop", func(t *testing.T) {
		// oauth2-proxy removes headers that the client names in Connection, and the one
		// that it adds itself, too. The email address of the client must not take its place.
		header := with(session, "Connection", "X-Forwarded-Email, X-Auth-Request-Email", "X-Forwarded-Email", doctor, "X-Auth-Request-Email", doctor)
		if mode.inFront {
			s.wantRefusal(t, header, http.StatusUnauthorized, "identity_missing")
		} else {
			s.wantToken(t, header, rose)
		}
	})
	t.Run("changed cookie", func(t *testing.T) {
		cookie := session.Get("Cookie")
		s.wantRefusal(t, http.Header{"Cookie": {cookie[:len(cookie)-4]}}, http.StatusUnauthorized, mode.refusal)
	})
	t.Run("signed out", func(t *testing.T) {
		// The page to which it leads would sign the user in again, because the user is still
		// signed in at the provider.
		b.CheckRedirect = client.CheckRedirect
		if at := b.open(t, s.url+"/oauth2/sign_out", nil); at.status != http.StatusFound {
			t.Fatalf("sign out: %v", at)
		}
		s.wantRefusal(t, b.header(t, s.url), http.StatusUnauthorized, mode.refusal)
	})
}

// wantUnverified checks a user whose address is not verified: without claims, oauth2-proxy
// refuses the user, and with them, the site does.
func (s *proxied) wantUnverified(t *testing.T, p *provider, claims bool, refusal string) {
	t.Helper()
	t.Run("unverified", func(t *testing.T) {
		if claims {
			session := s.signIn(t, p, "msmith").header(t, s.url)
			for _, prefix := range []string{"X-Auth-Request-", "X-Forwarded-"} {
				s.wantRefusal(t, with(session, prefix+"Email-Verified", "true"), http.StatusForbidden, "email_unverified")
			}
			return
		}
		b := p.newBrowser(t)
		if at := b.signIn(t, s.url+"/oauth2/start?rd=%2F", "msmith"); at.status != http.StatusForbidden {
			t.Errorf("an unverified address gets %v", at)
		}
		s.wantRefusal(t, b.header(t, s.url), http.StatusUnauthorized, refusal)
	})
}
