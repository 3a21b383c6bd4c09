package caddymodule_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// This file describes the headers of the layers independently of the table of presets,
// from the documentation of the layers, so that a mistake in the table is detected.

// person holds what a layer sends about a user. Empty fields are not sent.
type person struct {
	email             any // a string; in a document also another type
	id                string
	name, first, last string
}

// ada is a user with all fields.
var ada = person{"ada@x.example", "id-of-ada", "Zoë Ångström", "Zoë", "Ångström"}

// mallory is the user whom an attacker tries to impersonate.
var mallory = person{"mallory@evil.example", "id-of-mallory", "Mallory Evil", "Mallory", "Evil"}

// with returns a copy of the person with another address.
func (w person) with(email any) person {
	w.email = email
	return w
}

// nameless returns a copy of the person without names.
func (w person) nameless() person { return person{email: w.email, id: w.id} }

// headerPreset describes a layer that sends the user in headers.
type headerPreset struct {
	name   string
	status int // the status with which its auth server responds
	// The headers that the layer sends. email is required; id is empty if the
	// address is also the id.
	email, id, full, first, last string
	// verified is the header that says whether the address is verified. Empty: none.
	verified string
	// document returns the value of the header email if that is a document with
	// the address and names. nil: the value is the address.
	document func(person) string
	// mark is the prefix of address and id.
	mark string
	// assertion is the header of a token that the layer sends too.
	assertion string
	// also lists further headers that the layer sends.
	also []string
	// logins reports that the layer may send logins that are not addresses.
	logins bool
}

var headerPresets = []headerPreset{
	{
		name: "authelia", status: 200, email: "Remote-Email", id: "Remote-User", full: "Remote-Name",
		also: []string{"Remote-Groups"},
	},
	{
		name: "authentik", status: 200, email: "X-Authentik-Email", id: "X-Authentik-Uid", full: "X-Authentik-Name",
		also: []string{"X-Authentik-Username", "X-Authentik-Groups", "X-Authentik-Entitlements", "X-Authentik-Jwt"},
	},
	{
		name: "azure_easy_auth", status: 200, email: "X-Ms-Client-Principal", id: "X-Ms-Client-Principal-Id", document: azurePrincipal,
		also: []string{
			"X-Ms-Client-Principal-Name", "X-Ms-Token-Aad-Id-Token", "X-Ms-Token-Aad-Access-Token", "X-Ms-Token-Aad-Refresh-Token",
			"X-Ms-Token-Google-Id-Token", "X-Ms-Token-Google-Access-Token", "X-Ms-Token-Google-Refresh-Token",
			"X-Ms-Token-Facebook-Access-Token", "X-Ms-Token-Twitter-Access-Token", "X-Ms-Token-Twitter-Access-Token-Secret",
		},
	},
	{
		name: "cloudflare_access", status: 200, email: "Cf-Access-Authenticated-User-Email", assertion: "Cf-Access-Jwt-Assertion",
	},
	{
		name: "gatekeeper", status: 200, email: "X-Auth-Email", id: "X-Auth-Subject",
		full: "X-Auth-Name", first: "X-Auth-Given-Name", last: "X-Auth-Family-Name", verified: "X-Auth-Email-Verified",
		also: []string{"X-Auth-Username", "X-Auth-Userid", "X-Auth-Token", "X-Auth-Groups", "X-Auth-Roles"},
	},
	{
		name: "gcp_api_gateway", status: 200, email: "X-Apigateway-Api-Userinfo", document: gatewayUserinfo,
		also: []string{"X-Forwarded-Authorization"},
	},
	{
		name: "google_iap", status: 200, email: "X-Goog-Authenticated-User-Email", id: "X-Goog-Authenticated-User-Id",
		mark: "accounts.google.com:", assertion: "X-Goog-Iap-Jwt-Assertion",
	},
	{
		name: "istio", status: 200, email: "X-Jwt-Claim-Email", id: "X-Jwt-Claim-Sub",
		full: "X-Jwt-Claim-Name", first: "X-Jwt-Claim-Given-Name", last: "X-Jwt-Claim-Family-Name",
	},
	{
		name: "oathkeeper", status: 200, email: "X-User-Email", id: "X-User",
		full: "X-User-Name", first: "X-User-Given-Name", last: "X-User-Family-Name", verified: "X-User-Email-Verified",
	},
	{
		name: "oauth2_proxy", status: 202, email: "X-Auth-Request-Email", id: "X-Auth-Request-User",
		first: "X-Auth-Request-Given-Name", last: "X-Auth-Request-Family-Name", verified: "X-Auth-Request-Email-Verified",
		also: []string{"X-Auth-Request-Preferred-Username", "X-Auth-Request-Groups", "X-Auth-Request-Access-Token"},
	},
	{
		name: "oauth2_proxy_upstream", status: 202, email: "X-Forwarded-Email", id: "X-Forwarded-User",
		first: "X-Forwarded-Given-Name", last: "X-Forwarded-Family-Name", verified: "X-Forwarded-Email-Verified",
		also: []string{"X-Forwarded-Preferred-Username", "X-Forwarded-Groups", "X-Forwarded-Access-Token"},
	},
	{
		name: "pomerium", status: 200, email: "X-Pomerium-Claim-Email", id: "X-Pomerium-Claim-Sub", assertion: "X-Pomerium-Jwt-Assertion",
		full: "X-Pomerium-Claim-Name", first: "X-Pomerium-Claim-Given-Name", last: "X-Pomerium-Claim-Family-Name",
	},
	{
		name: "tailscale", status: 204, email: "Tailscale-User-Login", full: "Tailscale-User-Name", logins: true,
		also: []string{"Tailscale-User-Profile-Pic"},
	},
	{
		name: "vouch", status: 200, email: "X-Vouch-Idp-Claims-Email", id: "X-Vouch-Idp-Claims-Sub",
		full: "X-Vouch-Idp-Claims-Name", first: "X-Vouch-Idp-Claims-Given-Name", last: "X-Vouch-Idp-Claims-Family-Name",
		verified: "X-Vouch-Idp-Claims-Email-Verified",
		also:     []string{"X-Vouch-User", "X-Vouch-Idp-Accesstoken", "X-Vouch-Idp-Idtoken"},
	},
}

