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
// every option, and docs/errors.md has a heading for every error code.
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
	huma, shared := options[humatoken.HumaToken](), options[redis.Redis]()
	human := []string{"api", "client_id", "client_secret", "extra_scopes", "refresh_tokens"}
	wants("../docs/caddyfile.md", "", "", slices.Concat(huma, options[humanapitoken.HumanAPIToken]())...)
	wants("../docs/human-api.md", "`", "", human...)
	wants("../docs/redis.md", "`", "", shared...)
	wants("humatoken/caddyfile.go", "    ", " ", slices.Concat(huma, shared)...)
	wants("humanapitoken/humanapitoken.go", "    ", " ", human...)

	for code := range problem.Table { // the type of a problem is a link to its heading
		wants("../docs/errors.md", "\n## ", "\n", string(code))
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
