package caddymodule_test

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// aliases returns all spellings of a header's name with other separators between its
// words.
func aliases(name string) []string {
	parts := strings.Split(name, "-")
	all := []string{parts[0]}
	for _, part := range parts[1:] {
		var longer []string
		for _, begun := range all {
			for _, separator := range []string{"-", "_", "."} {
				longer = append(longer, begun+separator+part)
			}
		}
		all = longer
	}
	return all[1:] // the first one is the name itself
}

// withHeaders returns an edit that adds headers to a request.
func withHeaders(headers ...http.Header) func(*http.Request) {
	return func(r *http.Request) {
		for _, h := range headers {
			for name, values := range h {
				r.Header[name] = append(r.Header[name], values...)
			}
		}
	}
}

// renameHeaders returns headers with changed names.
func renameHeaders(h http.Header, rename func(string) string) http.Header {
	other := http.Header{}
	for name, values := range h {
		other[rename(name)] = values
	}
	return other
}

// splitHeaders splits headers into parts that fit into a request, because servers limit
// the size.
func splitHeaders(h http.Header) (portions []http.Header) {
	const most = 6 << 10
	size := most
	for _, name := range slices.Sorted(maps.Keys(h)) {
		length := len(name) + len(h[name][0])
		if size += length; size > most {
			portions, size = append(portions, http.Header{}), length
		}
		portions[len(portions)-1][name] = h[name]
	}
	return portions
}

