package identity_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// simpleID matches ids that must be accepted.
var simpleID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,40}$`)

// key returns the expected key of a user: the exact id, or the address with ASCII
// letters lowered.
func (s *testConfig) key(o outcome) string {
	if s.byID {
		return o.id
	}
	return strings.Map(func(r rune) rune {
		if r <= unicode.MaxASCII {
			return unicode.ToLower(r)
		}
		return r
	}, o.email)
}

// checkByID compares the outcome with the content of the request, for a config with
// ByID.
func (s *testConfig) checkByID(t *testing.T, a testRequest, got outcome) {
	id, number, ok := s.reads(a, s.id)
	email, emailNumber, found := s.reads(a, s.email)
	addressed := found && !emailNumber && simple.MatchString(email) && s.isSimple(a, s.email)
	if got.reason != "" {
		if ok && !number && addressed && s.addressVerified(a) && !s.mayBeDenied(a) && simpleID.MatchString(id) && s.isSimple(a, s.id) {
			t.Fatalf("%s: %q is rejected: %+v\nof %q", s.name, id, got, a)
		}
		return
	}
	switch {
	case got.id == "" || !ok || got.id != id:
		t.Fatalf("%s: taken for %q, and there stands %q (%t)\nof %q", s.name, got.id, id, ok, a)
	case number && strings.Trim(id, "0123456789") != "":
		t.Fatalf("%s: taken for the number %q\nof %q", s.name, id, a)
	case !isUsable(got.id):
		t.Fatalf("%s: %q is an id\nof %q", s.name, got.id, a)
	case s.id.isBare() && s.isJoined(a):
		t.Fatalf("%s: taken for %q out of several\nof %q", s.name, got.id, a)
	case !s.id.isBare() && s.isTwice(a, s.id):
		t.Fatalf("%s: taken for %q out of a document that says something twice\nof %q", s.name, got.id, a)
	case got.email != "":
		s.checkAddress(t, a, got)
	case addressed:
		t.Fatalf("%s: the address %q is lost\nof %q", s.name, email, a)
	case s.domain != "" || s.verified.from != "" || s.demands:
		t.Fatalf("%s: %q is let in without an address\nof %q", s.name, got.id, a)
	}
}

// isUsable reports whether an id can be used: it is valid and does not stand for a
// missing user.
func isUsable(id string) bool {
	return strings.TrimSpace(id) != "" && len(id) <= 256 && utf8.ValidString(id) && id != "(null)" &&
		!strings.ContainsAny(id, "{}\ufffd") && !strings.ContainsFunc(id, unicode.IsControl)
}

// isJoined reports whether the header of the id may be several headers joined by
// commas.
func (s *testConfig) isJoined(a testRequest) bool {
	if strings.HasPrefix(s.id.from, "{") {
		return false
	}
	value, _ := s.at(a, s.id)
	written, _ := oneText(value)
	return strings.Contains(written, ",")
}

// goodID returns a value that the config accepts as an id: a plain id, or one of the
// documents.
func goodID(s testConfig, documents ...string) string {
	for _, text := range append([]string{"u-17"}, documents...) {
		if value, ok := s.id.read(text); ok && value != nil {
			return text
		}
	}
	return ""
}

// TestSeedsByID checks that configs with ByID find users without an address. Otherwise
// the fuzz test would cover little of them.
func TestSeedsByID(t *testing.T) {
	for _, s := range testConfigs(t) {
		if !s.byID || s.email.from == s.id.from || s.domain != "" || s.verified.from != "" || s.demands {
			continue
		}
		found := false
		for _, seed := range seeds(s) {
			o := s.outcome(t, parse(usual, seed[0], seed[1], seed[2]))
			found = found || o.id != "" && o.email == ""
			if o == (outcome{}) || o.reason == "" && o.id == "" {
				t.Errorf("%s: %+v", s.name, o)
			}
		}
		if !found {
			t.Errorf("%s: no user without an address is found", s.name)
		}
	}
	if _, err := identity.New(identity.Config{ByID: true, Email: "{user_email}"}); err == nil {
		t.Error("ByID loads without an id")
	}
}