// own returns all headers of the layer, that of the address first.
func (p headerPreset) own() []string {
	all := append([]string{p.email, p.id, p.full, p.first, p.last, p.verified, p.assertion}, p.also...)
	return slices.DeleteFunc(all, func(name string) bool { return name == "" })
}

// others returns all headers of the layer except that of the address.
func (p headerPreset) others() []string { return p.own()[1:] }

// headers returns the headers that the layer sends for a person. Some contain other
// addresses, which must not be used.
func (p headerPreset) headers(who person) http.Header {
	h := http.Header{}
	put := func(name, value string) {
		if name != "" && value != "" {
			h[name] = []string{value}
		}
	}
	for _, name := range p.also {
		put(name, "also@x.example")
	}
	if p.assertion != "" {
		put(p.assertion, unsigned(map[string]any{"sub": who.id, "email": "also@x.example", "name": "Also Else"}))
	}
	if who.id != "" {
		put(p.id, p.mark+who.id)
	}
	put(p.verified, "true")
	put(p.full, who.name)
	put(p.first, who.first)
	put(p.last, who.last)
	email, there := who.email.(string)
	switch {
	case p.document != nil:
		h[p.email] = []string{p.document(who)}
	case there:
		h[p.email] = []string{p.mark + email}
	}
	return h
}

// headersOfTwo returns the headers for two people, with two values of the header of the
// address.
func (p headerPreset) headersOfTwo(a, b person) http.Header {
	h := p.headers(a)
	h[p.email] = append(h[p.email], p.headers(b)[p.email]...)
	return h
}

// names returns the names that the plugin should send to Huma for a person.
func (p headerPreset) names(who person) (first, last string) {
	if p.document != nil || p.first != "" || p.full != "" {
		return who.first, who.last
	}
	return "", ""
}

// azurePrincipal returns the header X-Ms-Client-Principal of Azure's App Service: a list
// of claims, some of them with the types of WS-Federation.
func azurePrincipal(who person) string {
	const namespace = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
	emails, several := who.email.([]any)
	if !several && who.email != nil {
		emails = []any{who.email}
	}
	list := []any{
		claim("iss", "https://login.microsoftonline.com/x/v2.0"), claim("roles", "a"), claim("roles", "b"),
		claim("http://schemas.microsoft.com/identity/claims/objectidentifier", who.id), claim(namespace+"nameidentifier", "also@x.example"),
	}
	for _, email := range emails {
		list = append(list, claim(namespace+"emailaddress", email))
	}
	for name, value := range map[string]string{"name": who.name, namespace + "givenname": who.first, namespace + "surname": who.last} {
		if value != "" {
			list = append(list, claim(name, value))
		}
	}
	return base64.StdEncoding.EncodeToString(document(map[string]any{"auth_typ": "aad", "name_typ": "name", "role_typ": "roles", "claims": list}))
}

func claim(typ string, value any) any { return map[string]any{"typ": typ, "val": value} }

// gatewayUserinfo returns the header of Google's API Gateway: the payload of a token.
func gatewayUserinfo(who person) string {
	return base64.RawURLEncoding.EncodeToString(document(claimsOf(who)))
}

// claimsOf returns the claims about a person in a token.
func claimsOf(who person) map[string]any {
	members := map[string]any{"iss": "https://issuer.example", "preferred_username": "also@x.example"}
	for name, value := range map[string]string{"sub": who.id, "name": who.name, "given_name": who.first, "family_name": who.last} {
		if value != "" {
			members[name] = value
		}
	}
	if who.email != nil {
		members["email"] = who.email
	}
	return members
}

// document returns a value as JSON.
func document(v any) []byte { return testutil.Must(json.Marshal(v)) }

