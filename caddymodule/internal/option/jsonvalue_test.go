package option_test

import (
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestExpandJSON checks that values keep their types, and that a placeholder cannot add
// anything but text.
func TestExpandJSON(t *testing.T) {
	t.Setenv("HUMA_TEST_HOSTILE", `x","email":"evil@x.example`)
	t.Setenv("HUMA_TEST_NUMBER", "4")
	file := testutil.WriteFile(t, "secret", "s3cret\n")
	for text, want := range map[string]string{
		`4`:                           `4`,
		"4\n":                         `4`,
		`-0.00000123456789012345E-20`: `-0.00000123456789012345E-20`,
		`null`:                        `null`,
		`false`:                       `false`,
		`""`:                          `""`,
		`"{env.HUMA_TEST_NUMBER}"`:    `"4"`,
		`"{env.HUMA_TEST_HOSTILE}"`:   `"x\",\"email\":\"evil@x.example"`,
		`{"b":[{"a":"-{file.` + file + `}-"}, []]}`: `{"b":[{"a":"-s3cret-"},[]]}`,
		`{"{env.HUMA_TEST_UNSET}":{}}`:              `{"{env.HUMA_TEST_UNSET}":{}}`,
		`{"__proto__":{"constructor":1}}`:           `{"__proto__":{"constructor":1}}`,
		`"\\{literal}"`:                             `"{literal}"`,
		`"\u0000\ud83d\ude00"`:                      `"\u0000😀"`,
	} {
		got, err := option.ExpandJSON(text)
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestExpandJSONErrors(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + `"CANARY"` + strings.Repeat("]", n) }
	for text, want := range map[string]string{
		``:                                "is not JSON",
		`CANARY`:                          "is not JSON",
		`'CANARY'`:                        "is not JSON",
		`"CANARY`:                         "is not JSON",
		`"CANARY" 1`:                      "is not JSON",
		`{"CANARY":1,}`:                   "is not JSON",
		`{CANARY:1}`:                      "is not JSON",
		`01`:                              "is not JSON",
		`NaN`:                             "is not JSON",
		"\"CANARY\xff\"":                  "is not JSON",
		"\"CANARY\n\"":                    "is not JSON",
		`{env.CANARY}`:                    "is not JSON",
		`{"CANARY":1,"CANARY":2}`:         "two members with the same name",
		`[{"a":{"b":1,"\u0062":1}}]`:      "two members with the same name",
		`1e400`:                           "too large",
		`[12345678901234567890]`:          "more than 15 digits",
		`0.1234567890123456`:              "more than 15 digits",
		nested(21):                        "20 nested levels",
		nested(9000):                      "longer than 16 KiB",
		nested(8000):                      "20 nested levels",
		`"` + strings.Repeat("x", 16<<10): "longer than 16 KiB",
		`"{http.request.host}"`:           "unsupported placeholder",
		`["{env.HUMA_TEST_UNSET}"]`:       "HUMA_TEST_UNSET is not set",
	} {
		_, err := option.ExpandJSON(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%.40s: got %v, want %q", text, err, want)
		}
	}
	if _, err := option.ExpandJSON(nested(20)); err != nil {
		t.Error(err)
	}
}
