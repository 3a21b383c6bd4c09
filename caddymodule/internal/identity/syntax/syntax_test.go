package syntax_test

import (
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/syntax"
)

// FuzzDomain checks that the compared form of a domain is stable and does not depend on
// the case of ASCII letters.
func FuzzDomain(f *testing.F) {
	for _, domain := range []string{"x.example", "b\u00fccher.example", "xn--bcher-kva.example", "bu\u0308cher.EXAMPLE", "\u212a.example", "m\u00fc_ller.example", "stra\u00dfe.example", "xn--\u00fc.example"} {
		f.Add(domain)
	}
	f.Fuzz(func(t *testing.T, domain string) {
		if _, ok := syntax.Address("a@" + domain); !ok {
			return
		}
		form := string(syntax.AppendDomain(nil, domain))
		if again := string(syntax.AppendDomain(nil, form)); again != form {
			t.Fatalf("%q of %q of %q", again, form, domain)
		}
		if lowered := string(syntax.AppendDomain(nil, lowerASCII(domain))); lowered != form {
			t.Fatalf("%q of %q, and %q in lower case", form, domain, lowered)
		}
	})
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
