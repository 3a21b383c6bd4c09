package names

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

func TestParseEncoding(t *testing.T) {
	for s, want := range map[string]Encoding{
		"": Auto, "auto": Auto, "utf8": UTF8, "latin1": Latin1, "rfc2047": RFC2047, "percent": Percent, "base64": Base64,
	} {
		if e, ok := ParseEncoding(s); !ok || e != want {
			t.Errorf("%q: %v, %v", s, e, ok)
		}
	}
	for _, s := range []string{"UTF8", "utf-8", "Auto", " auto", "hex", "rfc5987"} {
		if _, ok := ParseEncoding(s); ok {
			t.Errorf("%q is an encoding", s)
		}
	}
}

// people are real names.
var people = []string{
	"Alice", "Alice Miller", "100% Bob", "Ren%C3%A9", "Bob+Alice", "UmVuw6k=", "O'Brien", "d'O'Brien", "D’Angelo", "L'Hôpital",
	"René", "Müller-Lüdenscheidt", "Ångström", "Åse", "Åsa Öberg", "Đặng", "Nguyễn Thị Ánh", "Ó Súilleabháin", "São", "João", "JOÃO", "Ã", "Â", "Å", "Ä",
	"Ðorđe", "Łukasz", "Žižek", "Škoda", "ŠÍP", "Þór", "Øystein Æsøy", "Weiß", "İbrahim Çağlar", "Ştefan Țepeș", "Ōno", "Noël", "Zoë", "Mª José", "Àlex Ballvé", "Gal·la",
	"José Nº 2", "«Pepe»", "Anne–Marie", "Kealiʻi", "Søren Kierkegaard", "Çiğdem Ünal", "ÉRIC", "MÜLLER", "MÖLLER", "GROẞ",
	// In these, two or three characters could be mistaken for one that was encoded
	// twice.
	"KRÍŽ", "RÓŽA", "LÝŠKA", "HRÚŠKA", "ALÉŠ", "JOSÉ’S", "JOSÉ´S", "José “PEPÉ” X", "RENÉ–LUC", "JOSÉ\u00a0GARCIA", "Weiß–Schmidt", "Weiß\u00a0Adam", "BRØ\u00a0NIELSEN",
	"Tomáš\u00a0Karl", "Tomáš–Karl", "Tomáš’s", "Kríž–Kovac", "NOÉ…",
	"张伟", "司马相如", "山田 太郎", "やまだ たろう", "김철수", "Иван Петров", "Γιώργος Παπαδόπουλος", "דוד לוי", "محمد علی", "علی\u200cرضا", "प्रिया शर्मा", "श्री\u200dमती", "สมชาย ใจดี", "ქეთევან", "Հայկ", "ብርሃን",
	"🦊", "👩🏽\u200d💻 Ada", "Zoe\u0308", "a=?b", "=?", "=?=", "=?utf-8?q?Ren", "=?utf-8?x?Ren?=", "= ?utf-8?q?R?=",
}

func TestRealNamesUnchanged(t *testing.T) {
	for _, name := range people {
		for _, e := range []Encoding{Auto, UTF8} {
			if got := e.Decode(name); got != name {
				t.Errorf("%d: %q became %q", e, name, got)
			}
		}
		if strings.ContainsAny(name, "%=") {
			continue
		}
		for _, e := range []Encoding{RFC2047, Percent} {
			if got := e.Decode(name); got != name {
				t.Errorf("%d: %q became %q", e, name, got)
			}
		}
	}
}

// TestRealNamesFromLatin1 decodes the names that Latin-1 or Windows-1252 can encode.
func TestRealNamesFromLatin1(t *testing.T) {
	n := 0
	for _, name := range people {
		raw, err := charmap.Windows1252.NewEncoder().String(name)
		if err != nil || utf8.ValidString(raw) {
			continue // bytes that are valid UTF-8 are read as UTF-8
		}
		n++
		for _, e := range []Encoding{Auto, Latin1, RFC2047, Percent} {
			if got := e.Decode(raw); got != name {
				t.Errorf("%d: %q became %q", e, name, got)
			}
		}
		if got := UTF8.Decode(raw); got != "" {
			t.Errorf("%q is not UTF-8 and became %q", raw, got)
		}
	}
	if n < 20 {
		t.Errorf("only %d names", n)
	}
}

