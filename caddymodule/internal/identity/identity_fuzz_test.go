package identity_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/names"
)

// subjects are all presets with every trust that they load with, and configs
// without a preset; and all of them that read an id again, with ByID.
func subjects(t testing.TB) (all []subject) {
	var add func(s subject, c identity.Config, with string)
	add = func(s subject, c identity.Config, with string) {
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
		if c.Verify {
			c.Verifier = believer{}
		}
		i, err := identity.New(c)
		if err != nil {
			t.Fatalf("%s %s: %v", s.name, with, err)
		}
		s.name, s.Identifier = s.name+" "+with, i
		all = append(all, s)
	}
	// withTrust adds a config with each trust.
	withTrust := func(s subject, c identity.Config) {
		for with, change := range map[string]func(*subject){
			"trust proxies, ranges":           func(s *subject) { s.mode, s.ranges = identity.TrustProxies, true },
			"trust proxies, the server's":     func(s *subject) { s.mode = identity.TrustProxies },
			"trust forward_auth":              func(s *subject) { s.mode = identity.TrustForwardAuth },
			"trust forward_auth, an upstream": func(s *subject) { s.mode, s.upstream = identity.TrustForwardAuth, authServer },
		} {
			s := s
			change(&s)
			add(s, c, with)
		}
	}
	for _, row := range identity.Presets() {
		plain, unsigned := documented[row.Name]
		token, signed := documentedTokens[row.Name]
		if unsigned != (row.Sources.Email.From != "") || signed != (row.Signed.Email.From != "") {
			t.Errorf("the preset %s is not the one that is documented here", row.Name)
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
			withTrust(token, c)
			token.any = true
			add(token, c, "from anyone")
		}
	}

	withTrust(subject{
		name: "a document", email: reading{"X-Doc", inDocument("user.email")}, id: reading{"X-Doc", inDocument("data.0.id")}, names: []reading{{"X-Doc", inDocument("user.name")}},
	}, identity.Config{Email: "x-doc user.email", UserID: "X-Doc data.0.id", Name: "X-Doc user.name"})
	withTrust(subject{
		name: "two documents", email: reading{"X-Doc", inDocument("user.email")}, id: reading{"X-Other", inDocument("data.0.id")}, names: []reading{{"X-Other", inDocument("user.name")}},
	}, identity.Config{Email: "X-Doc user.email", UserID: "X-Other data.0.id", Name: "X-Other user.name"})
	withTrust(subject{
		name: "authelia and domains", email: reading{"Remote-Email", asIs}, id: reading{"Remote-User", asIs}, names: []reading{{"Remote-Name", asIs}}, domain: "x.example",
	}, identity.Config{Preset: "authelia", Domains: []string{"X.example"}, NameEncoding: names.Percent})
	withTrust(subject{
		name: "verified", email: reading{"X-Email", asIs}, verified: reading{"X-Verified", asIs},
	}, identity.Config{Email: "X-Email", Verified: "X-Verified"})
	withTrust(subject{
		name: "verified, with an id", email: reading{"X-Email", asIs}, id: reading{"X-User", asIs}, verified: reading{"X-Verified", asIs},
	}, identity.Config{Email: "X-Email", UserID: "X-User", Verified: "X-Verified"})
	add(subject{name: "an assertion", any: true, email: reading{"Authorization", inToken("email")}, id: reading{"Authorization", inToken("sub")}},
		identity.Config{Email: "Authorization email", UserID: "Authorization sub", Verify: true}, "from anyone")
	add(subject{name: "a map", email: reading{"{user_email}", asIs}, id: reading{"{user_id}", asIs}, names: []reading{{"{user_name}", asIs}}},
		identity.Config{Email: "{user_email}", UserID: "{user_id}", Name: "{user_name}", NameEncoding: names.Base64}, "")
	add(subject{name: "a document in a variable", email: reading{"{http.vars.doc}", inDocument("email")}, id: reading{"{http.vars.doc}", inDocument("sub")}, names: []reading{{"{http.vars.doc}", inDocument("name")}}},
		identity.Config{Email: "{http.vars.doc} email", UserID: "{http.vars.doc} sub", Name: "{http.vars.doc} name"}, "")
	add(subject{name: "a certificate", email: reading{"{http.request.tls.client.san.emails}", asIs}, id: reading{"{http.request.tls.client.serial}", asIs}},
		identity.Config{Email: "{http.request.tls.client.san.emails}", UserID: "{http.request.tls.client.serial}"}, "")

	said := func(path string) reading {
		return reading{"Cookie", func(text string) (any, bool) {
			doc, ok := readJSON(text)
			return firstAt(doc, []string{path}), ok
		}}
	}
	for _, byID := range []bool{false, true} {
		i, err := identity.NewUserinfo(identity.UserinfoConfig{ByID: byID, Asker: application{}, Email: "user.email", UserID: "data.0.id", Name: "user.name"})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, subject{name: fmt.Sprintf("userinfo, by id %t", byID), Identifier: i, byID: byID, any: true, email: said("user.email"), id: said("data.0.id"), names: []reading{said("user.name")}})
	}
	slices.SortFunc(all, func(a, b subject) int { return strings.Compare(a.name, b.name) })
	return all
}

