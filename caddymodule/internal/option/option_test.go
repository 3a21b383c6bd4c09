package option_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func TestExpand(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return "{file." + path + "}"
	}
	t.Setenv("HUMA_TEST_SET", "value")
	t.Setenv("HUMA_TEST_EMPTY", "")
	for text, want := range map[string]string{
		"":                           "",
		"plain":                      "plain",
		"{env.HUMA_TEST_SET}":        "value",
		"a-{env.HUMA_TEST_SET}-b":    "a-value-b",
		file("line", "text\r\n\n"):   "text",
		file("blanks", "  text \n"):  "  text ",
		file("bom", "\xef\xbb\xbft"): "t",
		"{sig.timestamp}":            "{sig.timestamp}", // the signature's
		`\{literal}`:                 "{literal}",
		"Bearer {env.HUMA_TEST_SET}": "Bearer value",
	} {
		if got, err := option.Expand(text); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"{env.HUMA_TEST_EMPTY}":          "environment variable HUMA_TEST_EMPTY is empty",
		"{env.HUMA_TEST_NONE}":           "environment variable HUMA_TEST_NONE is not set",
		file("empty", ""):                "is empty",
		file("white", " \n\t\n"):         "is empty",
		file("utf16", "\xff\xfet\x00"):   "UTF-16",
		file("nul", "a\x00b"):            "NUL",
		"{http.request.host}":            "unsupported placeholder: only",
		"{http.request.uri.path.file.a}": "{file.*} with a path that contains a slash",
		"{swordfish}":                    "unsupported placeholder: only",
	} {
		if got, err := option.Expand(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "swordfish") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	if _, err := option.Expand("{file." + dir + "/none}"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := option.Expand("{env.HUMA_TEST_EMPTY}"); err != nil {
		if v := testutil.As[*option.VariableError](t, err); v.Name != "HUMA_TEST_EMPTY" || !v.Set {
			t.Errorf("%+v", v)
		}
	}
}

// TestProblems: all errors are reported at once, with the option's name; what
// only follows from a placeholder that cannot be evaluated is not.
func TestProblems(t *testing.T) {
	var p option.Errors
	if p.Err() != nil {
		t.Error("there is a problem without one")
	}
	p.Add("a", nil)
	p.Add("a", errors.New("one"))
	p.Addf("b", "%d", 2)
	p.Text("c", "{env.HUMA_TEST_NONE}")
	if s := p.Secret("d", "swordfish"); s.Reveal() != "swordfish" {
		t.Error("another secret")
	}
	p.Join(errors.Join(errors.New("c: must not be empty"), errors.Join(errors.New("e: three"), nil), errors.New("f: four")))
	p.Join(nil)
	p.MinDuration("g", 0, time.Second)
	p.MinDuration("g", caddy.Duration(time.Second), time.Second)
	p.MinDuration("h", caddy.Duration(time.Millisecond), time.Second)
	p.MinDuration("i", -1, time.Second)
	p.AtLeast("j", 0, 1)
	p.AtLeast("k", -1, 1)
	if texts := p.Texts("l", []string{"x", "{env.HUMA_TEST_NONE}"}); len(texts) != 2 || texts[0] != "x" {
		t.Errorf("%q", texts)
	}
	if p.Texts("l", nil) != nil {
		t.Error("no values are a list")
	}
	want := []string{
		"a: one", "b: 2", "c: environment variable HUMA_TEST_NONE is not set", "e: three", "f: four",
		"h: must be at least 1s, not 1ms", "i: must be positive", "k: must be at least 1, not -1",
		"l: environment variable HUMA_TEST_NONE is not set",
	}
	if got := strings.Split(p.Err().Error(), "\n"); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if v := testutil.As[*option.VariableError](t, p.Err()); v.Name != "HUMA_TEST_NONE" || v.Set {
		t.Errorf("%+v", v)
	}
}

func TestHasPlaceholder(t *testing.T) {
	for text, want := range map[string]bool{"": false, "a": false, "{env.A}": true, "a{file./b}": true, "{http.a}": false, "env.A": false} {
		if option.HasPlaceholder(text) != want {
			t.Errorf("%q: %t", text, !want)
		}
	}
}

// TestFiles checks that the files of all options are found, however deep.
func TestFiles(t *testing.T) {
	t.Setenv("HUMA_TEST_DIR", "/run/huma")
	got := option.Files(map[string]any{
		"config_file": "{env.HUMA_TEST_DIR}/config.json",
		"secret":      "{file./run/secret}",
		"header_up":   map[string]any{"Authorization": []string{"Bearer {file./run/token} {file./run/more}"}},
		"api":         "https://a.example/{file}",
	})
	slices.Sort(got)
	if want := []string{"/run/huma/config.json", "/run/more", "/run/secret", "/run/token"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := option.Files(map[string]any{"api": "https://a.example"}); len(got) > 0 {
		t.Errorf("without files: %q", got)
	}
}