// TestRealNamesMojibake decodes names that were encoded twice, by software that mistook
// UTF-8 for Latin-1 or Windows-1252.
func TestRealNamesMojibake(t *testing.T) {
	latin1 := func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			b.WriteRune(rune(s[i]))
		}
		return b.String()
	}
	for _, name := range people {
		for _, again := range []func(string) string{latin1, fromLatin1} {
			once := again(name)
			if got := Auto.Decode(once); got != name {
				t.Errorf("%q, sent as %q, became %q", name, once, got)
			}
			if got := UTF8.Decode(once); got != sanitize(once) {
				t.Errorf("%q was changed to %q", once, got)
			}
		}
	}
}

func TestDecode(t *testing.T) {
	type row struct{ raw, want string }
	tests := map[Encoding][]row{
		Auto: {
			{"", ""},
			{" \t\r\n", ""},
			{"  Alice  Miller ", "Alice  Miller"},
			{"Ren\xe9", "René"},
			{"Ren\xe9 M\xfcller", "René Müller"},
			{"D\x92Angelo", "D’Angelo"}, // Windows-1252
			{"RenÃ©", "René"},
			{"RenÃ© MÃ¼ller", "René Müller"},
			{"Ã‰ric", "Éric"},
			{"Ã\u0089ric", "Éric"},
			{"Dâ€™Angelo", "D’Angelo"},
			{"å¼\u00a0ä¼Ÿ", "张伟"},
			{"æž—", "æž—"}, // 林; may be a correct name
			{"É™li", "əli"},
			{"RenÃƒÂ©", "RenÃ©"}, // encoded three times: only one encoding is undone
			{"RenÃ© Müller", "RenÃ© Müller"},
			{"RenÃ© 张", "RenÃ© 张"},
			// encoded words (RFC 2047)
			{"=?utf-8?q?Ren=C3=A9_M=C3=BCller?=", "René Müller"},
			{"=?UTF-8?B?UmVuw6kgTcO8bGxlcg==?=", "René Müller"},
			{"=?utf-8?q?Ren=C3=A9?= =?utf-8?q?_M=C3=BCller?=", "René Müller"},
			{"=?utf-8?q?Ren=C3=A9?=\r\n\t=?utf-8?q?_M=C3=BCller?=", "René Müller"},
			{"=?utf-8?q?Ren=C3?= =?utf-8?q?=A9?=", "René"},
			{"=?iso-8859-1?q?Ren=E9?= Miller", "René Miller"},
			{"=?ISO-8859-1*fr?Q?Ren=E9?=", "René"},
			{"=?utf-8*fr?q?Ren=C3=A9?=", "René"},
			{"=?us-ascii?q?Alice?=", "Alice"},
			{"=?windows-1252?q?D=92Angelo?=", "D’Angelo"},
			{"=?iso-8859-15?q?=BDuvre?=", ""},
			{"=?utf-8?q?Ren=E9?=", "René"},
			{"=?utf-8?q?Ren=C3=83=C2=A9?=", "René"},
			{"Ren\xe9 =?utf-8?q?M=C3=BCller?=", "René Müller"},
			{"=?x-none?q?Ren=E9?=", ""},
			{"=?utf-8?q?Al=0D=0Aice?=", "Alice"},
			{"=?utf-8?q?=3D=3Futf-8=3Fq=3FBob=3F=3D?=", "=?utf-8?q?Bob?="},
			{"=?utf-8?q?UTF-8''Bob?=", "UTF-8''Bob"},
			// extended values (RFC 5987)
			{"UTF-8''Ren%C3%A9", "René"},
			{"utf-8''Ren%c3%a9%20M%C3%BCller", "René Müller"},
			{" UTF-8'fr-CA'Ren%C3%A9 ", "René"},
			{"iso-8859-1'en'%A3", "£"},
			{"ISO-8859-15''%A4", "ISO-8859-15''%A4"},
			{"UTF-8''Ren%E9", "René"},
			{"UTF-8''Ren%C3%83%C2%A9", "René"},
			{"UTF-8''100%25%20Bob", "100% Bob"},
			{"UTF-8''Sean%20O'Brien", "Sean O'Brien"},
			{"UTF-8''Al%0D%0Aice", "Alice"},
			{"UTF-8''%2541", "%41"},
			{"UTF-8''", ""},
			{"UTF-8''100%", "UTF-8''100%"},
			{"UTF-8''%4", "UTF-8''%4"},
			{"UTF-8''%zz", "UTF-8''%zz"},
			{"UTF-8''René", "UTF-8''René"},
			{"UTF-8'f r'Ren%C3%A9", "UTF-8'f r'Ren%C3%A9"},
			{"UTF-8'Ren%C3%A9", "UTF-8'Ren%C3%A9"},
			{"koi8-r''%C3", "koi8-r''%C3"},
			{"Alice UTF-8''Ren%C3%A9", "Alice UTF-8''Ren%C3%A9"},
			{"O'B'%41", "O'B'%41"},
			// removed characters
			{"Al\x00i\r\nce\x7f M\u0085iller", "Alice Miller"},
			{"\x00\x01", ""},
			{"Anna\tMiller", "Anna Miller"},
			{"ali\u202eecim\u202c", "aliecim"},
			{"\u2066A\u2069\u200e\u200f\u061c", "A"},
			{"\ufeffAli\u200bce\u2028", "Alice"},
			{"\u0085 \u2028", ""},
			{"A\u2061B\u00adC\U000e0041D E\u3164", "ABCD E"},
			{"\u200c\u0646\u200d", "\u200c\u0646\u200d"},
			{"\u00a0\u3000Alice\u00a0", "Alice"},
			// nothing else is decoded
			{"{env.HOME}", "{env.HOME}"},
			{"{http.request.header.Cookie}", "{http.request.header.Cookie}"},
			{"Ren&eacute;", "Ren&eacute;"},
			{`Ren\u00e9`, `Ren\u00e9`},
		},
		UTF8: {
			{"", ""},
			{" René ", "René"},
			{"Ren\xe9", ""},
			{"RenÃ©", "RenÃ©"},
			{"=?utf-8?q?Ren=C3=A9?=", "=?utf-8?q?Ren=C3=A9?="},
			{"UTF-8''Ren%C3%A9", "UTF-8''Ren%C3%A9"},
			{"A\u202eB\x00", "AB"},
		},
		Latin1: {
			{"", ""},
			{"Ren\xe9", "René"},
			{"René", "RenÃ©"},
			{"\x8aime D\x92Angelo", "Šime D’Angelo"},
			{"A\x81\x8dB\xa0", "AB"},
			{"=?utf-8?q?Bob?=", "=?utf-8?q?Bob?="},
		},
		RFC2047: {
			{"", ""},
			{"=?utf-8?q?Ren=C3=A9_M=C3=BCller?=", "René Müller"},
			{"=?utf-8?q?Ren=C3=83=C2=A9?=", "RenÃ©"},
			{"=?x-none?q?Ren=E9?=", ""},
			{"UTF-8''Ren%C3%A9", "UTF-8''Ren%C3%A9"},
			{"Ren\xe9", "René"},
			{"Alice", "Alice"},
		},
		Percent: {
			{"", ""},
			{"Ren%C3%A9%20M%c3%bcller", "René Müller"},
			{"Ren%E9", "René"},
			{"100% Bob", "100% Bob"},
			{"100% Ren%C3%A9", "100% René"},
			{"100%", "100%"},
			{"%4", "%4"},
			{"%%41%", "%A%"},
			{"%2541", "%41"},
			{"Bob+Alice", "Bob+Alice"},
			{"Al%00ice%0A%E2%80%AE", "Alice"},
			{"UTF-8''Ren%C3%A9", "UTF-8''René"},
			{"=?utf-8?q?Bob?=", "=?utf-8?q?Bob?="},
			{"Ren%C3%83%C2%A9", "RenÃ©"},
		},
		Base64: {
			{"", ""},
			{"UmVuw6k=", "René"},
			{"UmVuw6k", "René"},
			{" UmVuw6k=\t", "René"},
			{"UmVu6Q==", "René"},
			{"8J+mig==", "🦊"},
			{"8J-mig", "🦊"},
			{"QWxp\r\nY2U=", "Alice"},
			{"QQBB", "AA"},
			{"René", ""},
			{"Alice Miller", ""},
			{"A", ""},
			{"UmVu*w6k", ""},
			{"Um=Vu", ""},
			{"====", ""},
		},
	}
	for e, rows := range tests {
		for _, r := range rows {
			t.Run(fmt.Sprintf("%d %q", e, r.raw), func(t *testing.T) {
				if got := e.Decode(r.raw); got != r.want {
					t.Errorf("%q, want %q", got, r.want)
				}
			})
		}
	}
}

