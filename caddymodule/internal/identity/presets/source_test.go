package presets

import (
	"slices"
	"strings"
	"testing"
)

func TestParseSource(t *testing.T) {
	for text, want := range map[string]Source{
		"Remote-Email":        {From: "Remote-Email"},
		"{user_email}":        {From: "{user_email}"},
		"Authorization email": {From: "Authorization", Paths: []string{"email"}},
		"Authorization email preferred_username upn": {From: "Authorization", Paths: []string{"email", "preferred_username", "upn"}},
		"{http.vars.a b} email upn":                  {From: "{http.vars.a b}", Paths: []string{"email", "upn"}},
		"A   a  b ":                                  {From: "A", Paths: []string{"a", "b"}},
		`A full\ name name`:                          {From: "A", Paths: []string{`full\ name`, "name"}},
		`A a\\ b`:                                    {From: "A", Paths: []string{`a\\`, "b"}},
		`A a\`:                                       {From: "A", Paths: []string{`a\`}},
		"A ":                                         {From: "A", Paths: []string{""}},
	} {
		got := ParseSource(text)
		if got.From != want.From || !slices.Equal(got.Paths, want.Paths) {
			t.Errorf("%q: %q %q", text, got.From, got.Paths)
		}
		if again := ParseSource(got.String()); again.From != got.From || !slices.Equal(again.Paths, got.Paths) {
			t.Errorf("%q: %q again", text, again)
		}
	}
}

func TestEscapePath(t *testing.T) {
	for path, want := range map[string]string{
		"email": "email", "full name": `full\ name`, `full\ name`: `full\ name`, `a\.b c`: `a\.b\ c`, `a\\ b`: `a\\\ b`, `a\`: `a\`, " ": `\ `, "": "",
	} {
		if got := EscapePath(path); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

func FuzzSource(f *testing.F) {
	f.Add("Authorization", "email", "full name")
	f.Add("{a b}", `a\`, `\ \\`)
	f.Fuzz(func(t *testing.T, from, a, b string) {
		if from == "" || strings.ContainsAny(from, " {}") || a == "" || b == "" || strings.HasSuffix(a, `\`) || strings.HasSuffix(b, `\`) {
			return
		}
		a, b = EscapePath(a), EscapePath(b)
		s := ParseSource(from + " " + a + " " + b)
		if s.From != from || !slices.Equal(s.Paths, []string{a, b}) {
			t.Fatalf("%q %q, not %q %q %q", s.From, s.Paths, from, a, b)
		}
	})
}
