package caddymodule_test

import (
	"encoding/base64"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func TestPresetsOfHeaders(t *testing.T) {
	for n, p := range headerPresets {
		if testutil.Race && n%3 != 0 { // the detector runs on a part: one request follows the other
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			p.eachSetup(t, func(t *testing.T, b presetSite) {
				first, last := p.names(ada)
				b.setUser(ada)
				b.wantTokenOf(t, "ada@x.example", path)
				b.wantNames(t, "ada@x.example", first, last)
				b.setUser(ada.nameless().with("noname@x.example"))
				b.wantTokenOf(t, "noname@x.example", path) // names are optional
				b.wantNames(t, "noname@x.example", "", "")
				b.setUser(person{email: "noid@x.example"})
				b.wantTokenOf(t, "noid@x.example", path)
				// The address is not changed.
				b.setUser(person{email: "Zoë.O'Neil+x@X.Example"})
				b.wantTokenOf(t, "Zoë.O'Neil+x@X.Example", path)

				checkUnverified(t, b)
				checkUnusable(t, b)
				checkNames(t, b)
				b.notLogged(t, "@x.example", "@X.Example", "Zo", "ngstr", "id-of", "Also")
			})
		})
	}
}

// checkUnverified checks the header that says whether the address is verified. Only a
// denial rejects the user.
func checkUnverified(t *testing.T, b presetSite) {
	t.Helper()
	if b.p.verified == "" {
		return
	}
	who := ada.with("verified@x.example")
	for value, ok := range map[string]bool{"true": true, "": true, "1": true, "false": false, "False": false, "0": false} {
		b.setResponse(b.p.status, withHeader(b.p.headers(who), b.p.verified, value))
		if ok {
			b.wantTokenOf(t, "verified@x.example", path)
		} else {
			b.wantRejection(t, 403, "email_unverified", path, header(b.p.verified, "true"))
		}
	}
	b.setResponse(b.p.status, http.Header{b.p.email: b.p.headers(who)[b.p.email], b.p.verified: {"true", "false"}})
	b.wantRejection(t, 403, "email_unverified", path)
	silent := b.p.headers(who)
	delete(silent, b.p.verified)
	b.setResponse(b.p.status, silent)
	b.wantTokenOf(t, "verified@x.example", path)
}

// checkUnusable checks headers of the layer that do not identify a user.
func checkUnusable(t *testing.T, b presetSite) {
	t.Helper()
	p, noUser := b.p, ada.with(nil)
	alias := func(separators ...string) http.Header {
		h := p.headers(noUser)
		for name, values := range p.headers(ada) {
			h[replaceEach(name, separators)] = values
		}
		return h
	}
	without := p.headers(noUser)
	delete(without, p.email) // also if the preset has a document
	type rejection struct {
		code string
		http.Header
	}
	cases := map[string]rejection{
		"nothing":          {"identity_missing", nil},
		"no address":       {"identity_missing", p.headers(noUser)},
		"no header":        {"identity_missing", without},
		"empty":            {"identity_missing", p.headers(ada.with(""))},
		"blank":            {"identity_missing", p.headers(ada.with("  "))},
		"an empty header":  {"identity_missing", withHeader(p.headers(noUser), p.email, "")},
		"a blank header":   {"identity_missing", withHeader(p.headers(noUser), p.email, " ")},
		"underscores":      {"identity_missing", alias("_")},
		"dots":             {"identity_missing", alias(".")},
		"both":             {"identity_missing", alias("_", ".")},
		"one underscore":   {"identity_missing", alias("_", "-")},
		"a list":           {"identity_invalid", p.headers(ada.with("ada@x.example,bob@x.example"))},
		"a list, spaced":   {"identity_invalid", p.headers(ada.with("ada@x.example, bob@x.example"))},
		"a list of marked": {"identity_invalid", p.headers(ada.with("ada@x.example," + p.mark + "bob@x.example"))},
		"an empty first":   {"identity_invalid", p.headers(ada.with("," + p.mark + "bob@x.example"))},
		"a login":          {"identity_invalid", p.headers(ada.with("ada"))},
		"a display name":   {"identity_invalid", p.headers(ada.with("Ada <ada@x.example>"))},
		"two in one":       {"identity_invalid", p.headers(ada.with("ada@x.example@evil.example"))},
		"a placeholder":    {"identity_invalid", p.headers(ada.with("{http.request.host}@x.example"))},
		"an invisible one": {"identity_invalid", p.headers(ada.with("ada\u200b@x.example"))},
	}
	if p.document == nil { // JSON is always UTF-8
		cases["Latin-1"] = rejection{"identity_invalid", p.headers(ada.with("zo\xeb@x.example"))}
	}
	if p.logins {
		cases["a login elsewhere"] = rejection{"identity_invalid", p.headers(ada.with("ada@github"))}
		cases["a passkey"] = rejection{"identity_invalid", p.headers(ada.with("ada@passkey"))}
	}
	if p.document != nil {
		for name, code := range map[string]string{`[]`: "identity_missing", `{}`: "identity_missing", `{"email":null}`: "identity_missing", `7`: "identity_invalid", `{`: "identity_invalid",
			`{"email":"a@x.example","email":"b@x.example"}`: "identity_invalid", `{"claims":[],"claims":[]}`: "identity_invalid", `{"email":"a@x.example"} {}`: "identity_invalid"} {
			cases["the document "+name] = rejection{code, withHeader(p.headers(noUser), p.email, base64.StdEncoding.EncodeToString([]byte(name)))}
		}
		cases["a bare address"] = rejection{"identity_invalid", withHeader(p.headers(noUser), p.email, "ada@x.example")}
		cases["a list of two"] = rejection{"identity_invalid", p.headers(ada.with([]any{"ada@x.example", "bob@x.example"}))}
		if p.name != "azure_easy_auth" { // equal claims count as one
			cases["the same twice"] = rejection{"identity_invalid", p.headers(ada.with([]any{"ada@x.example", "ada@x.example"}))}
		}
		cases["an object"] = rejection{"identity_invalid", p.headers(ada.with(map[string]any{"value": "ada@x.example"}))}
		cases["a number"] = rejection{"identity_invalid", p.headers(ada.with(7))}
		cases["true"] = rejection{"identity_invalid", p.headers(ada.with(true))}
	}
	twice := "identity_ambiguous"
	if b.joinsHeaders {
		twice = "identity_invalid"
	}
	bob := ada.with("bob@x.example")
	cases["twice"] = rejection{twice, p.headersOfTwo(ada, bob)}
	cases["the same header twice"] = rejection{twice, p.headersOfTwo(ada, ada)}
	for name, c := range cases {
		b.setResponse(p.status, c.Header)
		before := len(b.huma.Calls().Calls)
		a := b.request("GET", path)
		if a.StatusCode != 401 || !strings.Contains(string(a.Body), c.code) {
			t.Errorf("%s: status %d, want 401 %s: %s", name, a.StatusCode, c.code, a.Body)
		}
		b.wantNoCalls(t, before)
	}
	// An empty header line next to another one is one too many, unless a proxy removes
	// it.
	b.setResponse(p.status, p.headersOfTwo(ada.with(""), bob))
	if a := b.request("GET", path); a.StatusCode != 401 {
		t.Errorf("an empty line and another one: status %d: %s", a.StatusCode, a.Body)
	}
	// The headers of other layers are not read.
	for _, other := range headerPresets {
		if other.name != p.name {
			b.setResponse(p.status, other.headers(ada))
			b.wantRejection(t, 401, "identity_missing", path)
		}
	}
}

