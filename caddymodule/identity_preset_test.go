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

// What layers send is written down here once more, as their documentation has
// it, so that one mistake in the rows of the presets cannot hide another.

// person is what a layer says of a user. What is empty it does not say.
type person struct {
	email             any // a text; in a document also something else
	id                string
	name, first, last string
}

// ada is somebody of whom everything is said.
var ada = person{"ada@x.example", "id-of-ada", "Zoë Ångström", "Zoë", "Ångström"}

// mallory is who an attacker would like to be.
var mallory = person{"mallory@evil.example", "id-of-mallory", "Mallory Evil", "Mallory", "Evil"}

// with is the same person with another address.
func (w person) with(email any) person {
	w.email = email
	return w
}

// nameless is the same person without names.
func (w person) nameless() person { return person{email: w.email, id: w.id} }

// headerPreset is a layer that says in headers who the user is.
type headerPreset struct {
	name   string
	status int // of its auth server
	// The headers it writes. One with the user's address is there always; an
	// id that is the address has no header of its own here.
	email, id, full, first, last string
	// verified says whether the address is verified, if the layer is configured to.
	verified string
	// document is what the header of the address holds, with names in it, if
	// that is not the address.
	document func(person) string
	// mark precedes address and id.
	mark string
	// assertion is the header of a token that it sends besides.
	assertion string
	// also are further headers it sends.
	also []string
	// logins says that it sends logins which may be no addresses.
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
		name: "vouch", status: 200, email: "X-Vouch-User",
		full: "X-Vouch-Idp-Claims-Name", first: "X-Vouch-Idp-Claims-Given-Name", last: "X-Vouch-Idp-Claims-Family-Name",
		verified: "X-Vouch-Idp-Claims-Email-Verified",
		also:     []string{"X-Vouch-Idp-Claims-Email", "X-Vouch-Idp-Accesstoken", "X-Vouch-Idp-Idtoken"},
	},
}

// own are all headers of the layer, that of the address first.
func (p headerPreset) own() []string {
	all := append([]string{p.email, p.id, p.full, p.first, p.last, p.verified, p.assertion}, p.also...)
	return slices.DeleteFunc(all, func(name string) bool { return name == "" })
}

// others are its headers beside the one with the address.
func (p headerPreset) others() []string { return p.own()[1:] }

// says is what the layer sends of a person. Beside the address there are
// others, none of which is to be taken for it.
func (p headerPreset) says(who person) http.Header {
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

// both is what it says of two people at once, in two lines of a header.
func (p headerPreset) both(a, b person) http.Header {
	h := p.says(a)
	h[p.email] = append(h[p.email], p.says(b)[p.email]...)
	return h
}

// names are the names that Huma is to learn of a person.
func (p headerPreset) names(who person) (first, last string) {
	if p.document != nil || p.first != "" || p.full != "" {
		return who.first, who.last
	}
	return "", ""
}

// azurePrincipal is what Azure's App Service writes: claims, of which some
// have names out of another age.
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

// gatewayUserinfo is what Google's API Gateway writes: the payload of a token.
func gatewayUserinfo(who person) string {
	return base64.RawURLEncoding.EncodeToString(document(claimsOf(who)))
}

// claimsOf is what the payload of a token says of a person.
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

// document is a value as JSON.
func document(v any) []byte { return testutil.Must(json.Marshal(v)) }

// unsigned is a token with a signature that nobody made.
func unsigned(payload map[string]any) string {
	e := base64.RawURLEncoding
	return e.EncodeToString([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + e.EncodeToString(document(payload)) + "." + e.EncodeToString([]byte("signature"))
}

// place is a way to put a layer in front of the endpoint.
type place struct {
	*desk
	*layer
	p headerPreset
	// joins says that two lines of a header arrive as one.
	joins bool
}

// say sets what the layer says of whoever asks.
func (b place) say(who person) { b.saysWith(b.p.status, b.p.says(who)) }

// sayNothing lets the layer let everybody in without a word.
func (b place) sayNothing() { b.saysWith(b.p.status, nil) }

// behind runs a test with the layer as auth server and as proxy.
func (p headerPreset) behind(t *testing.T, test func(t *testing.T, b place)) {
	copied := "copy_headers " + strings.Join(p.own(), " ")
	t.Run("forward_auth", func(t *testing.T) {
		l := newLayer(t)
		test(t, place{open(t, forwardAuth(l, "", "identity "+p.name)), l, p, true})
	})
	t.Run("forward_auth with copy_headers", func(t *testing.T) {
		l := newLayer(t)
		test(t, place{open(t, forwardAuthTrust(l, copied, "identity "+p.name, "trust forward_auth "+l.hostport())), l, p, true})
	})
	// The headers that forward_auth copies are the request's then.
	t.Run("copy_headers and trust proxies", func(t *testing.T) {
		l := newLayer(t)
		test(t, place{open(t, forwardAuthTrust(l, copied, "identity "+p.name, "trust proxies 127.0.0.1")), l, p, true})
	})
	t.Run("proxies", func(t *testing.T) {
		l := newLayer(t)
		d := open(t, trustingPreset(p.name))
		test(t, place{d.at(l.proxyTo(t, d.URL, p.own()...).URL), l, p, false})
	})
}

// trustingPreset is a site that believes the headers of a preset from loopback.
func trustingPreset(name string) string {
	return strings.Replace(trusting, "identity {\n\t\t\temail X-Test-User\n\t\t}", "identity "+name, 1)
}

// named checks which names Huma has been given of a user; empty: none.
func (d *desk) named(t testing.TB, email, first, last string) {
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
		t.Errorf("of %s Huma knows %q, want %q", email, attributes, want)
	}
}

// TestPresetsAreTested: whatever preset there is, it is in the tables of these
// tests, with every header that it reads and that it has kept out of logs.
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
			t.Errorf("%s is not among the presets of headers", row.Name)
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
			t.Errorf("%s is not among the presets of placeholders", row.Name)
		}
		p, ok := ofSigned[row.Name]
		if ok != (row.Signed.Email.From != "") {
			t.Errorf("%s has the signed source %q, and among the signed presets it is %t", row.Name, row.Signed.Email, ok)
		}
		if ok && !slices.Contains(tested, p.header) && p.header != "Authorization" { // which Caddy redacts
			tested = append(append(tested, p.header), p.also...)
		}
		slices.Sort(tested)
		if read := row.Headers(); !slices.Equal(read, tested) {
			t.Errorf("%s has the headers %q, and the tests send %q", row.Name, read, tested)
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(ofHeaders)), slices.Collect(maps.Keys(ofPlaceholders)), slices.Collect(maps.Keys(ofSigned))) {
		if !known[name] {
			t.Errorf("there is no preset %s", name)
		}
	}
}