// withBody returns an edit that adds a body and trailers to a request.
func withBody(body string, trailer http.Header) func(*http.Request) {
	return func(r *http.Request) {
		r.Method, r.Body, r.ContentLength, r.Trailer = http.MethodPost, io.NopCloser(strings.NewReader(body)), -1, trailer
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
}

// spoofs returns requests with which a client might impersonate mallory@evil.example:
// with the headers of every layer in all spellings and in the format of the layer, and
// with other headers that could be confused with them.
func (p headerPreset) spoofs() map[string][]func(*http.Request) {
	email, address := p.email, mallory.email.(string)
	forged := p.headers(mallory)
	value := forged.Get(email)
	separated := func(separator string) func(*http.Request) {
		return withHeaders(renameHeaders(forged, func(name string) string { return strings.ReplaceAll(name, "-", separator) }))
	}
	allAliases := http.Header{}
	for _, alias := range aliases(email) {
		allAliases[alias] = []string{value}
	}
	portions := splitHeaders(allAliases)
	m := map[string][]func(*http.Request){
		"nothing":              nil,
		"its headers":          {withHeaders(forged)},
		"its header":           {header(email, value)},
		"a plain address":      {header(email, address)},
		"in small letters":     {withHeaders(renameHeaders(forged, strings.ToLower))},
		"in capitals":          {withHeaders(renameHeaders(forged, strings.ToUpper))},
		"twice":                {withHeaders(forged, p.headers(mallory.with("second@evil.example")))},
		"in two cases":         {withHeaders(renameHeaders(forged, strings.ToLower), renameHeaders(forged, strings.ToUpper))},
		"a list":               {header(email, value+","+value)},
		"empty":                {header(email, "")},
		"empty and its header": {header(email, ""), header(email, value)},
		"with underscores":     {separated("_")},
		"with dots":            {separated(".")},
		"with one underscore":  {withHeaders(renameHeaders(forged, func(name string) string { return strings.Replace(name, "-", "_", 1) }))},
		"with two hyphens":     {separated("--")},
		"header and aliases":   {withHeaders(forged, portions[0])},
		"as CGI has it":        {withHeaders(renameHeaders(forged, func(name string) string { return "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }))},
		"as another proxy has": {withHeaders(renameHeaders(forged, func(name string) string { return "X-Forwarded-" + name })), withHeaders(renameHeaders(forged, func(name string) string { return "X-" + name }))},
		"as hop-by-hop":        {header("Connection", strings.Join(p.own(), ", ")), withHeaders(forged)},
		"only as hop-by-hop":   {header("Connection", strings.Join(p.own(), ", "))},
		"a placeholder's name": {
			header("Http.reverse_proxy.header."+email, value), header("http.auth.user.id", address), header("http.auth.user.email", address),
			header("http-auth-user-id", address), header("http-reverse_proxy-header-"+email, value),
		},
		"a placeholder":      {header(email, "{http.request.header.X-Mallory}"), header("X-Mallory", value)},
		"the query":          {func(r *http.Request) { r.URL.RawQuery += "&email=" + address + "&" + email + "=" + address }},
		"a cookie":           {func(r *http.Request) { r.AddCookie(&http.Cookie{Name: email, Value: address}) }},
		"as a trusted proxy": {withHeaders(forged), header("X-Forwarded-For", "127.0.0.1"), header("Forwarded", "for=127.0.0.1"), header("X-Real-Ip", "127.0.0.1"), header("Via", "1.1 127.0.0.1")},
		"a rewritten target": {
			withHeaders(forged), header("X-Original-Url", "/"), header("X-Rewrite-Url", "/"), header("X-Forwarded-Uri", "/"), header("X-Forwarded-Method", "OPTIONS"),
			header("X-Forwarded-Host", "evil.example"), header("X-Http-Method-Override", "GET"),
		},
		"a bearer token": {withHeaders(forged), header("X-Auth-Token", address), header("X-Forwarded-Access-Token", address), header("X-Forwarded-Authorization", "Bearer "+address)},
		"an upgrade":     {withHeaders(forged), header("Connection", "Upgrade"), header("Upgrade", "websocket")},
		"a form":         {withHeaders(forged), withBody("client_type=ios&email="+address+"&"+email+"="+address, nil)},
		"a trailer":      {withBody("client_type=ios", forged)},
		"a long one":     {withHeaders(forged), header(email, strings.Repeat("a", 300)+"@evil.example")},
	}
	for n, portion := range portions {
		m[fmt.Sprint("with all separators ", n)] = []func(*http.Request){withHeaders(portion)}
		m[fmt.Sprint("with all separators, in small letters ", n)] = []func(*http.Request){withHeaders(renameHeaders(portion, strings.ToLower))}
	}
	var everything []func(*http.Request)
	for _, other := range headerPresets {
		everything = append(everything, withHeaders(other.headers(mallory)))
	}
	for _, other := range signedPresets {
		everything = append(everything, withHeaders(other.plain(mallory)))
	}
	for _, name := range []string{"X-User", "X-Email", "X-Remote-User", "X-Webauth-User", "From", "X-Token-User-Email", "Oidc-Claim-Email", "X-Userinfo", "X-Endpoint-Api-Userinfo"} {
		everything = append(everything, header(name, address))
	}
	m["the headers of every layer"] = everything
	if p.verified != "" { // only the layer may state whether an address is verified
		m["unverified"] = []func(*http.Request){header(p.verified, "false")}
	}
	others := http.Header{}
	for _, name := range p.others() {
		others[name] = []string{address}
	}
	m["an address as its other headers"] = []func(*http.Request){withHeaders(others)}
	forged = p.headers(mallory)
	forged.Del(email)
	m["its other headers"] = []func(*http.Request){withHeaders(forged)}
	return m
}

// TestSpoofHeaders checks that a request identifies the user of the layer or no user, and
// has the name of the layer or no name, with any headers of the client.
func TestSpoofHeaders(t *testing.T) {
	for _, p := range headerPresets {
		t.Run(p.name, func(t *testing.T) {
			first, last := p.names(ada)
			spoofs := p.spoofs()
			p.eachSetup(t, func(t *testing.T, b presetSite) {
				n := 0
				for name, edits := range spoofs {
					n++
					if testutil.Race && n%3 != 0 {
						continue
					}
					t.Run(name, func(t *testing.T) {
						full, plain := fmt.Sprintf("full-%d@x.example", n), fmt.Sprintf("plain-%d@x.example", n)
						b.setUser(ada.with(full))
						b.wantTokenOf(t, full, path+"?x=1", edits...)
						b.wantNames(t, full, first, last)
						b.setUser(person{email: plain})
						b.wantTokenOf(t, plain, path+"?x=1", edits...)
						b.wantNames(t, plain, "", "")
						b.setUser(ada.with(nil))
						b.wantRejection(t, 401, "identity_missing", path+"?x=1", edits...)
						b.clearUser()
						b.wantRejection(t, 401, "identity_missing", path+"?x=1", edits...)
						b.wantUsers(t, 2)
						b.huma.Reset() // reading a long call log takes time
					})
				}
				b.notLogged(t, "@x.example", "@evil.example", "Mallory", "Zo")
			})
		})
	}
}

// wantUsers checks the number of Huma's users, and that none of them is an attacker's.
func (d *testSite) wantUsers(t testing.TB, count int) {
	t.Helper()
	users := d.huma.Users()
	if len(users) != count {
		t.Errorf("%d users at Huma, want %d: %+v", len(users), count, users)
	}
	for _, u := range users {
		if text := strings.ToLower(fmt.Sprint(u)); !strings.HasSuffix(u.Email, "@x.example") || strings.Contains(text, "mallory") || strings.Contains(text, "evil") {
			t.Errorf("the attacker has created a user: %+v", u)
		}
	}
}

// TestSpoofBehindAProxyThatAdds uses a proxy that adds its headers instead of replacing
// the client's. A request that has the header of the address too is rejected, and one
// from a peer that is not trusted.
func TestSpoofBehindAProxyThatAdds(t *testing.T) {
	for _, p := range headerPresets {
		t.Run(p.name, func(t *testing.T) {
			// Without a proxy, a client does not identify a user.
			far := open(t, strings.Replace(trustingPreset(p.name), "127.0.0.1", "10.0.0.0/8", 1))
			far.wantRejection(t, 401, "identity_untrusted", path, withHeaders(p.headers(ada)), header("X-Forwarded-For", "10.0.0.1"))

			l := newLayer(t)
			d := open(t, trustingPreset(p.name))
			d = d.at(l.proxyTo(t, d.URL).URL)
			l.setResponse(p.status, p.headers(ada))
			forged := p.headers(mallory)
			d.wantRejection(t, 401, "identity_ambiguous", path, withHeaders(forged))
			d.wantRejection(t, 401, "identity_ambiguous", path, withHeaders(renameHeaders(forged, strings.ToLower)))
			d.wantRejection(t, 401, "identity_ambiguous", path, header(p.email, forged.Get(p.email)))
			d.wantRejection(t, 401, "identity_ambiguous", path, header(p.email, ""))
			d.wantRejection(t, 401, "identity_ambiguous", path, withHeaders(p.headers(ada))) // the same value twice is rejected, too
			// A name that occurs twice is not used.
			first, last := p.names(ada)
			forged.Del(p.email)
			d.wantTokenOf(t, "ada@x.example", path, withHeaders(forged))
			if p.verified != "" { // one denial is enough
				d.wantRejection(t, 403, "email_unverified", path, header(p.verified, "false"))
			}
			if p.document == nil {
				first, last = "", ""
			}
			d.wantNames(t, "ada@x.example", first, last)
			d.wantUsers(t, 1)
			d.notLogged(t, "@x.example", "@evil.example", "Mallory")
		})
	}
}

// TestSpoofAliasesThatAreLetThrough checks a server that accepts headers with underscores
// and dots, and drops those with hyphens.
func TestSpoofAliasesThatAreLetThrough(t *testing.T) {
	for _, p := range headerPresets {
		t.Run(p.name, func(t *testing.T) {
			forged := p.headers(mallory)
			var underscores, dots []string
			for name := range forged {
				underscores = append(underscores, strings.ReplaceAll(name, "-", "_"))
				dots = append(dots, strings.ReplaceAll(name, "-", "."))
			}
			letThrough := func(server map[string]any) {
				server["expected_underscore_headers"], server["expected_dot_headers"] = underscores, dots
			}
			edits := []func(*http.Request){
				withHeaders(forged), withHeaders(renameHeaders(forged, func(name string) string { return strings.ReplaceAll(name, "-", "_") })),
				withHeaders(renameHeaders(forged, func(name string) string { return strings.ReplaceAll(name, "-", ".") })),
			}
			// With trust proxies the config is invalid, because no header would be read.
			l := newLayer(t)
			d := openEdited(t, forwardAuth(l, "copy_headers "+strings.Join(p.own(), " "), "identity "+p.name), letThrough)
			l.setResponse(p.status, nil)
			d.wantRejection(t, 401, "identity_missing", path, edits...)
			l.setResponse(p.status, p.headers(ada))
			d.wantTokenOf(t, "ada@x.example", path, edits...)
			d.wantUsers(t, 1)
		})
	}
}

// TestI13_RandomHeaders checks that random headers in addition to the layer's have no
// effect.
func TestI13_RandomHeaders(t *testing.T) {
	for _, p := range headerPresets {
		t.Run(p.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 13))
			one := func(of []string) string { return of[random.IntN(len(of))] }
			names := []string{"Connection", "Forwarded", "Authorization", "Cookie", "Host", "Via", "X-Forwarded-For", "Cache-Control", "Accept", "Remote-User", "X-Mallory"}
			values := []string{"", " ", "x", "mallory@evil.example", "mallory@evil.example,second@evil.example", "{http.auth.user.id}", "\xff", "close", "keep-alive"}
			for _, other := range headerPresets {
				for name, sent := range other.headers(mallory) {
					names, values = append(names, name, strings.ToLower(name)), append(values, sent...)
				}
			}
			for _, name := range p.own() {
				names = append(append(names, name, strings.ToUpper(name)), aliases(name)...)
				values = append(values, name)
			}
			p.eachSetup(t, func(t *testing.T, b presetSite) {
				b.setUser(ada)
				b.wantTokenOf(t, "ada@x.example", path)
				count := 25
				if testutil.Race {
					count = 8
				}
				for range count {
					h := http.Header{}
					for range 1 + random.IntN(12) {
						name := one(names)
						h[name] = append(h[name], one(values))
					}
					b.setUser(ada)
					b.wantTokenOf(t, "ada@x.example", path, withHeaders(h))
					b.clearUser()
					b.wantRejection(t, 401, "identity_missing", path, withHeaders(h))
					if t.Failed() {
						t.Fatalf("with %q", h)
					}
				}
				b.wantUsers(t, 1)
			})
		})
	}
}
