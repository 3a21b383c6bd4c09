package identity_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// try identifies the user of a request three times: with the whole request, with only
// what the config reads, and with additional headers and placeholders.
func (s *testConfig) try(t *testing.T, a, noise testRequest) outcome {
	got := s.outcome(t, a)
	for what, other := range map[string]testRequest{"alone": s.onlyRead(a), "among others": s.withForged(a, noise)} {
		if again := s.outcome(t, other); again != got {
			t.Fatalf("%s: %+v; %s: %+v\nof %q", s.name, got, what, again, other)
		}
	}
	s.check(t, a, got)
	return got
}

// check compares the outcome with the content of the request.
func (s *testConfig) check(t *testing.T, a testRequest, got outcome) {
	if s.byID {
		s.checkByID(t, a, got)
		s.checkNames(t, a, got)
		return
	}
	email, number, ok := s.reads(a, s.email)
	if got.reason != "" {
		if ok && !number && s.addressVerified(a) && !s.mayBeDenied(a) && simple.MatchString(email) && s.isSimple(a, s.email) {
			t.Fatalf("%s: %q is rejected: %+v\nof %q", s.name, email, got, a)
		}
		return
	}
	s.checkAddress(t, a, got)
	id, _, ok := s.reads(a, s.id)
	if s.id.from == s.email.from && s.id.isBare() { // the id is the address
		id = strings.Trim(id, " \t")
	}
	if got.id != "" && (!ok || got.id != id) {
		t.Fatalf("%s: the id is %q, and the source is %q (%t)\nof %q", s.name, got.id, id, ok, a)
	}
	s.checkNames(t, a, got)
}

// addressVerified reports whether the address is verified, or need not be.
func (s *testConfig) addressVerified(a testRequest) bool {
	if s.verified.from == "" {
		return true
	}
	yes, _ := s.at(a, s.verified)
	text, _ := oneText(yes)
	return slices.Contains([]string{"true", "1", "yes", "on"}, strings.ToLower(strings.TrimSpace(text)))
}

// isDenied reports whether the source of verified denies the address.
func (s *testConfig) isDenied(a testRequest) bool {
	value, _ := s.at(a, s.denies)
	text, _ := oneText(value)
	return slices.ContainsFunc(strings.Split(strings.ToLower(text), ","), func(part string) bool {
		return slices.Contains([]string{"false", "0", "no", "off", "0001-01-01"}, strings.TrimSpace(part))
	})
}

// mayBeDenied reports whether the source that may deny an address is in the request.
func (s *testConfig) mayBeDenied(a testRequest) bool {
	name := strings.Trim(s.denies.from, "{}")
	return name != "" && (a.header[name] != nil || a.known[name] != nil || a.known[responsePrefix+name] != nil)
}

// checkAddress compares a user's address with the content of the request.
func (s *testConfig) checkAddress(t *testing.T, a testRequest, got outcome) {
	email, number, ok := s.reads(a, s.email)
	email = strings.Trim(email, " \t")
	switch {
	case !ok || number || got.email != email:
		t.Fatalf("%s: the address is %q, and the source is %q (%t)\nof %q", s.name, got.email, email, ok, a)
	case s.email.isBare() && !s.isOne(a):
		t.Fatalf("%s: the address is %q, although there are several\nof %q", s.name, got.email, a)
	case !s.email.isBare() && s.isTwice(a, s.email):
		t.Fatalf("%s: the address is %q, from a document with a duplicate member\nof %q", s.name, got.email, a)
	case !isPlain(got.email):
		t.Fatalf("%s: %q is accepted as an address\nof %q", s.name, got.email, a)
	case !s.addressVerified(a) || s.isDenied(a):
		t.Fatalf("%s: %q is not verified\nof %q", s.name, got.email, a)
	case s.domain != "" && !isDomain(got.email[strings.IndexByte(got.email, '@')+1:], s.domain):
		t.Fatalf("%s: %q is of another domain\nof %q", s.name, got.email, a)
	case s.logins && !strings.Contains(got.email[strings.IndexByte(got.email, '@'):], "."):
		t.Fatalf("%s: %q is a login\nof %q", s.name, got.email, a)
	}
}

// isDomain reports whether two domains are the same, or are in punycode.
func isDomain(a, b string) bool {
	inPunycode, err := idna.Lookup.ToASCII(a)
	return strings.EqualFold(a, b) || err == nil && strings.EqualFold(inPunycode, b)
}

// checkNames compares a user's names with the content of the request.
func (s *testConfig) checkNames(t *testing.T, a testRequest, got outcome) {
	var sources []string
	for _, r := range s.names {
		if name, _, ok := s.reads(a, r); ok {
			sources = append(sources, name)
		}
	}
	for _, name := range []string{got.first, got.last} {
		if name != "" && sources == nil || len(name) > 200 || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
			t.Fatalf("%s: the name %q out of %q\nof %q", s.name, name, sources, a)
		}
		if name != "" && isASCII(sources) && !strings.ContainsAny(strings.Join(sources, ""), "%=?'\t") && s.domain == "" && !strings.HasPrefix(s.name, "a map") && !slices.ContainsFunc(sources, func(text string) bool { return strings.Contains(text, name) }) {
			t.Fatalf("%s: the name %q out of %q\nof %q", s.name, name, sources, a)
		}
	}
}

// isASCII reports whether all texts consist of visible ASCII characters.
func isASCII(texts []string) bool {
	return !slices.ContainsFunc(texts, func(s string) bool {
		return strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII || r != '\t' && unicode.IsControl(r) })
	})
}

// isSimple reports whether the value of a documented source has no reason to be
// rejected.
func (s *testConfig) isSimple(a testRequest, r reading) bool {
	value, _ := s.at(a, r)
	text, _ := oneText(value)
	if r.isBare() {
		return !strings.ContainsAny(text, ",; \t") && strings.Count(text, "@") <= 1
	}
	return isCanonical(strings.TrimPrefix(text, goodToken))
}

// isBare reports whether the value is read without a document.
func (r reading) isBare() bool {
	_, bare := r.read("ada@x.example")
	return bare
}

// isOne reports whether the source of the address contains exactly one address.
func (s *testConfig) isOne(a testRequest) bool {
	value, _ := s.at(a, s.email)
	text, _ := oneText(value)
	return !strings.Contains(text, ",") && strings.Count(text, "@") == 1
}

// isTwice reports whether the document of a source has a duplicate member.
func (s *testConfig) isTwice(a testRequest, r reading) bool {
	value, _ := s.at(a, r)
	text, _ := oneText(value)
	text = strings.TrimSpace(strings.TrimPrefix(text, goodToken))
	if !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
		b, _ := decodeBase64(text)
		text = string(b)
	}
	dec := json.NewDecoder(strings.NewReader(text))
	var open []map[string]bool // the members of an open object; nil for a list
	name := false              // the next token is the name of a member
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

// isCanonical reports whether a document has the form that encoding/json encodes. Such
// a document has no duplicate member. It also must not say whether its address is
// verified.
func isCanonical(text string) bool {
	if !strings.HasPrefix(text, "{") {
		if strings.Count(text, ".") == 2 {
			text = strings.Split(text, ".")[1]
		}
		b, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			b, err = base64.RawURLEncoding.Strict().DecodeString(text)
		}
		return err == nil && strings.HasPrefix(string(b), "{") && isCanonical(string(b))
	}
	doc, ok := readJSON(text)
	again, err := json.Marshal(doc)
	return ok && err == nil && string(again) == text && !strings.Contains(strings.ToLower(text), "verified")
}
