package caddymodule_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"golang.org/x/text/encoding/charmap"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
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
		full: "X-Auth-Name", first: "X-Auth-Given-Name", last: "X-Auth-Family-Name",
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
		name: "oauth2_proxy", status: 202, email: "X-Auth-Request-Email", id: "X-Auth-Request-User",
		first: "X-Auth-Request-Given-Name", last: "X-Auth-Request-Family-Name",
		also: []string{"X-Auth-Request-Preferred-Username", "X-Auth-Request-Groups", "X-Auth-Request-Access-Token"},
	},
	{
		name: "oauth2_proxy_upstream", status: 202, email: "X-Forwarded-Email", id: "X-Forwarded-User",
		first: "X-Forwarded-Given-Name", last: "X-Forwarded-Family-Name",
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
		also: []string{"X-Vouch-Idp-Claims-Email", "X-Vouch-Idp-Accesstoken", "X-Vouch-Idp-Idtoken"},
	},
}

// own are all headers of the layer, that of the address first.
func (p headerPreset) own() []string {
	all := append([]string{p.email, p.id, p.full, p.first, p.last, p.assertion}, p.also...)
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
	for _, row := range identity.Presets() {
		known[row.Name] = true
		var tested []string
		switch p, ok := ofHeaders[row.Name]; {
		case row.NeedsTrust() && !ok:
			t.Errorf("%s is not among the presets of headers", row.Name)
		case row.NeedsTrust():
			tested = p.own()
			for _, o := range []struct {
				option string
				read   identity.Source
				sent   string
			}{
				{"user_id", row.Sources.UserID, p.id}, {"name", row.Sources.Name, p.full},
				{"first_name", row.Sources.FirstName, p.first}, {"last_name", row.Sources.LastName, p.last},
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
		if ok && !slices.Contains(tested, p.header) {
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

// otherwise are the ways to write a name beyond ASCII: all but the first have
// been met in headers.
var otherwise = map[string]func(string) string{
	"UTF-8":                func(s string) string { return s },
	"Latin-1":              latin1,
	"RFC 2047 Q":           func(s string) string { return mime.QEncoding.Encode("utf-8", s) },
	"RFC 2047 B":           func(s string) string { return mime.BEncoding.Encode("utf-8", s) },
	"RFC 2047 Latin-1":     func(s string) string { return mime.QEncoding.Encode("iso-8859-1", latin1(s)) },
	"RFC 5987":             func(s string) string { return "UTF-8''" + url.PathEscape(s) },
	"doubly encoded":       doubled(charmap.ISO8859_1),
	"doubly encoded, 1252": doubled(charmap.Windows1252),
}

// latin1 is text in Latin-1.
func latin1(s string) string {
	b, err := charmap.ISO8859_1.NewEncoder().String(s)
	if err != nil {
		panic(err)
	}
	return b
}

// doubled encodes UTF-8 once more, taking it for something else.
func doubled(m *charmap.Charmap) func(string) string {
	return func(s string) string {
		again, err := m.NewDecoder().String(s)
		if err != nil {
			panic(err)
		}
		return again
	}
}

func TestPresetsOfHeaders(t *testing.T) {
	for _, p := range headerPresets {
		t.Run(p.name, func(t *testing.T) {
			p.behind(t, func(t *testing.T, b place) {
				first, last := p.names(ada)
				b.say(ada)
				b.granted(t, "ada@x.example", path)
				b.named(t, "ada@x.example", first, last)
				b.say(ada.nameless().with("noname@x.example"))
				b.granted(t, "noname@x.example", path) // names are optional
				b.named(t, "noname@x.example", "", "")
				b.say(person{email: "noid@x.example"})
				b.granted(t, "noid@x.example", path)
				// The address goes as it came.
				b.say(person{email: "Zoë.O'Neil+x@X.Example"})
				b.granted(t, "Zoë.O'Neil+x@X.Example", path)

				unusable(t, b)
				differentlyNamed(t, b)
				b.quiet(t, "@x.example", "@X.Example", "Zo", "ngstr", "id-of", "Also")
			})
		})
	}
}

// unusable lets the layer say what makes nobody a user.
func unusable(t *testing.T, b place) {
	t.Helper()
	p, nobody := b.p, ada.with(nil)
	alias := func(separators ...string) http.Header {
		h := p.says(nobody)
		for name, values := range p.says(ada) {
			h[replaceEach(name, separators)] = values
		}
		return h
	}
	without := p.says(nobody)
	delete(without, p.email) // also where it is a document
	type said struct {
		code string
		http.Header
	}
	cases := map[string]said{
		"nothing":          {"identity_missing", nil},
		"no address":       {"identity_missing", p.says(nobody)},
		"no header":        {"identity_missing", without},
		"empty":            {"identity_missing", p.says(ada.with(""))},
		"blank":            {"identity_missing", p.says(ada.with("  "))},
		"an empty header":  {"identity_missing", with(p.says(nobody), p.email, "")},
		"a blank header":   {"identity_missing", with(p.says(nobody), p.email, " ")},
		"underscores":      {"identity_missing", alias("_")},
		"dots":             {"identity_missing", alias(".")},
		"both":             {"identity_missing", alias("_", ".")},
		"one underscore":   {"identity_missing", alias("_", "-")},
		"a list":           {"identity_invalid", p.says(ada.with("ada@x.example,bob@x.example"))},
		"a list, spaced":   {"identity_invalid", p.says(ada.with("ada@x.example, bob@x.example"))},
		"a list of marked": {"identity_invalid", p.says(ada.with("ada@x.example," + p.mark + "bob@x.example"))},
		"an empty first":   {"identity_invalid", p.says(ada.with("," + p.mark + "bob@x.example"))},
		"a login":          {"identity_invalid", p.says(ada.with("ada"))},
		"a display name":   {"identity_invalid", p.says(ada.with("Ada <ada@x.example>"))},
		"two in one":       {"identity_invalid", p.says(ada.with("ada@x.example@evil.example"))},
		"a placeholder":    {"identity_invalid", p.says(ada.with("{http.request.host}@x.example"))},
		"an invisible one": {"identity_invalid", p.says(ada.with("ada\u200b@x.example"))},
	}
	if p.document == nil { // JSON has no other bytes than UTF-8
		cases["Latin-1"] = said{"identity_invalid", p.says(ada.with("zo\xeb@x.example"))}
	}
	if p.logins {
		cases["a login elsewhere"] = said{"identity_invalid", p.says(ada.with("ada@github"))}
		cases["a passkey"] = said{"identity_invalid", p.says(ada.with("ada@passkey"))}
	}
	if p.document != nil {
		for name, code := range map[string]string{`[]`: "identity_missing", `{}`: "identity_missing", `{"email":null}`: "identity_missing", `7`: "identity_invalid", `{`: "identity_invalid",
			`{"email":"a@x.example","email":"b@x.example"}`: "identity_invalid", `{"claims":[],"claims":[]}`: "identity_invalid", `{"email":"a@x.example"} {}`: "identity_invalid"} {
			cases["the document "+name] = said{code, with(p.says(nobody), p.email, base64.StdEncoding.EncodeToString([]byte(name)))}
		}
		cases["a bare address"] = said{"identity_invalid", with(p.says(nobody), p.email, "ada@x.example")}
		cases["a list of two"] = said{"identity_invalid", p.says(ada.with([]any{"ada@x.example", "bob@x.example"}))}
		cases["the same twice"] = said{"identity_invalid", p.says(ada.with([]any{"ada@x.example", "ada@x.example"}))}
		cases["an object"] = said{"identity_invalid", p.says(ada.with(map[string]any{"value": "ada@x.example"}))}
		cases["a number"] = said{"identity_invalid", p.says(ada.with(7))}
		cases["true"] = said{"identity_invalid", p.says(ada.with(true))}
	}
	twice := "identity_ambiguous"
	if b.joins {
		twice = "identity_invalid"
	}
	bob := ada.with("bob@x.example")
	cases["twice"] = said{twice, p.both(ada, bob)}
	cases["the same header twice"] = said{twice, p.both(ada, ada)}
	for name, c := range cases {
		b.saysWith(p.status, c.Header)
		before := len(b.huma.Calls().Calls)
		a := b.request("GET", path)
		if a.StatusCode != 401 || !strings.Contains(string(a.Body), c.code) {
			t.Errorf("%s: status %d, want 401 %s: %s", name, a.StatusCode, c.code, a.Body)
		}
		b.untouched(t, before)
	}
	// An empty line beside another one is one header too many, where it gets
	// here as such.
	b.saysWith(p.status, p.both(ada.with(""), bob))
	if a := b.request("GET", path); a.StatusCode != 401 {
		t.Errorf("an empty line and another: status %d: %s", a.StatusCode, a.Body)
	}
	// A preset is closed: another layer's headers are not read.
	for _, other := range headerPresets {
		if other.name != p.name {
			b.saysWith(p.status, other.says(ada))
			b.refused(t, 401, "identity_missing", path)
		}
	}
}

// differentlyNamed lets the layer write names in every way there is.
func differentlyNamed(t *testing.T, b place) {
	t.Helper()
	p, n := b.p, 0
	check := func(what string, sent person, first, last string) {
		t.Helper()
		n++
		email := fmt.Sprintf("named-%d@x.example", n)
		b.say(sent.with(email))
		b.granted(t, email, path)
		if f, _ := p.names(person{first: "-"}); f == "" {
			first, last = "", "" // it sends none
		}
		b.named(t, email, first, last)
		if t.Failed() {
			t.Fatalf("as %s: %q", what, sent)
		}
	}
	for how, write := range otherwise {
		if p.document != nil && how == "Latin-1" {
			continue // JSON is UTF-8
		}
		check(how, person{name: write("Zoë Ångström"), first: write("Zoë"), last: write("Ångström")}, "Zoë", "Ångström")
	}
	for how, write := range otherwise {
		if strings.Contains(how, "Latin-1") || strings.Contains(how, "1252") {
			continue // it has no such characters
		}
		check(how, person{name: write("张伟"), first: write("张伟")}, "张伟", "")
	}
	check("what is no encoding", person{name: "100% Bob", first: "100%", last: "Bob"}, "100%", "Bob")
	check("what is not seen", person{name: "Zo\u202eë\u200b Ång\u2066ström", first: "Zo\u202eë\u200b", last: "Ång\u2066ström"}, "Zoë", "Ångström")
	check("a placeholder", person{name: "{env.HOME} {http.request.host}", first: "{env.HOME}", last: "{http.request.host}"}, "{env.HOME}", "{http.request.host}")
	switch {
	case p.full != "" || p.document != nil:
		check("nothing but a name", person{name: "Zoë van Ångström"}, "Zoë van", "Ångström")
		if p.first != "" || p.document != nil {
			check("a name beside first and last", person{name: "Somebody Else", first: "Zoë", last: "Ångström"}, "Zoë", "Ångström")
		}
	case p.first != "":
		check("several, joined", person{first: "Zoë,Zo", last: "Ångström,Miller"}, "Zoë", "Ångström")
	}
}

// replaceEach replaces the hyphens of a name by separators in turn.
func replaceEach(name string, separators []string) string {
	parts := strings.Split(name, "-")
	text := parts[0]
	for i, part := range parts[1:] {
		text += separators[i%len(separators)] + part
	}
	return text
}

// with adds a header.
func with(h http.Header, name, value string) http.Header {
	h[name] = []string{value}
	return h
}

// The claims that Azure may write an address into.
func TestPresetAzureClaims(t *testing.T) {
	const email = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"
	p := headerPresets[slices.IndexFunc(headerPresets, func(p headerPreset) bool { return p.name == "azure_easy_auth" })]
	p.behind(t, func(t *testing.T, b place) {
		say := func(claims ...any) {
			principal := base64.StdEncoding.EncodeToString(document(map[string]any{"claims": claims}))
			b.saysWith(200, http.Header{p.email: {principal}, "X-Ms-Client-Principal-Name": {"also@x.example"}})
		}
		for _, typ := range []string{"email", "preferred_username", "upn", email, "https://other.example/claims/emailaddress"} {
			say(claim("roles", "a"), claim(typ, "ada@x.example"))
			b.granted(t, "ada@x.example", path)
			say(claim(typ, "ada@x.example"), claim(typ, "bob@x.example"))
			b.refused(t, 401, "identity_invalid", path)
		}
		// In their order, and never the next one where one is unusable.
		say(claim(email, "4@x.example"), claim("upn", "3@x.example"), claim("preferred_username", "2@x.example"), claim("email", "1@x.example"))
		b.granted(t, "1@x.example", path)
		say(claim("upn", "3@x.example"), claim("preferred_username", "2@x.example"))
		b.granted(t, "2@x.example", path)
		say(claim("email", ""), claim("upn", "3@x.example"))
		b.refused(t, 401, "identity_missing", path)
		say(claim("email", "ada"), claim("upn", "3@x.example"))
		b.refused(t, 401, "identity_invalid", path)
		say(claim(email, "1@x.example"), claim("https://other.example/claims/emailaddress", "2@x.example"))
		b.refused(t, 401, "identity_invalid", path)
		say(claim("email", "ada@x.example"), claim("email_verified", "false"))
		b.refused(t, 403, "email_unverified", path)
		// Others are not read, whatever they are called.
		say(claim("Email", "ada@x.example"), claim("emails", "ada@x.example"), claim("emailaddress", "ada@x.example"), claim("claims/emailaddress", "ada@x.example"),
			claim("http://x.example/emailaddress", "ada@x.example"), claim("email ", "ada@x.example"), claim("x/claims/emailaddress/y", "ada@x.example"), claim("", "ada@x.example"))
		b.refused(t, 401, "identity_missing", path)
		b.saysWith(200, http.Header{p.email: {base64.StdEncoding.EncodeToString([]byte(`{"email":"ada@x.example","claims":{"email":"ada@x.example"}}`))}})
		b.refused(t, 401, "identity_missing", path)
		b.quiet(t, "@x.example")
	})
}

func TestPresetBasicAuth(t *testing.T) {
	d := open(t, `SITE {
		basic_auth {
			alice@x.example $2a$04$.PHAZ.x6qNFPpNuAw5kU6.oPUtFK/b5dYzllf6EgITKl1Ip.c3Yly
			zoë@x.example $2a$04$.PHAZ.x6qNFPpNuAw5kU6.oPUtFK/b5dYzllf6EgITKl1Ip.c3Yly
			alice@x.example,zoë@x.example $2a$04$.PHAZ.x6qNFPpNuAw5kU6.oPUtFK/b5dYzllf6EgITKl1Ip.c3Yly
			bob $2a$04$.PHAZ.x6qNFPpNuAw5kU6.oPUtFK/b5dYzllf6EgITKl1Ip.c3Yly
		}
		huma_token {
			HUMA
			identity basic_auth
		}
	}`)
	for _, account := range []string{"alice@x.example", "zoë@x.example"} {
		d.granted(t, account, path, password(account))
		d.named(t, account, "", "")
	}
	d.refused(t, 401, "identity_invalid", path, password("bob")) // an account that is no address
	d.refused(t, 401, "identity_invalid", path, password("alice@x.example,zoë@x.example"))
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

// portalUsers are further sessions, which may be named in ways that a config
// cannot hold.
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

// placeholderPreset is a plugin that says in placeholders who the user is: the
// keys of what it knows of them. The key id is the user's own.
type placeholderPreset struct {
	name                         string
	email, id, full, first, last string
	logins                       bool
}

var placeholderPresets = []placeholderPreset{
	{name: "caddy_jwt", email: "email", id: "id", full: "name", first: "given_name", last: "family_name"},
	{name: "caddy_security", email: "email", id: "sub", full: "name"},
	{name: "caddy_tailscale", email: "tailscale_user", id: "id", full: "tailscale_name", logins: true},
}

// site is a site behind the plugin.
func (p placeholderPreset) site() string {
	return "SITE {\ntest_portal\nhuma_token {\nHUMA\nidentity " + p.name + "\n}\n}"
}

// signsIn opens a session for a person, as the plugin describes them.
func (p placeholderPreset) signsIn(t testing.TB, who person) func(*http.Request) {
	// Beside the address there are others, none of which is to be taken for it.
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
			d.granted(t, "ada@x.example", path, p.signsIn(t, ada))
			d.named(t, "ada@x.example", "Zoë", "Ångström")
			d.granted(t, "noname@x.example", path, p.signsIn(t, person{email: "noname@x.example"}))
			d.named(t, "noname@x.example", "", "")
			for n, c := range []struct {
				email any
				code  string
			}{
				{nil, "identity_missing"}, {"", "identity_missing"}, {" ", "identity_missing"}, {"\t\r\n", "identity_missing"}, {"\u3000", "identity_missing"},
				{"ada@x.example,bob@x.example", "identity_invalid"}, {"ada@x.example bob@x.example", "identity_invalid"}, {"ada", "identity_invalid"},
				{"ada@x.example\n", "identity_invalid"}, {"ada@x.example\x00", "identity_invalid"}, {"zo\xeb@x.example", "identity_invalid"}, {"{env.HOME}@x.example", "identity_invalid"},
				{"{http.auth.user.id}", "identity_invalid"}, {"accounts.google.com:ada@x.example", "identity_invalid"},
			} {
				a := d.request("GET", path, p.signsIn(t, ada.with(c.email)))
				if a.StatusCode != 401 || !strings.Contains(string(a.Body), c.code) {
					t.Errorf("%d: %q: status %d, want 401 %s: %s", n, c.email, a.StatusCode, c.code, a.Body)
				}
			}
			for _, login := range []string{"ada@github", "ada@passkey"} {
				if p.logins {
					d.refused(t, 401, "identity_invalid", path, p.signsIn(t, ada.with(login)))
				}
			}
			// Of two sessions the first one counts.
			bob := p.signsIn(t, ada.with("bob@x.example"))
			d.granted(t, "bob@x.example", path, bob, p.signsIn(t, ada))
			d.stopped(t, 401, path, session("unknown"), bob)
			d.stopped(t, 401, path)
			n := 0
			for how, write := range otherwise {
				n++
				email := fmt.Sprintf("named-%d@x.example", n)
				d.granted(t, email, path, p.signsIn(t, person{email: email, name: write("Zoë Ångström"), first: write("Zoë"), last: write("Ångström")}))
				d.named(t, email, "Zoë", "Ångström")
				if t.Failed() {
					t.Fatalf("names as %s", how)
				}
			}
			d.quiet(t, "@x.example", "Zo", "ngstr", "id-of")
		})
	}
}

func TestPresetCaddySecurity(t *testing.T) {
	d := open(t, portalSite)
	d.granted(t, "ada@x.example", path, session("ada"))
	d.named(t, "ada@x.example", "Zoë van", "Ångström")
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
