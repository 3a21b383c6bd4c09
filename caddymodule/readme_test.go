package caddymodule

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/redis"
	"github.com/caddy-huma/caddy-huma/internal/golden"
)

//go:generate go test . -run ^TestDocs_ -update

// TestDocs_Readme: the README has the tables of presets and metrics.
func TestDocs_Readme(t *testing.T) {
	for name, table := range map[string]string{
		"presets": presetTable(identity.Presets()),
		"filters": filterTable(identity.Presets()),
		"metrics": metricsTable(metricTable),
	} {
		golden.Part(t, "../README.md", name, table)
	}
}

// TestReadmeLabels: the README has a row for each value of a label and no other,
// which says what it means.
func TestReadmeLabels(t *testing.T) {
	_, rest, _ := strings.Cut(string(fileContent(t, "../README.md")), "<!-- labels -->\n")
	table, _, _ := strings.Cut(rest, "<!-- end of labels -->\n")
	written := strings.SplitAfter(table, "\n")[2:] // below the head
	rows := labelRows(metricTable)
	if len(written)-1 != len(rows) {
		t.Fatalf("the README has %d rows, want %d", len(written)-1, len(rows))
	}
	for i, row := range rows {
		if meaning, ok := strings.CutPrefix(written[i], row); !ok || meaning == "|\n" {
			t.Errorf("the README has the row %q, want %q and what it means", written[i], row)
		}
	}
}

// TestEverythingIsDocumented: the documentation, and the comments from which
// pkg.go.dev and Caddy's site are made, name every option; the README also every
// error, admin call and reason of health.
func TestEverythingIsDocumented(t *testing.T) {
	wants := func(file, before, after string, names ...string) {
		t.Helper()
		text := string(fileContent(t, file))
		for _, name := range names {
			if !strings.Contains(text, before+name+after) {
				t.Errorf("%s does not name %s", file, name)
			}
		}
	}
	huma, human, shared := options[HumaToken](), options[HumanAPIToken](), options[redis.Redis]()
	wants("../README.md", "", "", slices.Concat(huma, human, shared)...)
	wants("../docs/redis.md", "`", "", shared...)
	wants("caddyfile.go", "    ", " ", slices.Concat(huma, shared)...)
	wants("human.go", "    ", " ", slices.Collect(maps.Keys(new(HumanAPIToken).serviceOptions()))...)

	for code := range problemTable { // the type of a problem is a link there
		wants("../README.md", "\n#### ", "\n", string(code))
	}
	for path, call := range adminCalls {
		wants("../README.md", "`"+call.methods[0]+" "+adminPath, "`", path)
	}
	for _, reason := range []healthReason{reasonStopping, reasonNoHandlers, reasonBreakerOpen, reasonStoreDown, reasonFilesUnreadable} {
		wants("../README.md", "`", "`", string(reason))
	}
}

// options are the names that options of a config struct have in a Caddyfile.
func options[T any]() []string {
	notInACaddyfile := []string{"disabled", "algorithm", "preset", "mode", "upstream", "ranges", "client_key", "burst", "url", "store"} // a first word or a second value there
	return slices.DeleteFunc(jsonNames(reflect.TypeFor[T]()), func(name string) bool { return slices.Contains(notInACaddyfile, name) })
}

// TestFieldsAreDocumented: each field of a config has a comment, which fields that
// stand together may share.
func TestFieldsAreDocumented(t *testing.T) {
	for _, file := range []string{"config.go", "config_human.go", "redis/redis.go"} {
		last := ""
		for line := range strings.Lines(string(fileContent(t, file))) {
			if strings.Contains(line, "`json:") && !strings.Contains(last, "`json:") && !strings.HasPrefix(last, "\t// ") {
				t.Errorf("%s: no comment above %s", file, line)
			}
			last = line
		}
	}
}

// jsonNames are the names of a config struct's fields, also of nested ones.
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
