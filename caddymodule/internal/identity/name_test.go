package identity

import (
	"context"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestNames(t *testing.T) {
	i := mustNew(t, Config{
		Email: "{http.auth.user.email}", Name: "{http.auth.user.name}",
		FirstName: "{http.auth.user.given_name}", LastName: "{http.auth.user.family_name}",
	})
	long := strings.Repeat("\u738b", 100) // 300 bytes
	tests := map[string]struct {
		name, first, last   any
		wantFirst, wantLast string
	}{
		"none":                       {nil, nil, nil, "", ""},
		"two":                        {"Ren\u00e9 M\u00fcller", nil, nil, "Ren\u00e9", "M\u00fcller"},
		"three":                      {"Anna Maria Miller", nil, nil, "Anna Maria", "Miller"},
		"single":                     {"Alice", nil, nil, "Alice", ""},
		"around":                     {"  Alice  Miller ", nil, nil, "Alice", "Miller"},
		"inner spaces stay":          {"Anna  Maria Miller", nil, nil, "Anna  Maria", "Miller"},
		"first and last win":         {"Somebody Else", "Anna Maria", "von Miller", "Anna Maria", "von Miller"},
		"first wins, last is filled": {"A. Miller", "Anna", nil, "Anna", "Miller"},
		"last wins, first is filled": {"Anna Miller", nil, "Smith", "Anna", "Smith"},
		"single beside last":         {"Miller", nil, "Miller", "", "Miller"},
		"single beside first":        {"Anna", "Anna", nil, "Anna", ""},
		"percent stays":              {"100% Bob", nil, nil, "100%", "Bob"},
		"percent sequence stays":     {"Ren%C3%A9", nil, nil, "Ren%C3%A9", ""},
		"words, Q":                   {"=?utf-8?q?Ren=C3=A9_M=C3=BCller?=", nil, nil, "Ren\u00e9", "M\u00fcller"},
		"words, B":                   {"=?UTF-8?B?UmVuw6kgTcO8bGxlcg==?=", nil, nil, "Ren\u00e9", "M\u00fcller"},
		"words, two":                 {"=?utf-8?q?Ren=C3=A9?= =?utf-8?q?_M=C3=BCller?=", nil, nil, "Ren\u00e9", "M\u00fcller"},
		"words in Latin-1":           {"=?iso-8859-1?q?Ren=E9?= Miller", nil, nil, "Ren\u00e9", "Miller"},
		"words that lie":             {"=?utf-8?q?Ren=E9?=", nil, nil, "Ren\u00e9", ""},
		"words beside Latin-1":       {"Ren\xe9 =?utf-8?q?M=C3=BCller?=", nil, nil, "Ren\u00e9", "M\u00fcller"},
		"words, unknown set":         {"=?x-none?q?Ren=E9?=", nil, nil, "", ""},
		"words, broken":              {"=?utf-8?q?Ren", nil, nil, "=?utf-8?q?Ren", ""},
		"words with a control":       {"=?utf-8?q?Al=0D=0Aice?=", nil, nil, "Alice", ""},
		"Latin-1":                    {"Ren\xe9 M\xfcller", nil, nil, "Ren\u00e9", "M\u00fcller"},
		"controls":                   {"Al\x00i\r\nce\x7f M\u0085iller", nil, nil, "Alice", "Miller"},
		"controls alone":             {"\x00\x01", nil, nil, "", ""},
		"long":                       {nil, long, long, long[:198], long[:198]},
		"long name":                  {long + " " + long, nil, nil, long[:198], long[:198]},
		"cut at a space":             {nil, strings.Repeat("a", 199) + " b", nil, strings.Repeat("a", 199), ""},
		"a list of one":              {[]string{"Alice Miller"}, nil, nil, "Alice", "Miller"},
		"no text":                    {7, true, []string{"a", "b"}, "", ""},
		"a placeholder's text":       {"{env.HOME}", nil, nil, "{env.HOME}", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := placeholders{"http.auth.user.name": tt.name, "http.auth.user.given_name": tt.first, "http.auth.user.family_name": tt.last}
			wantNames(t, i, withPlaceholders(p), tt.wantFirst, tt.wantLast)
		})
	}
	wantNames(t, i, withPlaceholders(nil), "", "")
	wantNames(t, byUser(t), withPlaceholders(placeholders{"http.auth.user.name": "Alice"}), "", "")
}

func TestNamesFromHeaders(t *testing.T) {
	i := mustNew(t, Config{Email: "Remote-Email", Name: "Remote-Name", Trust: trustProxy()})
	wantNames(t, i, fromProxy("Remote-Name", "Alice Miller"), "Alice", "Miller")
	wantNames(t, i, fromProxy("Remote-Name", "Alice", "Remote-Name", "Alice"), "", "")
	wantNames(t, i, fromProxy("Remote_Name", "Alice", "Remote.Name", "Alice"), "", "")
	r := fromProxy("Remote-Name", "Alice Miller")
	r.RemoteAddr = untrustedPeer
	wantNames(t, i, r, "", "")
}

func FuzzName(f *testing.F) {
	for _, s := range []string{
		"Alice Miller", "=?utf-8?q?Ren=C3=A9_M=C3=BCller?=", "Ren\xe9 M\xfcller", "=?utf-8?q?=FF=00?=", strings.Repeat("\u738b", 100),
		strings.Repeat("a", 199) + "\u00e9", strings.Repeat("=?utf-8?q?=C3?= ", 300), strings.Repeat("\x80", 5000), "\u0085 \u2028", "M\xfcller, J\xfcrgen", "Miller, M.D.", "(null)",
	} {
		f.Add(s)
	}
	i := mustNew(f, Config{Email: "{email}", Name: "{name}", FirstName: "{first}"})
	f.Fuzz(func(t *testing.T, raw string) {
		for _, source := range []string{"name", "first"} {
			first, last := i.Names(context.Background(), withPlaceholders(placeholders{source: raw}))
			for _, name := range []string{first.Reveal(), last.Reveal()} {
				switch {
				case len(name) > 200:
					t.Fatalf("%d bytes", len(name))
				case !utf8.ValidString(name):
					t.Fatalf("not UTF-8: %q", name)
				case strings.ContainsFunc(name, unicode.IsControl):
					t.Fatalf("a control character: %q", name)
				case name != strings.TrimSpace(name):
					t.Fatalf("not trimmed: %q", name)
				}
			}
		}
	})
}
