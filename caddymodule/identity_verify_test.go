package caddymodule_test

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// openAssertions serves a huma_token for each layer.
func openAssertions(t testing.TB, more string) (*testSite, *keyServer) {
	t.Helper()
	keys := newKeyServer(t)
	text := "SITE {\n"
	for _, l := range assertionLayers {
		_, key, _ := signingKeys(l.algorithm)
		keys.setKeys(l.name, map[string]crypto.Signer{kidOf: key})
		text += l.directive(keys, more)
	}
	return open(t, text+"respond \"the application\" 404\n}"), keys
}

// TestAssertions checks that a signed assertion identifies the user, from any client,
// with names.
func TestAssertions(t *testing.T) {
	d, _ := openAssertions(t, "")
	for _, l := range assertionLayers {
		t.Run(l.name, func(t *testing.T) {
			for _, name := range []string{"ada", "bob"} {
				email := name + "@" + l.name + ".example"
				d.wantTokenOf(t, email, l.path(), l.signIn(email))
				d.wantTokenOf(t, email, l.path(), l.signIn(email), header("X-Forwarded-For", "10.0.0.1"), header("Via", "1.1 elsewhere"))
				attributes, _ := d.user(t, email).Profile["userAttributes"].(map[string]any)
				if got, _ := attributes["givenName"].(string); got != l.first {
					t.Errorf("Huma has the first name %q, want %q", got, l.first)
				}
				if got, _ := attributes["familyName"].(string); got != l.last {
					t.Errorf("Huma has the last name %q, want %q", got, l.last)
				}
			}
			// Huma receives the address as signed. The cache key is case-insensitive.
			const upper = "Ada.Lovelace+x@X.Example"
			d.wantTokenOf(t, upper, l.path(), l.signIn(upper))
			// An assertion of another layer is rejected.
			for _, other := range assertionLayers {
				if other.header == l.header && other.name != l.name {
					d.wantRejection(t, 401, "identity_invalid", l.path(), other.signIn("mallory@evil.example"))
				} else if other.header != l.header {
					d.wantRejection(t, 401, "identity_missing", l.path(), other.signIn("mallory@evil.example"))
				}
			}
		})
	}
	// The text before the last colon is the prefix of Google and of the tenant.
	iap := assertionLayers[0]
	for _, email := range []string{"accounts.google.com:ada@x.example", "securetoken.google.com/clinic/tenant:ada@x.example"} {
		d.wantTokenOf(t, "ada@x.example", iap.path(), iap.signIn(email))
	}
	d.notLogged(t, ".example", "Zo", "ngstr", "eyJ", "id-1")
}

// TestAssertionsFromAnotherPeer checks that an assertion is accepted from any peer, and
// with trust only from the trusted peers.
func TestAssertionsFromAnotherPeer(t *testing.T) {
	d, _ := openAssertions(t, "")
	l := assertionLayers[0]
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	if c, err := dialer.Dial("tcp", d.address); err != nil {
		t.Skipf("this system has one loopback address: %v", err)
	} else {
		_ = c.Close()
	}
	elsewhere := *d.site
	elsewhere.client = &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	other := &testSite{&elsewhere, d.huma}
	other.wantTokenOf(t, "ada@x.example", l.path(), l.signIn("ada@x.example"))
	other.wantRejection(t, 401, "identity_missing", l.path(), header(l.plain[0], "mallory@evil.example"))

	d, _ = openAssertions(t, "trust proxies 127.0.0.2")
	elsewhere.URL = d.URL
	other = &testSite{&elsewhere, d.huma}
	for _, l := range assertionLayers {
		other.wantTokenOf(t, "ada@x.example", l.path(), l.signIn("ada@x.example"))
		d.wantRejection(t, 401, "identity_untrusted", l.path(), l.signIn("ada@x.example"), header("X-Forwarded-For", "127.0.0.2"))
	}
	d.notLogged(t, ".example", "eyJ")
}

