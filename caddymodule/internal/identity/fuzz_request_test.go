package identity_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// known are placeholders with their values.
type known map[string]any

func (k known) Get(name string) (any, bool) {
	value, ok := k[name]
	return value, ok
}

// testRequest is a request with everything that an Identifier can read.
type testRequest struct {
	header http.Header
	known  known
	// flags describe the connection.
	flags byte
}

func (a testRequest) is(flags byte) bool { return a.flags&flags == flags }

// request returns the Request for an Identifier.
func (a testRequest) request() *identity.Request {
	r := &identity.Request{Host: "site.example", Header: a.header, Placeholders: a.known, RemoteAddr: "203.0.113.9:4711"}
	if a.is(peerWithin) {
		r.RemoteAddr = "10.1.2.3:4711"
	}
	if a.is(overTLS) {
		r.TLS = &tls.ConnectionState{HandshakeComplete: a.is(handshakeComplete)}
		if a.is(verifiedChain) {
			r.TLS.VerifiedChains = [][]*x509.Certificate{{{}}}
		}
	}
	r.TrustedProxy = a.is(serverTrusts)
	return r
}

// lines parses the lines of a header as a server does. If a server would reject them,
// they are taken over unchanged.
func lines(text string) http.Header {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nHost: x\r\n" + text + "\r\n\r\n")))
	if err == nil {
		return r.Header
	}
	h := http.Header{}
	for line := range strings.SplitSeq(text, "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			h[name] = append(h[name], value)
		}
	}
	return h
}

// oneText returns a value as text if it is exactly one.
func oneText(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case []string:
		if len(v) == 1 {
			return v[0], true
		}
	case []any:
		if len(v) == 1 {
			text, ok := v[0].(string)
			return text, ok
		}
	}
	return "", false
}

