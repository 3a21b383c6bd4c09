package identity_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/names"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// testConfigs returns all presets with every trust that they load with, and configs
// without a preset. Those that read an id are added again with ByID.
func testConfigs(t testing.TB) (all []testConfig) {
	var add func(s testConfig, c identity.Config, with string)
	add = func(s testConfig, c identity.Config, with string) {
		if s.id.from != "" && !c.ByID {
			again, byID := s, c
			again.byID, byID.ByID = true, true
			add(again, byID, with+" by id")
		}
		c.Trust.Mode = s.mode
		if s.ranges {
			c.Trust.Ranges = []netip.Prefix{netip.MustParsePrefix(within)}
		}
		c.Trust.Upstream = s.upstream
		if c.Verify && c.Verifier == nil {
			c.Verifier = fakeVerifier{}
		}
		i, err := identity.New(c)
		if err != nil {
			t.Fatalf("%s %s: %v", s.name, with, err)
		}
		s.name, s.Identifier = s.name+" "+with, i
		all = append(all, s)
	}
	// withTrust adds a config with each trust.
	withTrust := func(s testConfig, c identity.Config) {
		for with, change := range map[string]func(*testConfig){
			"trust proxies, ranges":           func(s *testConfig) { s.mode, s.ranges = identity.TrustProxies, true },
			"trust proxies, the server's":     func(s *testConfig) { s.mode = identity.TrustProxies },
			"trust forward_auth":              func(s *testConfig) { s.mode = identity.TrustForwardAuth },
			"trust forward_auth, an upstream": func(s *testConfig) { s.mode, s.upstream = identity.TrustForwardAuth, authServer },
		} {
			s := s
			change(&s)
			add(s, c, with)
		}
	}
	for _, row := range presets.All() {
		plain, unsigned := documented[row.Name]
		token, signed := documentedTokens[row.Name]
		if row.Provider != nil {
			token, signed = documentedProviders[row.Name]
		}
		if unsigned != (row.Sources.Email.From != "") || signed != (row.Signed.Email.From != "") {
			t.Errorf("the preset %s has other sources than documented, documentedTokens and documentedProviders", row.Name)
		}
		plain.name, token.name = row.Name, row.Name+", verify"
		c := identity.Config{Preset: row.Name}
		switch {
		case unsigned && strings.HasPrefix(plain.email.from, "{"):
			add(plain, c, "")
		case unsigned:
			withTrust(plain, c)
		}
		if signed {
			c.Verify = true
			if row.Provider != nil && row.StatesNothing() {
				c.Verified = "assumed"
			}
			withTrust(token, c)
			token.any = true
			add(token, c, "from anyone")
		}
	}

	withTrust(testConfig{
		name: "a document", email: reading{"X-Doc", inDocument("user.email")}, id: reading{"X-Doc", inDocument("data.0.id")}, names: []reading{{"X-Doc", inDocument("user.name")}},
	}, identity.Config{Email: "x-doc user.email", UserID: "X-Doc data.0.id", Name: "X-Doc user.name"})
	withTrust(testConfig{
		name: "two documents", email: reading{"X-Doc", inDocument("user.email")}, id: reading{"X-Other", inDocument("data.0.id")}, names: []reading{{"X-Other", inDocument("user.name")}},
	}, identity.Config{Email: "X-Doc user.email", UserID: "X-Other data.0.id", Name: "X-Other user.name"})
	withTrust(testConfig{
		name: "authelia and domains", email: reading{"Remote-Email", asIs}, id: reading{"Remote-User", asIs}, names: []reading{{"Remote-Name", asIs}}, domain: "x.example",
	}, identity.Config{Preset: "authelia", Domains: []string{"X.example"}, NameEncoding: names.Percent})
	withTrust(testConfig{
		name: "verified", email: reading{"X-Email", asIs}, verified: reading{"X-Verified", asIs},
	}, identity.Config{Email: "X-Email", Verified: "X-Verified"})
	withTrust(testConfig{
		name: "verified, with an id", email: reading{"X-Email", asIs}, id: reading{"X-User", asIs}, verified: reading{"X-Verified", asIs},
	}, identity.Config{Email: "X-Email", UserID: "X-User", Verified: "X-Verified"})
	add(testConfig{name: "an assertion", any: true, email: reading{"Authorization", inToken("email")}, id: reading{"Authorization", inToken("sub")}},
		identity.Config{Email: "Authorization email", UserID: "Authorization sub", Verify: true}, "from anyone")
	add(testConfig{name: "several claims", any: true, email: reading{"Authorization", inToken("upn", "email")}, id: reading{"Authorization", inToken("oid", "sub")}},
		identity.Config{Email: "Authorization upn email", UserID: "Authorization oid sub", Verify: true}, "from anyone")
	add(testConfig{name: "a cookie", any: true, cookie: "__session", email: reading{"Cookie", inCookie("__session", "email")}, id: reading{"Cookie", inCookie("__session", "sub")}},
		identity.Config{Email: "{http.request.cookie.__session} email", UserID: "{http.request.cookie.__session} sub", Verify: true, Verifier: encodedVerifier{}}, "from anyone")
	add(testConfig{name: "a map", email: reading{"{user_email}", asIs}, id: reading{"{user_id}", asIs}, names: []reading{{"{user_name}", asIs}}},
		identity.Config{Email: "{user_email}", UserID: "{user_id}", Name: "{user_name}", NameEncoding: names.Base64}, "")
	add(testConfig{name: "a document in a variable", email: reading{"{http.vars.doc}", inDocument("email")}, id: reading{"{http.vars.doc}", inDocument("sub")}, names: []reading{{"{http.vars.doc}", inDocument("name")}}},
		identity.Config{Email: "{http.vars.doc} email", UserID: "{http.vars.doc} sub", Name: "{http.vars.doc} name"}, "")
	add(testConfig{name: "a certificate", email: reading{"{http.request.tls.client.san.emails}", asIs}, id: reading{"{http.request.tls.client.serial}", asIs}},
		identity.Config{Email: "{http.request.tls.client.san.emails}", UserID: "{http.request.tls.client.serial}"}, "")

	member := func(path string) reading {
		return reading{"Cookie", func(text string) (any, bool) {
			doc, ok := readJSON(text)
			return firstAt(doc, []string{path}), ok
		}}
	}
	for _, byID := range []bool{false, true} {
		i, err := identity.NewUserinfo(identity.UserinfoConfig{ByID: byID, Client: application{}, Email: "user.email", UserID: "data.0.id", Name: "user.name"})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, testConfig{name: fmt.Sprintf("userinfo, by id %t", byID), Identifier: i, byID: byID, any: true, email: member("user.email"), id: member("data.0.id"), names: []reading{member("user.name")}})
	}
	slices.SortFunc(all, func(a, b testConfig) int { return strings.Compare(a.name, b.name) })
	return all
}

