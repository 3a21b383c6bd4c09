package identity

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/syntax"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// notAddresses are rejected from any source.
var notAddresses = map[string]string{
	"display name":            "Alice <a@x.io>",
	"two @":                   "a@evil.io@x.io",
	"quoted @":                `"a@evil.io"@x.io`,
	"comment":                 "a@x.io (c)",
	"comment, no space":       "a@x.io(c)",
	"255 bytes":               strings.Repeat("a", 250) + "@x.io",
	"invalid UTF-8":           "a\xff@x.io",
	"half a character":        "a@x.i\xc3",
	"overlong":                "a\xc0\x80@x.io",
	"surrogate":               "a\xed\xa0\x80@x.io",
	"replaced bytes":          "ren\ufffd@x.io",
	"zero-width space":        "a\u200b@x.io",
	"zero-width joiner":       "a\u200d@x.io",
	"byte-order mark":         "\ufeffa@x.io",
	"soft hyphen":             "a\u00ad@x.io",
	"right-to-left override":  "a\u202e@x.io",
	"grapheme joiner":         "a\u034f@x.io",
	"Hangul filler":           "a\u3164@x.io",
	"half-width filler":       "a\uffa0@x.io",
	"variation selector":      "a\ufe0f@x.io",
	"variation selector 17":   "a\U000e0100@x.io",
	"Mongolian selector":      "a\u180b@x.io",
	"tag":                     "a\U000e0041@x.io",
	"blank braille":           "a\u2800@x.io",
	"private use":             "a\ue000@x.io",
	"unassigned":              "a\U000e0080@x.io",
	"NUL":                     "a\x00@x.io",
	"CR":                      "a@x.io\r",
	"LF":                      "a@x.io\nb",
	"tab":                     "a\t@x.io",
	"DEL":                     "a\x7f@x.io",
	"C1 control":              "a\u0085@x.io",
	"space":                   "a b@x.io",
	"leading no-break space":  "\u00a0a@x.io",
	"trailing line feed":      "a@x.io\n",
	"trailing dot":            "a@x.io.",
	"two trailing dots":       "a@x.io..",
	"leading dot":             "a@.x.io",
	"two dots":                "a@x..io",
	"dot alone":               "a@.",
	"ideographic dot at end":  "a@x.io\u3002",
	"full-width dots":         "a@x\uff0e\uff61io",
	"no-break space":          "a\u00a0@x.io",
	"ideographic space":       "a\u3000@x.io",
	"line separator":          "a\u2028@x.io",
	"paragraph separator":     "a\u2029@x.io",
	"nothing before @":        "@x.io",
	"nothing behind @":        "a@",
	"@ alone":                 "@",
	"no @":                    "alice",
	"full-width @":            "a\uff20x.io",
	"comma":                   "a@x.io,b",
	"semicolon":               "a@x.io;b",
	"colon":                   "mailto:a@x.io",
	"provider's prefix":       "accounts.example.com:a@x.io",
	"angle brackets":          "<a@x.io>",
	"parentheses":             "(a)@x.io",
	"braces":                  "{a}@x.io",
	"quotes":                  `"a"@x.io`,
	"address within brackets": "a@[IPv6:::1]",
}

// addresses are accepted, and each is a different user.
var addresses = map[string]string{
	"plain":           "a@x.io",
	"254 bytes":       strings.Repeat("a", 249) + "@x.io",
	"tag":             "a+b@x.io",
	"odd but allowed": "!#$%&'*+-/=?^_`|~@x.io",
	"dotted":          ".a..b.@x.io",
	"no dot":          "a@localhost",
	"German":          "ren\u00e9@m\u00fcller.example",
	"decomposed":      "rene\u0301@m\u00fcller.example",
	"Greek":           "\u03b4\u03bf\u03ba@x.io",
	"Han":             "\u738b@\u4f8b.example",
	"punycode":        "a@xn--mller-kva.example",
	"backslash":       `a\b@x.io`,
	"literal":         "a@[192.0.2.1]",
}

func TestI09_NotAPlainAddress(t *testing.T) {
	i := byUser(t)
	for name, value := range notAddresses {
		t.Run(name, func(t *testing.T) {
			wantRejection(t, i, withPlaceholders(placeholders{"http.auth.user.email": value}), ErrNotAddress)
			wantRejection(t, byHeader(t), fromProxy("Remote-Email", value), ErrNotAddress)
			if ErrNotAddress.Reason != ReasonInvalid {
				t.Fatal(ErrNotAddress.Reason)
			}
		})
	}
	seen := map[string]string{}
	for name, value := range addresses {
		t.Run(name, func(t *testing.T) {
			u := wantUser(t, i, withPlaceholders(placeholders{"http.auth.user.email": value}), value)
			wantUser(t, byHeader(t), fromProxy("Remote-Email", value), value)
			key := string(u.AppendKey(nil))
			if other := seen[key]; other != "" {
				t.Fatalf("the same user as %q", other)
			}
			seen[key] = value
		})
	}
}

// slowCheck implements the documented rules of a plain address, one by one.
func slowCheck(s string) bool {
	if !utf8.ValidString(s) || len(s) > 254 || strings.Count(s, "@") != 1 || strings.ContainsAny(s, ",;:<>(){}\"\u2800\ufffd") {
		return false
	}
	local, domain, _ := strings.Cut(s, "@")
	labels := strings.Split(strings.NewReplacer("\u3002", ".", "\uff0e", ".", "\uff61", ".").Replace(domain), ".")
	if local == "" || slices.Contains(labels, "") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r == 0x7f || unicode.IsSpace(r) || unicode.IsControl(r) || !unicode.IsGraphic(r) || !unicode.IsPrint(r) ||
			unicode.In(r, unicode.Z, unicode.C, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
	})
}

// slowLower lowers ASCII letters, one character at a time.
func slowLower(s string) string {
	const upper, lower = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
	return strings.Map(func(r rune) rune {
		if i := strings.IndexRune(upper, r); i >= 0 {
			return rune(lower[i])
		}
		return r
	}, s)
}

func FuzzAddress(f *testing.F) {
	for _, s := range notAddresses {
		f.Add(s, "a@x.io")
	}
	for _, s := range addresses {
		f.Add(s, strings.ToUpper(s))
	}
	f.Add("K@x.io", "\u212a@x.io")
	f.Add(" a@x.io\t", "a@x.io.")
	f.Fuzz(func(t *testing.T, a, b string) {
		at, ok := syntax.Address(a)
		if want := slowCheck(a); ok != want {
			t.Fatalf("accepted %v, want %v: %q", ok, want, a)
		}
		if !ok {
			return
		}
		if at != strings.IndexByte(a, '@') {
			t.Fatalf("@ at %d: %q", at, a)
		}
		keyA := User{Email: masked.New(a)}.AppendKey(nil)
		if again := (User{Email: masked.New(string(keyA))}).AppendKey(nil); string(again) != string(keyA) {
			t.Fatalf("key %q of key %q", again, keyA)
		}
		if _, ok := syntax.Address(string(keyA)); !ok {
			t.Fatalf("the key %q is no address", keyA)
		}
		if _, ok := syntax.Address(b); !ok {
			return
		}
		keyB := User{Email: masked.New(b)}.AppendKey(nil)
		if same, want := string(keyA) == string(keyB), slowLower(a) == slowLower(b); same != want {
			t.Fatalf("%q and %q: one user %v, want %v", a, b, same, want)
		}
	})
}