// TestDecodeLong checks that a long name is truncated before decoding, and that a rune
// cut in half does not cause it to be read as Latin-1.
func TestDecodeLong(t *testing.T) {
	long := strings.Repeat("王", 5000)
	percent := func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
		return b.String()
	}
	encode := map[Encoding]string{
		Auto: long, UTF8: long, RFC2047: long, Percent: percent(long),
		Base64: base64.StdEncoding.EncodeToString([]byte(long)),
	}
	for e, raw := range encode {
		got := e.Decode(raw)
		if !strings.HasPrefix(got, strings.Repeat("王", 100)) || len(got) > maxRaw {
			t.Errorf("%d: %d bytes, %.20q", e, len(got), got)
		}
		if first := Limit(got); first != strings.Repeat("王", 66) {
			t.Errorf("%d: %q", e, first)
		}
	}
	if got := Latin1.Decode(strings.Repeat("\xe9", 5000)); got != strings.Repeat("é", maxRaw) && got != strings.Repeat("é", maxRaw-1) {
		t.Errorf("%d bytes", len(got))
	}
}

func TestSplit(t *testing.T) {
	for name, want := range map[string][2]string{
		"":                      {"", ""},
		"Alice":                 {"Alice", ""},
		"Alice Miller":          {"Alice", "Miller"},
		"Anna Maria Miller":     {"Anna Maria", "Miller"},
		"Anna  Maria   Miller":  {"Anna  Maria", "Miller"},
		"100% Bob":              {"100%", "Bob"},
		"José\u00a0García":      {"José", "García"},
		"太郎\u3000山田":            {"太郎", "山田"},
		"Müller-Lüdenscheidt X": {"Müller-Lüdenscheidt", "X"},
	} {
		if first, last := Split(name); first != want[0] || last != want[1] {
			t.Errorf("%q: %q, %q", name, first, last)
		}
	}
}

func TestLimit(t *testing.T) {
	a := func(n int) string { return strings.Repeat("a", n) }
	tests := map[string][2]string{
		"empty":               {"", ""},
		"exact":               {a(200), a(200)},
		"long":                {a(201), a(200)},
		"two bytes":           {a(199) + "é", a(199)},
		"three bytes":         {strings.Repeat("王", 100), strings.Repeat("王", 66)},
		"four bytes":          {a(197) + "🦊", a(197)},
		"at a space":          {a(199) + " b", a(199)},
		"an accent":           {a(199) + "\u0301", a(199)},
		"an accent that fits": {a(198) + "\u0301", a(198) + "\u0301"},
		"many accents":        {"a" + strings.Repeat("\u0301", 200), "a" + strings.Repeat("\u0301", 99)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Limit(tt[0]); got != tt[1] {
				t.Errorf("%q (%d bytes), want %q", got, len(got), tt[1])
			}
		})
	}
}