// Flags of a request's connection.
const (
	peerWithin = 1 << iota
	overTLS
	handshakeComplete
	verifiedChain
	serverTrusts
	rightUpstream
	wrongUpstream

	usual = peerWithin | serverTrusts | rightUpstream | overTLS | handshakeComplete | verifiedChain
)

const responsePrefix = "http.reverse_proxy.header."

// parse builds a request from texts: the lines of its header and of an auth server's
// response, and placeholders with their values, one per line.
func parse(flags byte, head, response, placeholders string) testRequest {
	a := testRequest{header: lines(head), known: known{}, flags: flags}
	for line := range strings.SplitSeq(placeholders, "\n") {
		name, text, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		var value any = text
		switch kind, rest, _ := strings.Cut(text, ":"); kind {
		case "list":
			value = strings.Split(rest, "|")
		case "json":
			if json.Unmarshal([]byte(rest), &value) != nil {
				value = text
			}
		}
		a.known[name] = value
	}
	if response != "" {
		a.known["http.reverse_proxy.status_code"] = 200
		for name, values := range lines(response) {
			a.known[responsePrefix+name] = strings.Join(values, ",") // as Caddy does
		}
	}
	for flag, upstream := range map[byte]string{rightUpstream: strings.ToUpper(authServer), wrongUpstream: "other.example:80"} {
		if a.is(flag) {
			a.known["http.reverse_proxy.upstream.hostport"] = upstream
		}
	}
	return a
}

// at returns the value of a source, if the source is trusted.
func (s *testConfig) at(a testRequest, r reading) (any, bool) {
	name, closed := strings.CutSuffix(r.from, "}")
	switch {
	case r.from == "":
		return nil, false
	case closed && strings.HasPrefix(name, "{http.request.tls.client.") && !a.is(overTLS|verifiedChain):
		return nil, false
	case closed:
		value, ok := a.known[name[1:]]
		return value, ok
	case s.mode == identity.TrustForwardAuth:
		value, ok := a.known[responsePrefix+r.from]
		hostport, _ := a.known["http.reverse_proxy.upstream.hostport"].(string)
		return value, ok && (s.upstream == "" || strings.EqualFold(hostport, s.upstream))
	case !s.any:
		if a.is(overTLS) && !a.is(handshakeComplete) || s.ranges && !a.is(peerWithin) || !s.ranges && !a.is(serverTrusts) {
			return nil, false
		}
	}
	values := a.header[r.from]
	if s.cookie != "" && len(values) > 1 {
		values = []string{strings.Join(values, "; ")}
	}
	if len(values) != 1 {
		return nil, false
	}
	return values[0], true
}

// reads returns the value of a source: a text, or, in a document, a number.
func (s *testConfig) reads(a testRequest, r reading) (text string, number, ok bool) {
	value, ok := s.at(a, r)
	if !ok {
		return "", false, false
	}
	if text, ok = oneText(value); !ok {
		return "", false, false
	}
	if value, ok = r.read(text); !ok {
		return "", false, false
	}
	if n, ok := value.(json.Number); ok {
		return string(n), true, true
	}
	text, ok = oneText(value)
	return text, false, ok && strings.TrimSpace(text) != ""
}