// known are placeholders that have a value.
type known map[string]any

func (k known) Get(name string) (any, bool) {
	value, ok := k[name]
	return value, ok
}

// asked is a request in all its parts.
type asked struct {
	header http.Header
	known  known
	// flags are what is known of the connection.
	flags byte
}

// The flags.
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

func (a asked) is(flags byte) bool { return a.flags&flags == flags }

// request is what the identity is read from.
func (a asked) request() *identity.Request {
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

const answered = "http.reverse_proxy.header."

// parse makes a request of texts: the lines of its header and of an auth
// server's answer, and placeholders with their values, a line each.
func parse(flags byte, head, answer, placeholders string) asked {
	a := asked{header: lines(head), known: known{}, flags: flags}
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
	if answer != "" {
		a.known["http.reverse_proxy.status_code"] = 200
		for name, values := range lines(answer) {
			a.known[answered+name] = strings.Join(values, ",") // as Caddy does
		}
	}
	for flag, upstream := range map[byte]string{rightUpstream: strings.ToUpper(authServer), wrongUpstream: "other.example:80"} {
		if a.is(flag) {
			a.known["http.reverse_proxy.upstream.hostport"], a.known["http.reverse_proxy.upstream.address"] = upstream, "tcp/"+upstream
		}
	}
	return a
}

// lines reads the lines of a header as a server does, and if it would refuse
// them, as they stand there.
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

// oneText is a value that is one text.
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

// at is what stands at a source, if the source is to be believed.
func (s *subject) at(a asked, r reading) (any, bool) {
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
		value, ok := a.known[answered+r.from]
		hostport, _ := a.known["http.reverse_proxy.upstream.hostport"].(string)
		address, _ := a.known["http.reverse_proxy.upstream.address"].(string)
		right := s.upstream == "" || strings.EqualFold(hostport, s.upstream) || strings.EqualFold(address, "tcp/"+s.upstream)
		return value, ok && right
	case !s.any:
		if a.is(overTLS) && !a.is(handshakeComplete) || s.ranges && !a.is(peerWithin) || !s.ranges && !a.is(serverTrusts) {
			return nil, false
		}
	}
	values := a.header[r.from]
	if len(values) != 1 {
		return nil, false
	}
	return values[0], true
}