// wrongAssertion is a change that makes an assertion invalid, and the reason that is
// logged.
type wrongAssertion struct {
	change func(*assertion)
	logged string
}

// TestI17_Assertions checks that an invalid assertion is rejected without a call to Huma.
func TestI17_Assertions(t *testing.T) {
	d, keys := openAssertions(t, "")
	attacker := newKeyServer(t)
	past, future := time.Now().Add(-time.Hour).Unix(), time.Now().Add(time.Hour).Unix()
	for _, l := range assertionLayers {
		wrong := map[string]wrongAssertion{
			"expired":              {func(a *assertion) { l.claims(a)["exp"] = past }, "has expired"},
			"expired a minute ago": {func(a *assertion) { l.claims(a)["exp"] = time.Now().Add(-time.Minute).Unix() }, "has expired"},
			"without end":          {func(a *assertion) { delete(l.claims(a), "exp") }, "no claim exp"},
			"an end in words":      {func(a *assertion) { l.claims(a)["exp"] = "tomorrow" }, "has expired"},
			"of the future":        {func(a *assertion) { a.payload["iat"] = future }, "not valid yet"},
			"not valid yet":        {func(a *assertion) { a.payload["nbf"] = future }, "not valid yet"},
			"another issuer":       {func(a *assertion) { l.claims(a)["iss"] = "https://evil.example" }, "option issuer"},
			"almost the issuer":    {func(a *assertion) { l.claims(a)["iss"] = l.issuer + "/" }, "option issuer"},
			"no issuer":            {func(a *assertion) { delete(l.claims(a), "iss") }, "option issuer"},
			"unknown kid":          {func(a *assertion) { a.header["kid"] = nextKid }, "option jwks"},
			"a kid that is a path": {func(a *assertion) { a.header["kid"] = "../" + l.name + "/" + kidOf }, "option jwks"},
			"a list of addresses":  {func(a *assertion) { l.withAddress(a, "ada@x.example,bob@x.example") }, "single email address"},
			"a display name":       {func(a *assertion) { l.withAddress(a, "Ada <ada@x.example>") }, "single email address"},
			"a number":             {func(a *assertion) { l.withAddress(a, 7) }, "neither a string"},
			"critical extension":   {func(a *assertion) { a.header["crit"] = []string{"exp"} }, "single signed token"},
			"another's key":        {func(a *assertion) { a.key = a.otherKey }, "signature of the assertion is invalid"},
			"another's key in it": {func(a *assertion) {
				a.header["jwk"], a.key = jwk(kidOf, a.otherKey), a.otherKey
			}, "signature of the assertion is invalid"},
			"another's key server": {func(a *assertion) {
				a.header["jku"], a.header["x5u"], a.key = attacker.URL, attacker.URL, a.otherKey
			}, "signature of the assertion is invalid"},
			"alg none": {func(a *assertion) {
				a.header["alg"], a.method, a.key = "none", jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType
			}, "none and algorithms with a shared secret"},
			"alg none in capitals": {func(a *assertion) { a.header["alg"] = "NONE" }, "none and algorithms with a shared secret"},
			"no alg":               {func(a *assertion) { delete(a.header, "alg") }, "algorithm"},
			"HS256 with the public key": {func(a *assertion) {
				a.header["alg"], a.method, a.key = "HS256", jwt.SigningMethodHS256, testutil.PublicPEM(a.key.(crypto.Signer))
			}, "none and algorithms with a shared secret"},
			"HS256 with the key as it is served": {func(a *assertion) {
				served, _ := json.Marshal(jwk(kidOf, a.key.(crypto.Signer)))
				a.header["alg"], a.method, a.key = "HS256", jwt.SigningMethodHS256, served
			}, "none and algorithms with a shared secret"},
			"HS256 with the shared key that is served": {func(a *assertion) {
				a.header["alg"], a.header["kid"], a.method, a.key = "HS256", "shared", jwt.SigningMethodHS256, []byte("secret")
			}, "none and algorithms with a shared secret"},
		}
		more := map[string]wrongAssertion{
			"another audience": {func(a *assertion) { a.payload["aud"] = "https://evil.example" }, "option audience"},
			"other audiences":  {func(a *assertion) { a.payload["aud"] = []string{"https://evil.example", l.audience + "/"} }, "option audience"},
			"no audience":      {func(a *assertion) { delete(a.payload, "aud") }, "option audience"},
		}
		if l.aws {
			set := func(name string, value any) func(*assertion) { return func(a *assertion) { a.header[name] = value } }
			more = map[string]wrongAssertion{
				"another client":     {set("client", "client-2"), "option audience"},
				"no client":          {set("client", nil), "option audience"},
				"another signer":     {set("signer", strings.Replace(balancer, "123456789012", "666666666666", 1)), "option signer"},
				"almost the signer":  {set("signer", balancer+"0"), "option signer"},
				"no signer":          {set("signer", nil), "option signer"},
				"a list of signers":  {set("signer", []string{balancer}), "option signer"},
				"expired in payload": {func(a *assertion) { a.payload["exp"] = past }, "has expired"},
				"issued in payload":  {func(a *assertion) { a.payload["iss"] = "https://evil.example" }, "option issuer"},
			}
		}
		maps.Copy(wrong, more)
		t.Run(l.name, func(t *testing.T) {
			for name, c := range wrong {
				t.Run(name, func(t *testing.T) {
					a := l.token("ada@x.example")
					c.change(a)
					got := d.wantRejection(t, 401, "identity_invalid", l.path(), l.sendToken(a.String()))
					d.rejectedFor(t, got, c.logged)
					verifies := c.logged == "single email address" || c.logged == "neither a string" // but does not identify a user
					if got := got.Header.Get("WWW-Authenticate"); (got == `Bearer error="invalid_token"`) == verifies {
						t.Errorf("WWW-Authenticate: %s", got)
					}
				})
			}
			// The following combine parts of valid assertions.
			good, bob := l.token("ada@x.example"), l.token("bob@x.example")
			head, payload, signature := good.parts()
			_, bobs, bobsSignature := bob.parts()
			for name, text := range map[string]string{
				"another payload":      head + "." + bobs + "." + signature,
				"another signature":    head + "." + payload + "." + bobsSignature,
				"no signature":         head + "." + payload + ".",
				"two parts":            head + "." + payload,
				"the payload alone":    payload,
				"an address":           "ada@x.example",
				"a word":               "null",
				"two of them":          good.String() + "," + bob.String(),
				"two, with a space":    good.String() + ", " + bob.String(),
				"standard base64":      strings.NewReplacer("-", "+", "_", "/").Replace(head+"."+payload+".") + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\xff", 64))),
				"longer than can be":   strings.Repeat("a", 20<<10) + "." + payload + "." + signature,
				"the scheme of others": "Basic " + good.String(),
			} {
				t.Run(name, func(t *testing.T) {
					d.wantRejection(t, 401, "identity_invalid", l.path(), l.sendToken(text))
				})
			}
			d.wantRejection(t, 401, "identity_missing", l.path(), l.sendToken(l.withAddress(l.token("ada@x.example"), "").String()))
			d.wantRejection(t, 401, "identity_missing", l.path(), l.sendToken(l.withAddress(l.token("ada@x.example"), nil).String()))
			// A missing user is reported before an address that is not verified.
			for _, no := range []any{false, "false", 0, "no"} {
				a := l.token("ada@x.example")
				l.user(a)["email_verified"] = no
				d.wantRejection(t, 403, "email_unverified", l.path(), l.sendToken(a.String()))
			}
			d.wantTokenOf(t, "ada@x.example", l.path(), l.sendToken(good.String()))
		})
	}
	if n := len(attacker.requests); n != 0 {
		t.Errorf("the key server of a token's header was called: %v", attacker.requests)
	}
	for _, l := range assertionLayers {
		if n := keys.requestCount(l.keysPath(kidOf)); n > 3 {
			t.Errorf("%s: the key server was called %d times", l.name, n)
		}
	}
	d.notLogged(t, ".example", "eyJ", "Zo", "CANARY")
}

