package caddymodule_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/humanapitoken"
	"github.com/caddy-huma/caddy-huma/caddymodule/humatoken"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
	"github.com/caddy-huma/caddy-huma/caddymodule/redis"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

//go:generate go test . ./internal/cli ./internal/metrics -run ^TestDocs_ -update

// TestEverythingIsDocumented checks that the documentation and the syntax comments name
// every option, and docs/errors.md has a heading for every error code. In
// docs/caddyfile.md, every option must stand at the beginning of a text in backquotes.
func TestEverythingIsDocumented(t *testing.T) {
	wants := func(file, before, after string, names ...string) {
		t.Helper()
		text := string(testutil.File(t, file))
		for _, name := range names {
			if !strings.Contains(text, before+name+after) {
				t.Errorf("%s does not name %s", file, name)
			}
		}
	}
	reference := string(testutil.File(t, "../docs/caddyfile.md"))
	huma, shared := options[humatoken.HumaToken](), options[redis.Redis]()
	human := []string{"api", "client_id", "client_secret", "extra_scopes", "refresh_tokens"}
	for _, name := range slices.Concat(huma, shared, options[humanapitoken.HumanAPIToken]()) {
		if !strings.Contains(reference, "**`"+name+"`") && !strings.Contains(reference, "**`"+name+" ") && !strings.Contains(reference, "\n`"+name+" ") {
			t.Errorf("docs/caddyfile.md does not describe the option %s", name)
		}
	}
	wants("../docs/human-api.md", "`", "`", human...)
	wants("../docs/redis.md", "`", "", shared...)
	wants("humatoken/caddyfile.go", "    ", " ", slices.Concat(huma, shared)...)
	wants("humanapitoken/humanapitoken.go", "    ", " ", human...)

	for code := range problem.Table { // the type of a problem is a link to its heading
		wants("../docs/errors.md", "\n## ", "\n", string(code))
	}
}

// TestSyntaxIsDocumented checks that the blocks in docs/caddyfile.md and docs/sandbox.md with
// the syntax of a directive are those in the comments of the code.
func TestSyntaxIsDocumented(t *testing.T) {
	for _, c := range []struct{ page, file, directive string }{
		{"../docs/caddyfile.md", "humatoken/caddyfile.go", "huma_token"},
		{"../docs/caddyfile.md", "humanapitoken/humanapitoken.go", "human_api_token"},
		{"../docs/sandbox.md", "sandbox/caddyfile.go", "huma_sandbox"},
	} {
		_, text, found := strings.Cut(string(testutil.File(t, c.file)), "\n//\t"+c.directive+" [<matcher>] {\n")
		body, _, closed := strings.Cut(text, "\n//\t}\n")
		if !found || !closed {
			t.Fatalf("%s has no syntax of %s", c.file, c.directive)
		}
		want := "```text\n" + c.directive + " [<matcher>] {\n"
		for line := range strings.Lines(body + "\n") {
			line = strings.TrimPrefix(strings.TrimPrefix(line, "//"), "\t")
			text := strings.TrimLeft(line, " ")
			want += strings.Repeat("\t", (len(line)-len(text))/4) + text
		}
		want += "}\n```\n"
		if !strings.Contains(string(testutil.File(t, c.page)), want) {
			t.Errorf("%s must have the syntax of %s:\n%s", c.page, c.directive, want)
		}
	}
}

// options returns the names of the options of a config struct in a Caddyfile.
func options[T any]() []string {
	notInACaddyfile := []string{"disabled", "algorithm", "preset", "mode", "upstream", "ranges", "client_key", "burst", "url", "store"} // the first word or value of an option
	return slices.DeleteFunc(jsonNames(reflect.TypeFor[T]()), func(name string) bool { return slices.Contains(notInACaddyfile, name) })
}

// TestFieldsAreDocumented checks that each field of a config has a comment. Consecutive
// fields may share one.
func TestFieldsAreDocumented(t *testing.T) {
	for _, file := range []string{"config/config.go", "humatoken/config.go", "humanapitoken/config.go", "redis/redis.go"} {
		last := ""
		for line := range strings.Lines(string(testutil.File(t, file))) {
			if strings.Contains(line, "`json:") && !strings.Contains(last, "`json:") && !strings.HasPrefix(last, "\t// ") {
				t.Errorf("%s: no comment above %s", file, line)
			}
			last = line
		}
	}
}

// jsonNames returns the JSON names of the fields of a config struct and of nested structs.
func jsonNames(typ reflect.Type) (names []string) {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct {
		return nil
	}
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" {
			names = append(names, name)
		}
		if name != "" || f.Anonymous && f.IsExported() {
			names = append(names, jsonNames(f.Type)...)
		}
	}
	return names
}