// unsigned returns a token with an invalid signature.
func unsigned(payload map[string]any) string {
	e := base64.RawURLEncoding
	return e.EncodeToString([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + e.EncodeToString(document(payload)) + "." + e.EncodeToString([]byte("signature"))
}

// presetSite is a site behind a layer.
type presetSite struct {
	*testSite
	*layer
	p headerPreset
	// joinsHeaders reports whether the values of a header arrive joined to one.
	joinsHeaders bool
}

// setUser sets the person whom the layer sends for every request.
func (b presetSite) setUser(who person) { b.setResponse(b.p.status, b.p.headers(who)) }

// clearUser makes the layer accept every request and send no headers.
func (b presetSite) clearUser() { b.setResponse(b.p.status, nil) }

// eachSetup runs a test with the layer as an auth server and as a proxy.
func (p headerPreset) eachSetup(t *testing.T, test func(t *testing.T, b presetSite)) {
	copied := "copy_headers " + strings.Join(p.own(), " ")
	t.Run("forward_auth", func(t *testing.T) {
		l := newLayer(t)
		test(t, presetSite{open(t, forwardAuth(l, "", "identity "+p.name)), l, p, true})
	})
	t.Run("forward_auth with copy_headers", func(t *testing.T) {
		l := newLayer(t)
		test(t, presetSite{open(t, forwardAuthTrust(l, copied, "identity "+p.name, "trust forward_auth "+l.hostport())), l, p, true})
	})
	// forward_auth copies the headers to the request.
	t.Run("copy_headers and trust proxies", func(t *testing.T) {
		l := newLayer(t)
		test(t, presetSite{open(t, forwardAuthTrust(l, copied, "identity "+p.name, "trust proxies 127.0.0.1")), l, p, true})
	})
	t.Run("proxies", func(t *testing.T) {
		l := newLayer(t)
		d := open(t, trustingPreset(p.name))
		test(t, presetSite{d.at(l.proxyTo(t, d.URL, p.own()...).URL), l, p, false})
	})
}

// trustingPreset returns a site that trusts the headers of a preset from loopback addresses.
func trustingPreset(name string) string {
	return strings.Replace(trustingSite, "identity {\n\t\t\temail X-Test-User\n\t\t}", "identity "+name, 1)
}

// wantNames checks the names that Huma has received for a user; empty: none.
func (d *testSite) wantNames(t testing.TB, email, first, last string) {
	t.Helper()
	attributes, _ := d.user(t, email).Profile["userAttributes"].(map[string]any)
	want := make(map[string]any)
	if first != "" {
		want["givenName"] = first
	}
	if last != "" {
		want["familyName"] = last
	}
	if fmt.Sprint(attributes) != fmt.Sprint(want) {
		t.Errorf("%s: Huma has the names %q, want %q", email, attributes, want)
	}
}

// TestPresetsAreTested checks that the tables of these tests contain every preset, with
// all headers that it reads and that its log filter removes.
func TestPresetsAreTested(t *testing.T) {
	ofHeaders := make(map[string]headerPreset)
	for _, p := range headerPresets {
		ofHeaders[p.name] = p
	}
	ofPlaceholders := map[string]bool{"basic_auth": true}
	for _, p := range placeholderPresets {
		ofPlaceholders[p.name] = true
	}
	ofSigned := make(map[string]signedPreset)
	for _, p := range signedPresets {
		ofSigned[p.name] = p
	}
	known := make(map[string]bool)
	for _, row := range presets.All() {
		known[row.Name] = true
		var tested []string
		switch p, ok := ofHeaders[row.Name]; {
		case row.NeedsTrust() && !ok:
			t.Errorf("%s is not in headerPresets", row.Name)
		case row.NeedsTrust():
			tested = p.own()
			for _, o := range []struct {
				option string
				read   presets.Source
				sent   string
			}{
				{"user_id", row.Sources.UserID, p.id}, {"name", row.Sources.Name, p.full},
				{"first_name", row.Sources.FirstName, p.first}, {"last_name", row.Sources.LastName, p.last},
				{"verified", row.Sources.Verified, p.verified},
			} {
				other := o.read.From != "" && o.read.From != p.email && o.read.From != p.assertion
				if other != (o.sent != "") {
					t.Errorf("%s: %s is read from %q, and the test sends %q", row.Name, o.option, o.read, o.sent)
				}
			}
		case row.Sources.Email.From != "" && !ofPlaceholders[row.Name]:
			t.Errorf("%s is not in placeholderPresets", row.Name)
		}
		p, ok := ofSigned[row.Name]
		if signed := row.Signed.Email.From != ""; ok != signed && (ok || row.Provider == nil) { // for providers, see TestProviderTokens
			t.Errorf("%s has the signed source %q, in signedPresets: %t", row.Name, row.Signed.Email, ok)
		}
		if ok && !slices.Contains(tested, p.header) && p.header != "Authorization" { // Caddy redacts it
			tested = append(append(tested, p.header), p.also...)
		}
		slices.Sort(tested)
		if read := row.Headers(); !slices.Equal(read, tested) {
			t.Errorf("%s has the headers %q, and the tests send %q", row.Name, read, tested)
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(ofHeaders)), slices.Collect(maps.Keys(ofPlaceholders)), slices.Collect(maps.Keys(ofSigned))) {
		if !known[name] {
			t.Errorf("unknown preset %s", name)
		}
	}
}