// outcome is the result of identifying the user of a request.
type outcome struct {
	email, id, first, last string
	reason                 identity.Reason
}

func reveal(s masked.String) string { return s.Reveal() }

// outcome identifies the user of a request.
func (s *testConfig) outcome(t *testing.T, a testRequest) (o outcome) {
	r := a.request()
	user, err := s.Identify(t.Context(), r)
	if err != nil {
		var rejection *identity.Rejection
		if !errors.As(err, &rejection) || user != (identity.User{}) {
			t.Fatalf("%s: user %q with %v", s.name, reveal(user.Email), err)
		}
		return outcome{reason: rejection.Reason}
	}
	first, last := s.Names(t.Context(), r)
	o = outcome{email: reveal(user.Email), id: reveal(user.ID), first: reveal(first), last: reveal(last)}
	for _, f := range s.Explain(t.Context(), r) {
		if f.Option == "email" && reveal(f.Value) != o.email || f.Option == "user_id" && reveal(f.Value) != o.id {
			t.Fatalf("%s: %s is explained as %q, and the user is %+v", s.name, f.Option, reveal(f.Value), o)
		}
	}
	if key, want := string(user.AppendKey(nil)), s.key(o); key != want {
		t.Fatalf("%s: the key is %q, want %q", s.name, key, want)
	}
	return o
}

// readings returns all sources of a config, the address first.
func (s *testConfig) readings() []reading {
	return slices.DeleteFunc(append([]reading{s.email, s.id, s.verified, s.denies}, s.names...), func(r reading) bool { return r.from == "" })
}

// sources returns the headers and placeholders that a config reads.
func (s *testConfig) sources() (headers, placeholders []string) {
	for _, r := range s.readings() {
		switch {
		case strings.HasPrefix(r.from, "{"):
			placeholders = append(placeholders, strings.Trim(r.from, "{}"))
		case s.mode == identity.TrustForwardAuth:
			placeholders = append(placeholders, responsePrefix+r.from)
		default:
			headers = append(headers, r.from)
		}
	}
	return headers, placeholders
}

// isPlain reports whether an address is unambiguous.
func isPlain(s string) bool {
	local, domain, found := strings.Cut(s, "@")
	return found && local != "" && !strings.Contains("."+domain+".", "..") && !strings.Contains(domain, "@") && len(s) <= 254 && utf8.ValidString(s) &&
		!strings.ContainsAny(s, ",;:<>(){}\"") &&
		!strings.ContainsFunc(s, func(r rune) bool {
			return unicode.IsControl(r) || unicode.IsSpace(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
		})
}

// simple matches addresses that must be accepted.
var simple = regexp.MustCompile(`^[a-z0-9][a-z0-9.+_-]{0,40}@x\.example$`)

// FuzzIdentity sends arbitrary requests to every preset with every trust: headers, an
// auth server's response and values of placeholders. The user must be, byte for byte,
// the value of the configured source. Nothing else in the request may change the
// result.
func FuzzIdentity(f *testing.F) {
	all := testConfigs(f)
	noise := forgedRequest(all)
	for n, s := range all {
		// TestSeedsOfIdentity runs all seeds. Here they would take the time for new
		// inputs.
		some := seeds(s)
		for _, seed := range [][3]string{some[0], some[n%len(some)], some[len(some)-1-n%len(some)]} {
			f.Add(uint16(n), byte(usual), seed[0], seed[1], seed[2])
		}
	}
	f.Fuzz(func(t *testing.T, which uint16, flags byte, head, response, placeholders string) {
		all[int(which)%len(all)].try(t, parse(flags, head, response, placeholders), noise)
	})
}

// TestSeedsOfIdentity runs FuzzIdentity with all seeds. Every config must find a user,
// with a name if it reads one. Otherwise the fuzz test would not cover it.
func TestSeedsOfIdentity(t *testing.T) {
	all := testConfigs(t)
	noise := forgedRequest(all)
	for n, s := range all {
		found, named := false, s.names == nil
		for m, seed := range seeds(s) {
			if s.verified.from != "" {
				seed[0], seed[1] = seed[0]+"X-Verified: true\r\n", seed[1]+"X-Verified: true\r\n"
			}
			if flags := byte(1 << ((n + m) % 8)); !testutil.Race {
				if m/8%2 == 0 {
					flags = ^flags
				}
				s.try(t, parse(flags, seed[0], seed[1], seed[2]), noise)
			}
			got := s.try(t, parse(usual, seed[0], seed[1], seed[2]), noise)
			found, named = found || got.email == "ada@x.example", named || got.first != ""
		}
		if !found || !named {
			t.Errorf("%s: a user is found: %t, with a name: %t", s.name, found, named)
		}
	}
}
