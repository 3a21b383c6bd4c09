package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// verifyRedirect is the redirect URI of the clients at the provider. No server listens
// there: the test itself exchanges the codes for tokens.
const verifyRedirect = "http://127.0.0.1:1/callback"

// TestOIDCVerify checks ID tokens of an OpenID provider of which only the issuer is
// configured.
func TestOIDCVerify(t *testing.T) {
	clients := map[string]relyingParty{}
	for id, client := range map[string]relyingParty{
		"app": {}, "other": {}, "short": {tokenLifetime: time.Second}, "shared": {algorithm: "HS256"}, "unsigned": {algorithm: "none"},
	} {
		client.redirects = []string{verifyRedirect}
		if client.tokenLifetime == 0 {
			client.tokenLifetime = time.Hour
		}
		clients[id] = client
	}
	p := startProvider(t, clients)
	port := freePort(t)
	sites := map[string]string{
		// Tokens of these clients are rejected for another reason than their audience.
		"app":     "issuer " + p.issuer + "\naudience app short shared unsigned\nca " + p.ca,
		"require": "issuer " + p.issuer + "\nrequire azp app\nca " + p.ca,
		"rotated": "issuer " + p.issuer + "\naudience app\nca " + p.ca,
		"no-ca":   "issuer " + p.issuer + "\naudience app",
		"slash":   "issuer " + p.issuer + "/\naudience app\nca " + p.ca,
	}
	text := ""
	for name, verify := range sites {
		text += `http://` + name + `.` + domain + `:` + port + ` {
	huma_token {
		HUMA
		identity {
			email Authorization email
			name Authorization name
			verify {
				` + verify + `
			}
		}
	}
}
`
	}
	s := startSite(t, port, text)
	app, rotated := s.at("app."+domain), s.at("rotated."+domain)

	bearer := func(client, name string) http.Header {
		return http.Header{"Authorization": {"Bearer " + p.tokens(t, client, verifyRedirect, name)["id_token"].(string)}}
	}
	token := bearer("app", "rtyler")

	t.Run("users", func(t *testing.T) {
		app.wantToken(t, token, rose)
		app.wantNames(t, rose, "Rose", "Tyler")
		app.wantToken(t, bearer("app", "dwho"), doctor)
		app.wantNames(t, doctor, "René", "Müller")
		app.wantRejection(t, bearer("app", "msmith"), http.StatusForbidden, "email_unverified")
	})
	t.Run("refused", func(t *testing.T) {
		value := token.Get("Authorization")
		access := p.tokens(t, "app", verifyRedirect, "rtyler")["access_token"].(string)
		for name, test := range map[string]struct {
			header http.Header
			code   string
		}{
			"nothing":        {nil, "identity_missing"},
			"of another":     {bearer("other", "rtyler"), "identity_invalid"},
			"shared secret":  {bearer("shared", "rtyler"), "identity_invalid"},
			"not signed":     {bearer("unsigned", "rtyler"), "identity_invalid"},
			"cut":            {http.Header{"Authorization": {value[:strings.LastIndex(value, ".")+1]}}, "identity_invalid"},
			"changed":        {http.Header{"Authorization": {value[:len(value)-6] + "AAAAAA"}}, "identity_invalid"},
			"access token":   {http.Header{"Authorization": {"Bearer " + access}}, "identity_invalid"},
			"twice":          {withHeaders(token, "Authorization", value), "identity_ambiguous"},
			"as a cookie":    {http.Header{"Cookie": {"token=" + strings.TrimPrefix(value, "Bearer ")}}, "identity_missing"},
			"another header": {http.Header{"X-Authorization": {value}}, "identity_missing"},
		} {
			t.Run(name, func(t *testing.T) { app.wantRejection(t, test.header, http.StatusUnauthorized, test.code) })
		}
	})
	t.Run("require", func(t *testing.T) {
		s.at("require."+domain).wantToken(t, token, rose)
		s.at("require."+domain).wantRejection(t, bearer("other", "rtyler"), http.StatusUnauthorized, "identity_invalid")
	})
	t.Run("no keys", func(t *testing.T) {
		// The certificate is invalid, or the discovery document contains another issuer.
		for _, name := range []string{"no-ca", "slash"} {
			s.at(name+"."+domain).wantRejection(t, token, http.StatusServiceUnavailable, "identity_unavailable")
		}
	})

	// The provider has replaced its key.
	rotated.wantToken(t, token, rose)
	p.rotate(t, "second")
	last := bearer("app", "dwho")
	// Keys are not fetched again at once after a token with an invalid signature.
	for end := time.Now().Add(processTimeout); rotated.token(t, last).status != http.StatusOK && time.Now().Before(end); {
		time.Sleep(250 * time.Millisecond)
	}
	rotated.wantToken(t, last, doctor)
	rotated.wantRejection(t, token, http.StatusUnauthorized, "identity_invalid")
	short, expires := bearer("short", "rtyler"), time.Now().Add(time.Second)
	app.wantToken(t, short, rose)

	// Without the provider, its last keys remain valid.
	p.stop(t)
	rotated.wantToken(t, last, doctor)

	time.Sleep(time.Until(expires.Add(31 * time.Second))) // the maximum clock skew is 30 seconds
	app.wantRejection(t, short, http.StatusUnauthorized, "identity_invalid")
	s.wantNotLogged(t, rose, doctor, "Müller", strings.TrimPrefix(token.Get("Authorization"), "Bearer "))
}