// seeds returns seeds of the fuzz test: head, response and placeholders.
func seeds(s testConfig) (all [][3]string) {
	add := func(r reading, texts ...string) {
		for _, text := range texts {
			line := r.from + ": " + text + "\r\n"
			switch {
			case strings.HasPrefix(r.from, "{"):
				all = append(all, [3]string{"", "", "http.auth.user.id=ada\n" + strings.Trim(r.from, "{}") + "=" + text + "\n"})
			case s.mode == identity.TrustForwardAuth:
				all = append(all, [3]string{"", line, ""})
			default:
				all = append(all, [3]string{line, "", ""})
			}
		}
	}
	const doc = `{"claims":[{"typ":"email","val":"ada@x.example"},{"typ":"name","val":"Ada Lovelace"}],"data":[{"id":7}],"email":"ada@x.example","name":"Ada Lovelace","sub":"17","user":{"email":"ada@x.example","name":"Ada Lovelace"},"username":"ada@x.example"}`
	signed := "good." + base64.RawURLEncoding.EncodeToString([]byte(doc)) + ".good"
	encoded := base64.StdEncoding.EncodeToString([]byte(doc))
	good := slices.DeleteFunc([]string{"ada@x.example", "a=b; __session=" + signed + "; c=d", "accounts.google.com:ada@x.example", doc, encoded, goodToken + doc, goodToken + verifiedDocument, "e30." + base64.RawURLEncoding.EncodeToString([]byte(doc)) + ".c2ln"}, func(text string) bool {
		value, _ := s.email.read(text)
		address, _ := oneText(value)
		return address != "ada@x.example"
	})
	add(s.email, good...)
	add(s.email, "ada@x.example,bob@x.example", "a:ada@x.example,a:bob@x.example", " ", `{"email":null}`, "list:ada@x.example", "list:a|b", "list:a@x.example|b@x.example", `json:["ada@x.example"]`, `json:["a@x.example","b@x.example"]`, `json:7`,
		"Ada <ada@x.example>", "ada@github", "Ada@X.Example", strings.ReplaceAll(doc, "ada@", "Ada@"))
	// Claims of Azure's App Service.
	entra := `{"auth_typ":"aad",` + doc[1:]
	for _, change := range [][2]string{
		{"", ""}, {`"typ":"email"`, `"typ":"upn"`}, {`"typ":"email"`, `"typ":"emails"`}, {`"typ":"email"`, `"typ":"http://x.example/claims/upn"`},
		{`{"typ":"email"`, `{"typ":"email","val":""},{"typ":"preferred_username"`}, {`{"typ":"email"`, `{"typ":"email","val":"ada@x.example"},{"typ":"email"`},
		{`"typ":"email","val":"ada@`, `"typ":"upn","val":"ada#EXT#@`}, {`"auth_typ":"aad"`, `"auth_typ":"google"`},
	} {
		add(s.email, strings.Replace(entra, change[0], change[1], 1))
	}
	for _, upn := range []string{`""`, `null`, `"ada"`, `["ada@x.example"]`, `"bob@x.example"`, `"ada@x.example","upn_verified":false`} {
		add(s.email, goodToken+`{"email":"ada@x.example","sub":"17","upn":`+upn+`}`)
	}
	if s.email.from == "Authorization" {
		add(s.email, providerSeeds()...)
	}
	if s.cookie != "" {
		add(s.email, "__session="+signed+"; __session="+signed, "__session; __session="+signed, "__session ="+signed, "__session=Bearer "+signed, `__session="`+signed+`"`, "__session="+signed+"\r\nCookie: __session="+signed, "a=b\r\nCookie: __session="+signed)
	}
	// Blanks around an address, and dots.
	add(s.email, "\t ada@x.example \t", "accounts.google.com: ada@x.example", "ada@x.example.", "ada@.x.example", "ada@\uff58.example", strings.ReplaceAll(doc, `"ada@x.example"`, `"\t ada@x.example "`))
	// Latin-1.
	add(s.email, strings.ReplaceAll(doc, "Ada Lovelace", "Lovelace, \xc4da"), strings.ReplaceAll(doc, "ada@", "\xe4da@"), "\xe4da@x.example")
	for _, bad := range []string{strings.ReplaceAll(doc, `"ada@x.example"`, `["a@x.example","b@x.example"]`), strings.ReplaceAll(doc, `"ada@x.example"`, `"a@x.example","email":"b@x.example","username":"b@x.example"`)} {
		add(s.email, bad, goodToken+bad)
	}
	// All sources at once, with a name.
	for i, text := range append(good, good...) {
		var both [3]string
		added := make(map[string]bool)
		for _, r := range s.readings() {
			value := text
			if added[r.from] || r.from == s.verified.from || r.from == s.denies.from { // see below
				continue
			}
			added[r.from] = true
			if r.from != s.email.from {
				value = []string{"Zoë, Zo", "Wm/DqyBabw=="}[i/len(good)]
				if r.from == s.id.from {
					value = goodID(s, doc, encoded, goodToken+doc, goodToken+verifiedDocument)
				}
				if _, ok := r.read(value); !ok {
					value = text // also the value in a document
				}
			}
			n := len(all)
			add(r, value)
			for j, part := range all[n] {
				both[j] += part
			}
			all = all[:n]
		}
		all = append(all, both)
		if s.denies.from != "" {
			for _, value := range []string{"true", "false", "0,1", "", "0001-01-01", "list:true|false", "json:false"} {
				n := len(all)
				add(s.denies, value)
				for j := range both {
					all[n][j] += both[j]
				}
			}
		}
	}
	if s.byID {
		add(s.id, "u-17", "u-17,u-18", ",", "a:u-17,a:u-18", "{user_id}", "(null)", "u\x01", strings.Repeat("u", 257), "list:u-17", "list:u-17|u-18", "json:7", doc, goodToken+doc,
			`{"data":[{"id":"u-17"},{"id":"u-18"}],"sub":1e3}`, goodToken+`{"sub":"u-17","email":"ada"}`, goodToken+`{"sub":"u-17","email":"ada@x.example","email_verified":false}`)
	}
	// The header twice, in other cases and spellings.
	if name := s.email.from; !strings.HasPrefix(name, "{") {
		text := fmt.Sprintf("%s: ada@x.example\r\n%s: bob@x.example\r\n%s: c@x.example\r\n%s: d@x.example\r\n e@x.example\r\n",
			name, strings.ToLower(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."))
		all = append(all, [3]string{text, "", ""}, [3]string{"", text, ""}, [3]string{text, name + ": ada@x.example\r\n", ""}, [3]string{name + ": ada@x.example\n" + name + ": bob@x.example\n", "", ""})
	}
	return all
}

// onlyRead returns the request with only what the config reads.
func (s *testConfig) onlyRead(a testRequest) testRequest {
	headers, placeholders := s.sources()
	only := testRequest{header: http.Header{}, known: known{}, flags: a.flags}
	for _, name := range headers {
		if values, ok := a.header[name]; ok {
			only.header[name] = values
		}
	}
	placeholders = append(placeholders, "http.reverse_proxy.status_code", "http.reverse_proxy.upstream.hostport")
	for _, name := range placeholders {
		if value, ok := a.known[name]; ok {
			only.known[name] = value
		}
	}
	return only
}

// withForged returns the request with additional headers of all layers and their aliases,
// from the client and from an auth server, and placeholders. Each of them names another
// user.
func (s *testConfig) withForged(a testRequest, everything testRequest) testRequest {
	headers, placeholders := s.sources()
	more := testRequest{header: maps.Clone(a.header), known: maps.Clone(a.known), flags: a.flags}
	for name, values := range everything.header {
		if !slices.Contains(headers, name) {
			more.header[name] = values
		}
	}
	for name, value := range everything.known {
		if !slices.Contains(placeholders, name) {
			more.known[name] = value
		}
	}
	return more
}

// forgedRequest returns the headers of all layers and placeholders, with the values of
// another user (mallory).
func forgedRequest(all []testConfig) testRequest {
	const address = "mallory@evil.example"
	doc := `{"claims":[{"typ":"email","val":"` + address + `"},{"typ":"name","val":"Mallory Evil"}],"data":[{"id":7}],"email":"` + address +
		`","name":"Mallory Evil","sub":"` + address + `","user":{"email":"` + address + `","name":"Mallory Evil"},"username":"` + address + `"}`
	a := testRequest{header: http.Header{}, known: known{}}
	put := func(r reading) {
		value := address
		for _, other := range []string{doc, goodToken + doc} {
			if _, ok := r.read(address); ok {
				break
			}
			value = other
			if v, ok := r.read(other); ok && v != nil {
				break
			}
		}
		if placeholder, closed := strings.CutSuffix(r.from, "}"); closed {
			a.known[placeholder[1:]] = value
			return
		}
		for _, name := range []string{r.from, strings.ToLower(r.from), strings.ReplaceAll(r.from, "-", "_"), strings.ReplaceAll(r.from, "-", ".")} {
			a.header[name] = []string{value}
		}
		a.known[responsePrefix+r.from], a.known["http.request.header."+r.from] = value, value
	}
	for _, s := range all {
		for _, r := range s.readings() {
			put(r)
		}
	}
	for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "Connection"} {
		a.header[name] = []string{"10.0.0.1"}
	}
	for _, name := range []string{"http.auth.candidate.id", "http.request.cookie.email", "http.request.uri.query.email", "http.vars.client_ip", "email"} {
		a.known[name] = address
	}
	return a
}