// TestAssertionsAreReadOnce checks that exactly one assertion is accepted, and that other
// headers, cookies and the query have no effect.
func TestAssertionsAreReadOnce(t *testing.T) {
	d, _ := openAssertions(t, "")
	for _, l := range assertionLayers {
		t.Run(l.name, func(t *testing.T) {
			good, mallory := l.signIn("ada@x.example"), l.signIn("mallory@evil.example")
			empty := header(l.header, "")
			d.wantRejection(t, 401, "identity_ambiguous", l.path(), good, good)
			d.wantRejection(t, 401, "identity_ambiguous", l.path(), good, mallory)
			d.wantRejection(t, 401, "identity_ambiguous", l.path(), empty, good)
			d.wantRejection(t, 401, "identity_ambiguous", l.path(), good, empty)
			d.wantRejection(t, 401, "identity_missing", l.path(), empty)
			d.wantRejection(t, 401, "identity_missing", l.path(), header(l.header, "  "))
			d.wantRejection(t, 401, "identity_missing", l.path())
			token := l.prefix + l.token("ada@x.example").String()
			for _, separator := range []string{"_", "."} { // Caddy drops these
				alias := strings.ReplaceAll(l.header, "-", separator)
				if alias != l.header {
					d.wantRejection(t, 401, "identity_missing", l.path(), header(alias, token))
					d.wantTokenOf(t, "ada@x.example", l.path(), header(alias, l.prefix+l.token("mallory@evil.example").String()), good)
				}
			}
			d.wantTokenOf(t, "ada@x.example", l.path(), header(strings.ToLower(l.header), token))
			for _, name := range append(l.plain, "X-User", "Remote-Email", "X-Forwarded-Email") {
				forged := header(name, "mallory@evil.example")
				d.wantRejection(t, 401, "identity_missing", l.path(), forged)
				d.wantRejection(t, 401, "identity_missing", l.path(), forged, empty)
				d.wantRejection(t, 401, "identity_invalid", l.path(), forged, l.sendToken("x.y.z"))
				d.wantTokenOf(t, "ada@x.example", l.path(), forged, good)
				d.wantTokenOf(t, "ada@x.example", l.path(), header(name, ""), forged, good)
			}
			d.wantTokenOf(t, "ada@x.example", l.path(), good, func(r *http.Request) {
				r.AddCookie(&http.Cookie{Name: l.header, Value: l.token("mallory@evil.example").String()})
				r.URL.RawQuery = "jwt=" + l.token("mallory@evil.example").String()
			})
		})
	}
	for _, u := range d.huma.Users() {
		if u.Email != "ada@x.example" {
			t.Errorf("Huma has the user %q", u.Email)
		}
	}
	d.notLogged(t, ".example", "eyJ")
}

// TestAssertionsAreCheckedLast checks that the method and cross-site requests are checked
// before the assertion.
func TestAssertionsAreCheckedLast(t *testing.T) {
	d, _ := openAssertions(t, "")
	for _, l := range assertionLayers {
		for _, c := range []struct {
			method string
			status int
			edits  []func(*http.Request)
		}{
			{"OPTIONS", 204, nil},
			{"PUT", 405, []func(*http.Request){l.signIn("ada@x.example")}},
			{"DELETE", 401, nil},
			{"DELETE", 401, []func(*http.Request){l.sendToken("x.y.z")}},
			{"DELETE", 204, []func(*http.Request){l.signIn("ada@x.example")}},
			{"GET", 403, []func(*http.Request){header("Sec-Fetch-Site", "cross-site"), header("Cookie", "a=b")}},
		} {
			if a := d.request(c.method, l.path(), c.edits...); a.StatusCode != c.status {
				t.Errorf("%s: %s: status %d, want %d: %s", l.name, c.method, a.StatusCode, c.status, a.Body)
			}
		}
	}
	d.wantNoCalls(t, 0)
}