// checkNames checks names in some encodings. The tests of internal/names have the others.
func checkNames(t *testing.T, b presetSite) {
	t.Helper()
	p, n := b.p, 0
	check := func(what string, sent person, first, last string) {
		t.Helper()
		n++
		email := fmt.Sprintf("named-%d@x.example", n)
		b.setUser(sent.with(email))
		b.wantTokenOf(t, email, path)
		if f, _ := p.names(person{first: "-"}); f == "" {
			first, last = "", "" // the layer sends no names
		}
		b.wantNames(t, email, first, last)
		if t.Failed() {
			t.Fatalf("as %s: %q", what, sent)
		}
	}
	check("UTF-8", person{name: "Zoë Ångström", first: "Zoë", last: "Ångström"}, "Zoë", "Ångström")
	check("UTF-8", person{name: "张伟", first: "张伟"}, "张伟", "")
	encode := func(s string) string { return mime.QEncoding.Encode("utf-8", s) }
	check("RFC 2047", person{name: encode("Zoë Ångström"), first: encode("Zoë"), last: encode("Ångström")}, "Zoë", "Ångström")
	if p.document == nil { // JSON is UTF-8
		check("Latin-1", person{name: "Zo\xeb \xc5ngstr\xf6m", first: "Zo\xeb", last: "\xc5ngstr\xf6m"}, "Zoë", "Ångström")
	}
	check("not an encoding", person{name: "100% Bob", first: "100%", last: "Bob"}, "100%", "Bob")
	check("invisible characters", person{name: "Zo\u202eë\u200b Ång\u2066ström", first: "Zo\u202eë\u200b", last: "Ång\u2066ström"}, "Zoë", "Ångström")
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

// replaceEach replaces the hyphens of a name by the separators in turn.
func replaceEach(name string, separators []string) string {
	parts := strings.Split(name, "-")
	text := parts[0]
	for i, part := range parts[1:] {
		text += separators[i%len(separators)] + part
	}
	return text
}

// withHeader sets a header and returns h.
func withHeader(h http.Header, name, value string) http.Header {
	h[name] = []string{value}
	return h
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
		d.wantTokenOf(t, account, path, password(account))
		d.wantNames(t, account, "", "")
	}
	d.wantRejection(t, 401, "identity_invalid", path, password("bob")) // an account that is not an address
	d.wantRejection(t, 401, "identity_invalid", path, password("alice@x.example,zoë@x.example"))
	// Caddy rejects unknown accounts, which takes about a second each.
	d.wantNoToken(t, 401, path, func(r *http.Request) { r.SetBasicAuth("alice@x.example", "") })
	d.wantNoToken(t, 401, path)
	// Caddy uses the first of two values.
	const right, wrong = "Basic YWxpY2VAeC5leGFtcGxlOndvbmRlcmxhbmQ=", "Basic YWxpY2VAeC5leGFtcGxlOndyb25n"
	d.wantNoToken(t, 401, path, header("Authorization", wrong), header("Authorization", right))
	d.wantTokenOf(t, "alice@x.example", path, header("Authorization", right), header("Authorization", wrong))
	d.notLogged(t, "@x.example")
}