// reads is what a source says: a text, or in a document also a number.
func (s *subject) reads(a asked, r reading) (text string, number, ok bool) {
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

// outcome is what came of a request.
type outcome struct {
	email, id, first, last string
	reason                 identity.Reason
}

func reveal(s masked.String) string { return s.Reveal() }

// outcome identifies the sender of a request.
func (s *subject) outcome(t *testing.T, a asked) (o outcome) {
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

// readings are all particulars that a config reads, the address first.
func (s *subject) readings() []reading {
	return slices.DeleteFunc(append([]reading{s.email, s.id, s.verified}, s.names...), func(r reading) bool { return r.from == "" })
}

// sources are the headers and placeholders that a config reads.
func (s *subject) sources() (headers, placeholders []string) {
	for _, r := range s.readings() {
		switch {
		case strings.HasPrefix(r.from, "{"):
			placeholders = append(placeholders, strings.Trim(r.from, "{}"))
		case s.mode == identity.TrustForwardAuth:
			placeholders = append(placeholders, answered+r.from)
		default:
			headers = append(headers, r.from)
		}
	}
	return headers, placeholders
}

// alone is the same request without anything that the config does not read.
func (s *subject) alone(a asked) asked {
	headers, placeholders := s.sources()
	only := asked{header: http.Header{}, known: known{}, flags: a.flags}
	for _, name := range headers {
		if values, ok := a.header[name]; ok {
			only.header[name] = values
		}
	}
	placeholders = append(placeholders, "http.reverse_proxy.upstream.hostport", "http.reverse_proxy.upstream.address")
	for _, name := range placeholders {
		if value, ok := a.known[name]; ok {
			only.known[name] = value
		}
	}
	return only
}

// among is the same request with everything else there is: the headers of all
// layers and their aliases, of the client and of an auth server, and
// placeholders, each of them naming somebody else.
func (s *subject) among(a asked, everything asked) asked {
	headers, placeholders := s.sources()
	more := asked{header: maps.Clone(a.header), known: maps.Clone(a.known), flags: a.flags}
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

// everything are the headers of all layers, and placeholders, about mallory.
func everything(all []subject) asked {
	const address = "mallory@evil.example"
	doc := `{"claims":[{"typ":"email","val":"` + address + `"},{"typ":"name","val":"Mallory Evil"}],"data":[{"id":7}],"email":"` + address +
		`","name":"Mallory Evil","sub":"` + address + `","user":{"email":"` + address + `","name":"Mallory Evil"},"username":"` + address + `"}`
	a := asked{header: http.Header{}, known: known{}}
	put := func(r reading) {
		value := address
		for _, other := range []string{doc, goodToken + doc} {
			if _, there := r.read(address); there {
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
		a.known[answered+r.from], a.known["http.request.header."+r.from] = value, value
	}
	for _, s := range all {
		for _, r := range s.readings() {
			put(r)
		}
	}
	for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "Connection"} {
		a.header[name] = []string{"10.0.0.1"}
	}
	for _, name := range []string{"http.auth.candidate.id", "http.request.cookie.email", "http.request.uri.query.email", "http.vars.client_ip", "email", "http.reverse_proxy.status_code"} {
		a.known[name] = address
	}
	return a
}

// isPlain reports whether an address is one that nobody reads in two ways.
func isPlain(s string) bool {
	local, domain, found := strings.Cut(s, "@")
	return found && local != "" && domain != "" && !strings.Contains(domain, "@") && len(s) <= 254 && utf8.ValidString(s) &&
		!strings.ContainsAny(s, ",;:<>(){}\"") &&
		!strings.ContainsFunc(s, func(r rune) bool {
			return unicode.IsControl(r) || unicode.IsSpace(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
		})
}

// simple are addresses that there can be no doubt about.
var simple = regexp.MustCompile(`^[a-z0-9][a-z0-9.+_-]{0,40}@x\.example$`)

// FuzzIdentity sends anything with a request to every preset and every way to
// trust: headers, an auth server's answer, values of placeholders. Whoever it
// is taken for is who stands, byte for byte, where the config says; nothing
// else that comes with the request makes a difference.
func FuzzIdentity(f *testing.F) {
	all := subjects(f)
	noise := everything(all)
	for n, s := range all {
		// All of them are tried by TestSeedsOfIdentity: here they would take
		// the time in which others are found.
		some := seeds(s)
		for _, seed := range [][3]string{some[0], some[n%len(some)], some[len(some)-1-n%len(some)]} {
			f.Add(uint16(n), byte(usual), seed[0], seed[1], seed[2])
		}
	}
	f.Fuzz(func(t *testing.T, which uint16, flags byte, head, answer, placeholders string) {
		all[int(which)%len(all)].try(t, parse(flags, head, answer, placeholders), noise)
	})
}

// TestSeedsOfIdentity does what FuzzIdentity does with all there is to begin
// with. Every config finds somebody in it, with a name where it reads one: or
// nothing would be tried of it.
func TestSeedsOfIdentity(t *testing.T) {
	all := subjects(t)
	noise := everything(all)
	for n, s := range all {
		found, named := false, s.names == nil
		for m, seed := range seeds(s) {
			if s.verified.from != "" {
				seed[0], seed[1] = seed[0]+"X-Verified: true\r\n", seed[1]+"X-Verified: true\r\n"
			}
			s.try(t, parse(1<<((n+m)%8), seed[0], seed[1], seed[2]), noise)
			s.try(t, parse(^byte(1<<((n+m)%8)), seed[0], seed[1], seed[2]), noise)
			got := s.try(t, parse(usual, seed[0], seed[1], seed[2]), noise)
			found, named = found || got.email == "ada@x.example", named || got.first != ""
		}
		if !found || !named {
			t.Errorf("%s: somebody is found: %t, with a name: %t", s.name, found, named)
		}
	}
}

// try identifies the sender of a request: with all that came, with nothing
// but what the config reads, and with more.
func (s *subject) try(t *testing.T, a, noise asked) outcome {
	got := s.outcome(t, a)
	for what, other := range map[string]asked{"alone": s.alone(a), "among others": s.among(a, noise)} {
		if again := s.outcome(t, other); again != got {
			t.Fatalf("%s: %+v; %s: %+v\nof %q", s.name, got, what, again, other)
		}
	}
	s.check(t, a, got)
	return got
}

// check compares what came of a request with what stands in it.
func (s *subject) check(t *testing.T, a asked, got outcome) {
	if s.byID {
		s.checkByID(t, a, got)
		s.checkNames(t, a, got)
		return
	}
	email, number, ok := s.reads(a, s.email)
	if got.reason != "" {
		if ok && !number && s.affirmed(a) && simple.MatchString(email) && s.isSimple(a, s.email) {
			t.Fatalf("%s: %q is nobody: %+v\nof %q", s.name, email, got, a)
		}
		return
	}
	s.checkAddress(t, a, got)
	if id, _, ok := s.reads(a, s.id); got.id != "" && (!ok || got.id != id) {
		t.Fatalf("%s: the id is %q, and there stands %q (%t)\nof %q", s.name, got.id, id, ok, a)
	}
	s.checkNames(t, a, got)
}

// affirmed reports whether the address is verified, if it has to be.
func (s *subject) affirmed(a asked) bool {
	if s.verified.from == "" {
		return true
	}
	yes, _ := s.at(a, s.verified)
	text, _ := oneText(yes)
	return slices.Contains([]string{"true", "1", "yes", "on"}, strings.ToLower(strings.TrimSpace(text)))
}

// checkAddress compares a user's address with what stands in the request.
func (s *subject) checkAddress(t *testing.T, a asked, got outcome) {
	email, number, ok := s.reads(a, s.email)
	switch {
	case !ok || number || got.email != email:
		t.Fatalf("%s: taken for %q, and there stands %q (%t)\nof %q", s.name, got.email, email, ok, a)
	case s.email.isBare() && !s.isOne(a):
		t.Fatalf("%s: taken for %q out of several\nof %q", s.name, got.email, a)
	case !s.email.isBare() && s.isTwice(a, s.email):
		t.Fatalf("%s: taken for %q out of a document that says something twice\nof %q", s.name, got.email, a)
	case !isPlain(got.email):
		t.Fatalf("%s: %q is an address\nof %q", s.name, got.email, a)
	case !s.affirmed(a):
		t.Fatalf("%s: %q is not verified\nof %q", s.name, got.email, a)
	case s.domain != "" && !strings.EqualFold(got.email[strings.IndexByte(got.email, '@')+1:], s.domain):
		t.Fatalf("%s: %q is of another domain\nof %q", s.name, got.email, a)
	case s.logins && !strings.Contains(got.email[strings.IndexByte(got.email, '@'):], "."):
		t.Fatalf("%s: %q is a login\nof %q", s.name, got.email, a)
	}
}

// checkNames compares a user's names with what stands in the request.
func (s *subject) checkNames(t *testing.T, a asked, got outcome) {
	var said []string
	for _, r := range s.names {
		if name, _, ok := s.reads(a, r); ok {
			said = append(said, name)
		}
	}
	for _, name := range []string{got.first, got.last} {
		if name != "" && said == nil || len(name) > 200 || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
			t.Fatalf("%s: the name %q out of %q\nof %q", s.name, name, said, a)
		}
		if name != "" && isASCII(said) && !strings.ContainsAny(strings.Join(said, ""), "%=?'\t") && s.domain == "" && !strings.HasPrefix(s.name, "a map") && !slices.ContainsFunc(said, func(text string) bool { return strings.Contains(text, name) }) {
			t.Fatalf("%s: the name %q out of %q\nof %q", s.name, name, said, a)
		}
	}
}

// isASCII reports whether texts have nothing but what is seen of ASCII in them.
func isASCII(texts []string) bool {
	return !slices.ContainsFunc(texts, func(s string) bool {
		return strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII || r != '\t' && unicode.IsControl(r) })
	})
}

// isSimple reports whether there is no reason to refuse what is written at a
// source, if it is one of those above.
func (s *subject) isSimple(a asked, r reading) bool {
	value, _ := s.at(a, r)
	written, _ := oneText(value)
	if r.isBare() {
		return !strings.ContainsAny(written, ",; \t") && strings.Count(written, "@") <= 1
	}
	return isCanonical(strings.TrimPrefix(written, goodToken))
}

// isBare reports whether the value is read outside of a document.
func (r reading) isBare() bool {
	_, bare := r.read("ada@x.example")
	return bare
}

// isOne reports whether at the source of the address no more than one is
// written.
func (s *subject) isOne(a asked) bool {
	value, _ := s.at(a, s.email)
	written, _ := oneText(value)
	return !strings.Contains(written, ",") && strings.Count(written, "@") == 1
}

// isTwice reports whether the document of a source has a member twice.
func (s *subject) isTwice(a asked, r reading) bool {
	value, _ := s.at(a, r)
	written, _ := oneText(value)
	written = strings.TrimSpace(strings.TrimPrefix(written, goodToken))
	if !strings.HasPrefix(written, "{") && !strings.HasPrefix(written, "[") {
		b, _ := decodeBase64(written)
		written = string(b)
	}
	dec := json.NewDecoder(strings.NewReader(written))
	var open []map[string]bool // of an object its members, of a list nil
	name := false              // a member's name is next
	for {
		token, err := dec.Token()
		if err != nil {
			return false
		}
		switch token {
		case json.Delim('{'):
			open = append(open, make(map[string]bool))
		case json.Delim('['):
			open = append(open, nil)
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		default:
			if text, _ := token.(string); name {
				if open[len(open)-1][text] {
					return true
				}
				open[len(open)-1][text], name = true, false
				continue
			}
		}
		name = len(open) > 0 && open[len(open)-1] != nil
	}
}

// isCanonical reports whether a document is written in the one way that
// encoding/json would write it, which leaves no member there twice, and says
// nothing of whether its address is verified.
func isCanonical(written string) bool {
	if !strings.HasPrefix(written, "{") {
		if strings.Count(written, ".") == 2 {
			written = strings.Split(written, ".")[1]
		}
		b, err := base64.StdEncoding.Strict().DecodeString(written)
		if err != nil {
			b, err = base64.RawURLEncoding.Strict().DecodeString(written)
		}
		return err == nil && strings.HasPrefix(string(b), "{") && isCanonical(string(b))
	}
	doc, ok := readJSON(written)
	again, err := json.Marshal(doc)
	return ok && err == nil && string(again) == written && !strings.Contains(strings.ToLower(written), "verified")
}

// seeds are requests to begin with: head, answer and placeholders.
func seeds(s subject) (all [][3]string) {
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
	encoded := base64.StdEncoding.EncodeToString([]byte(doc))
	good := slices.DeleteFunc([]string{"ada@x.example", "accounts.google.com:ada@x.example", doc, encoded, goodToken + doc, "e30." + base64.RawURLEncoding.EncodeToString([]byte(doc)) + ".c2ln"}, func(text string) bool {
		value, _ := s.email.read(text)
		address, _ := oneText(value)
		return address != "ada@x.example"
	})
	add(s.email, good...)
	add(s.email, "ada@x.example,bob@x.example", "a:ada@x.example,a:bob@x.example", " ", `{"email":null}`, "list:ada@x.example", "list:a|b", "list:a@x.example|b@x.example", `json:["ada@x.example"]`, `json:["a@x.example","b@x.example"]`, `json:7`,
		"Ada <ada@x.example>", "ada@github", "Ada@X.Example", strings.ReplaceAll(doc, "ada@", "Ada@"))
	for _, bad := range []string{strings.ReplaceAll(doc, `"ada@x.example"`, `["a@x.example","b@x.example"]`), strings.ReplaceAll(doc, `"ada@x.example"`, `"a@x.example","email":"b@x.example","username":"b@x.example"`)} {
		add(s.email, bad, goodToken+bad)
	}
	// All of it at once, with a name.
	for i, text := range append(good, good...) {
		var both [3]string
		there := make(map[string]bool)
		for _, r := range s.readings() {
			value := text
			if there[r.from] || r.from == s.verified.from { // which is added to every seed
				continue
			}
			there[r.from] = true
			if r.from != s.email.from {
				value = []string{"Zoë, Zo", "Wm/DqyBabw=="}[i/len(good)]
				if r.from == s.id.from {
					value = goodID(s, doc, encoded, goodToken+doc)
				}
				if _, ok := r.read(value); !ok {
					value = text // in a document too
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
	}
	if s.byID {
		add(s.id, "u-17", "u-17,u-18", ",", "a:u-17,a:u-18", "{user_id}", "(null)", "u\x01", strings.Repeat("u", 257), "list:u-17", "list:u-17|u-18", "json:7", doc, goodToken+doc,
			`{"data":[{"id":"u-17"},{"id":"u-18"}],"sub":1e3}`, goodToken+`{"sub":"u-17","email":"ada"}`, goodToken+`{"sub":"u-17","email":"ada@x.example","email_verified":false}`)
	}
	// Twice, in other cases and spellings.
	if name := s.email.from; !strings.HasPrefix(name, "{") {
		text := fmt.Sprintf("%s: ada@x.example\r\n%s: bob@x.example\r\n%s: c@x.example\r\n%s: d@x.example\r\n e@x.example\r\n",
			name, strings.ToLower(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."))
		all = append(all, [3]string{text, "", ""}, [3]string{"", text, ""}, [3]string{text, name + ": ada@x.example\r\n", ""}, [3]string{name + ": ada@x.example\n" + name + ": bob@x.example\n", "", ""})
	}
	return all
}
