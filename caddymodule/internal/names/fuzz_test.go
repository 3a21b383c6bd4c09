package names

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// checkDisplay fails if s is not suitable for display.
func checkDisplay(t *testing.T, s string) {
	t.Helper()
	switch {
	case !utf8.ValidString(s):
		t.Fatalf("not UTF-8: %q", s)
	case strings.ContainsFunc(s, unicode.IsControl):
		t.Fatalf("a control character: %q", s)
	case strings.ContainsAny(s, "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\u200b\u2060\ufeff"):
		t.Fatalf("an invisible character: %q", s)
	case s != strings.TrimSpace(s):
		t.Fatalf("not trimmed: %q", s)
	}
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

func fuzzDecode(f *testing.F, e Encoding) {
	for _, s := range append([]string{
		"", "Ren\xe9", "RenÃ©", "Ã‰ric", "RenÃƒÂ©", "=?utf-8?q?Ren=C3=A9_M=C3=BCller?=", "=?utf-8?b?UmVuw6k=?=", "=?windows-1252*en?q?=92?=", "=?utf-8?q?=FF=00?=",
		"UTF-8''Ren%C3%A9", "iso-8859-1'en'%A3", "%C3%A9%", "%00%0d", "UmVuw6k=", "8J-mig", strings.Repeat("王", 1500), strings.Repeat("\x80", 5000),
		strings.Repeat("=?utf-8?q?=C3?= ", 300), strings.Repeat("\x96", 4000) + "=?utf-8?q?=C3?=", strings.Repeat("%e7%8e%8b", 500), strings.Repeat("546L", 1100)[1:], strings.Repeat("a", 199) + "é", "\u0085 \u2028", "a\u202eb\ufeff", "Liddell, Alice", "Miller, PhD", "a,\u00a0b", ",",
	}, people...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		s := e.Decode(raw)
		checkDisplay(t, s)
		if len(s) > 9*maxRaw { // a Windows-1252 byte becomes up to three UTF-8 bytes, and is decoded twice next to an encoded word
			t.Fatalf("%d bytes", len(s))
		}
		for _, name := range both(Split(s)) {
			short := Limit(name)
			checkDisplay(t, short)
			if len(short) > maxName || !strings.HasPrefix(name, short) || len(name) <= maxName && short != name {
				t.Fatalf("%q cut to %q", name, short)
			}
			if Limit(short) != short {
				t.Fatalf("%q cut twice", name)
			}
		}
		if len(s) > maxRaw {
			return
		}
		switch {
		case e == UTF8:
			if again := e.Decode(s); again != s {
				t.Fatalf("%q, then %q", s, again)
			}
			if s != "" && len(raw) <= maxRaw && !utf8.ValidString(raw) {
				t.Fatalf("%q was read as UTF-8", raw)
			}
		case isASCII(s) && !strings.Contains(s, "=?") && (e == Latin1 || e == RFC2047 || e == Auto && strings.Count(s, "'") < 2):
			if again := e.Decode(s); again != s {
				t.Fatalf("%q, then %q", s, again)
			}
		}
		if e == Auto && isASCII(raw) && len(raw) <= maxRaw && !strings.Contains(raw, "=?") && strings.Count(raw, "'") < 2 && s != sanitize(raw) {
			t.Fatalf("%q became %q", raw, s)
		}
	})
}

func both(first, last string) []string { return []string{first, last} }

func FuzzDecodeAuto(f *testing.F)    { fuzzDecode(f, Auto) }
func FuzzDecodeUTF8(f *testing.F)    { fuzzDecode(f, UTF8) }
func FuzzDecodeLatin1(f *testing.F)  { fuzzDecode(f, Latin1) }
func FuzzDecodeRFC2047(f *testing.F) { fuzzDecode(f, RFC2047) }
func FuzzDecodePercent(f *testing.F) { fuzzDecode(f, Percent) }
func FuzzDecodeBase64(f *testing.F)  { fuzzDecode(f, Base64) }

// FuzzMojibake checks that a name that was encoded twice is restored, unless the result
// of the second encoding may be a name itself.
func FuzzMojibake(f *testing.F) {
	for _, s := range people {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !utf8.ValidString(name) {
			return
		}
		doubled := fromLatin1(name)
		if once := fixMojibake(doubled); once != doubled && once != name {
			t.Fatalf("%q became %q", name, once)
		}
	})
}
