package caddymodule_test

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// openIDProvider is a fake of an OpenID provider: keys with a discovery document, and a
// userinfo endpoint that accepts every token that the provider has issued, to any client.
type openIDProvider struct {
	keys     *keyServer
	userinfo string
	seen     testutil.Recorder[http.Header] // the headers of userinfo requests

	mu      sync.Mutex
	handler http.HandlerFunc // the handler of userinfo; nil: the default one
}

func newOpenIDProvider(t testing.TB) *openIDProvider {
	p := &openIDProvider{keys: newKeyServer(t)}
	p.keys.setKeys("oidc", map[string]crypto.Signer{kidEC: layerP256()})
	p.userinfo = testutil.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		p.seen.Add(r.Header)
		p.mu.Lock()
		handler := p.handler
		p.mu.Unlock()
		if handler != nil {
			handler(w, r)
			return
		}
		var claims struct{ Sub string }
		parts := strings.Split(r.Header.Get("Authorization"), ".")
		if payload, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)]); err != nil || json.Unmarshal(payload, &claims) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"sub": claims.Sub, "email": claims.Sub + "@x.example", "email_verified": true})
	})
	return p
}

// setHandler sets the handler of userinfo. If handler is nil, it returns the claims of
// the token.
func (p *openIDProvider) setHandler(handler http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = handler
}

// token returns a token that the provider has issued for a client.
func (p *openIDProvider) token(sub, client string, changes map[string]any) string {
	now := time.Now().Unix()
	claims := jwt.MapClaims{"iss": p.keys.URL + "/oidc", "aud": "account", "azp": client, "sub": sub, "iat": now, "exp": now + 300}
	maps.Copy(claims, changes)
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = kidEC
	return testutil.Must(token.SignedString(layerP256()))
}

// site returns a site with a directive at each path, with the given lines in its
// userinfo.
func (p *openIDProvider) site(directives map[string]string) string {
	text := "SITE {\n"
	for at, lines := range directives {
		lines = strings.ReplaceAll(lines, "VERIFY", "issuer "+p.keys.URL+"/oidc\nrequire azp clinic-app")
		text += "huma_token " + at + " {\nHUMA\nuserinfo " + p.userinfo + " {\nemail email\n" + lines + "\n}\n}\n"
	}
	return text + "respond 404\n}"
}

// TestC4_VerifyBesideUserinfo checks that a token of another client, which a userinfo
// endpoint accepts, is rejected with verify, without a call to the endpoint.
func TestC4_VerifyBesideUserinfo(t *testing.T) {
	p := newOpenIDProvider(t)
	d := open(t, p.site(map[string]string{
		path: "verify {\nVERIFY\n}", "/without": "",
		"/cookie": "verify {\nVERIFY\ntoken {http.request.cookie.access_token}\n}",
		"/header": "verify {\nVERIFY\ntoken X-Access-Token\n}",
	}))
	ours, others := p.token("ada", "clinic-app", nil), p.token("ada", "weather-app", nil)
	d.wantTokenOf(t, "ada@x.example", "/without", bearer(others)) // this is why verify is needed
	calls := len(p.seen.All())
	for _, bad := range []string{
		others,
		p.token("ada", "clinic-app", map[string]any{"iss": "https://evil.example"}),
		p.token("ada", "clinic-app", map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}),
		strings.TrimSuffix(ours, ours[len(ours)-4:]) + "AAAA",
		"no-token",
	} {
		a := d.wantRejection(t, 401, "identity_invalid", path, bearer(bad))
		if got := a.Header.Get("Www-Authenticate"); !strings.Contains(got, `error="invalid_token"`) {
			t.Errorf("WWW-Authenticate: %q", got)
		}
	}
	d.wantRejection(t, 401, "identity_missing", path, header("Cookie", "access_token="+ours))
	d.wantRejection(t, 401, "identity_missing", "/cookie", bearer(ours))
	d.wantRejection(t, 401, "identity_missing", "/header", bearer(ours))
	d.wantRejection(t, 401, "identity_ambiguous", "/cookie", header("Cookie", "access_token="+ours+"; access_token="+others))
	if n := len(p.seen.All()) - calls; n != 0 {
		t.Errorf("the provider was called %d times for tokens that are not valid", n)
	}
	for at, edit := range map[string]func(*http.Request){
		path: bearer(ours), "/cookie": header("Cookie", "theme=dark; access_token="+ours), "/header": header("X-Access-Token", ours),
	} {
		calls := len(p.seen.All())
		a := d.wantTokenOf(t, "ada@x.example", at, edit, header("X-Other", "CANARY"), header("Cookie", "sid=CANARY"))
		if vary := strings.Join(a.Header["Vary"], ", "); at == "/header" && !strings.Contains(vary, "X-Access-Token") {
			t.Errorf("Vary: %q", vary)
		}
		seen := p.seen.All()[calls:]
		if len(seen) != 1 || seen[0].Get("Authorization") != "Bearer "+ours || seen[0]["Cookie"] != nil || len(seen[0]) != 4 {
			t.Errorf("%s: sent %v", at, seen)
		}
	}
	d.notLogged(t, "@x.example", "eyJ", "CANARY")
}

// TestUserinfoResponseToToken checks the responses of userinfo to a verified token.
func TestUserinfoResponseToToken(t *testing.T) {
	p := newOpenIDProvider(t)
	d := open(t, p.site(map[string]string{path: "verify {\nVERIFY\n}", "/cached": "verify {\nVERIFY\n}\ncache 5m"}))
	for _, c := range []struct {
		handler http.HandlerFunc
		status  int
		code    string
	}{
		{respondText(200, `{"sub":"bob","email":"bob@x.example"}`), 401, "identity_invalid"},
		{respondText(200, `{"sub":7,"email":"ada@x.example"}`), 401, "identity_invalid"},
		{respondText(200, `{"sub":null,"email":"ada@x.example"}`), 401, "identity_invalid"},
		{respondText(200, `{"sub":"ada"}`), 401, "identity_missing"},
		{respondText(200, `null`), 401, "identity_missing"},
		{respondText(200, `{"sub":"ada","email":"ada@x.example","email_verified":false}`), 403, "email_unverified"},
		{respondText(401, ``), 401, "identity_missing"},
		{respondText(403, ``), 403, "identity_forbidden"},
		{respondText(500, ``), 503, "identity_unavailable"},
	} {
		ada := p.token("ada", "clinic-app", map[string]any{"email": "ada@token.example", "jti": c.code})
		p.setHandler(c.handler)
		for _, at := range []string{path, "/cached"} {
			d.wantRejection(t, c.status, c.code, at, bearer(ada))
		}
		p.setHandler(nil)
		for _, at := range []string{path, "/cached"} {
			d.wantTokenOf(t, "ada@x.example", at, bearer(ada)) // the rejection was not cached
		}
	}
	p.setHandler(respondText(200, `{"email":"ada@x.example"}`)) // an application without sub
	d.wantTokenOf(t, "ada@x.example", path, bearer(p.token("ada", "clinic-app", nil)))

	p.setHandler(nil)
	ada, bob := p.token("ada", "clinic-app", nil), p.token("bob", "clinic-app", nil)
	calls := len(p.seen.All())
	for range 3 {
		d.wantTokenOf(t, "ada@x.example", "/cached", bearer(ada))
		d.wantTokenOf(t, "bob@x.example", "/cached", bearer(bob))
	}
	if n := len(p.seen.All()) - calls; n != 2 {
		t.Errorf("%d calls for two tokens, want 2", n)
	}
	d.notLogged(t, "@x.example", "@token.example", "eyJ")
}
