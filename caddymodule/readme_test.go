package caddymodule

import (
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// TestReadmeIsWhole: the manual tells of every option, error and admin call.
func TestReadmeIsWhole(t *testing.T) {
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	words := map[string]bool{ // JSON names of what the Caddyfile writes as off, a first word or a second value
		"disabled": true, "algorithm": true, "preset": true, "mode": true, "upstream": true, "client_key": true, "burst": true, "ranges": true,
	}
	for _, name := range append(jsonNames(reflect.TypeFor[HumaToken]()), jsonNames(reflect.TypeFor[HumanAPIToken]())...) {
		if !words[name] && !strings.Contains(readme, name) {
			t.Errorf("the README does not tell of the option %s", name)
		}
	}
	for code := range problemTable {
		if !strings.Contains(readme, "\n#### "+string(code)+"\n") {
			t.Errorf("the README has no section %s, where the type of a problem leads", code)
		}
	}
	for path, call := range adminCalls {
		if !strings.Contains(readme, "| `"+call.methods[0]+" "+adminPath+path+"` |") {
			t.Errorf("the README does not tell of %s", path)
		}
	}
	for _, reason := range []healthReason{reasonStopping, reasonNoHandlers, reasonBreakerOpen, reasonStoreDown, reasonFilesUnreadable} {
		if !strings.Contains(readme, "`"+string(reason)+"`") {
			t.Errorf("the README does not tell of the reason %s", reason)
		}
	}
}

// TestReadmeTables: what the manual tells of presets is made of the rows that
// requests are read by, and of metrics of the table that they are made by. With
// -update-readme it is written anew.
func TestReadmeTables(t *testing.T) {
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	for name, table := range map[string]string{
		"presets": presetTable(identity.Presets()),
		"filters": filterTable(identity.Presets()),
		"metrics": metricsTable(metricTable),
	} {
		before, old, after := cutTable(t, readme, name)
		if old != table && !*updateReadme {
			t.Errorf("the README's table of %s is not that of the rows: run the test with -update-readme", name)
		}
		readme = before + table + after
	}
	if *updateReadme {
		if err := os.WriteFile("../README.md", []byte(readme), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReadmeLabels: the manual has a row for each value of a label and no other,
// which says what it means.
func TestReadmeLabels(t *testing.T) {
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := cutTable(t, string(b), "labels")
	written := strings.Split(strings.TrimSpace(table), "\n")[2:] // below the head
	rows := labelRows(metricTable)
	for i, row := range rows {
		if i >= len(written) {
			t.Fatalf("the README has no row %q", row)
		}
		if meaning, ok := strings.CutPrefix(written[i], row); !ok || meaning == "" || meaning == "|" {
			t.Fatalf("the README has the row %q, want %q and what it means", written[i], row)
		}
	}
	if more := written[len(rows):]; len(more) > 0 {
		t.Errorf("the README has the rows %q, which no label has", more)
	}
}

// cutTable finds the table of that name between its two comments.
func cutTable(t *testing.T, readme, name string) (before, table, after string) {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
	before, rest, ok := strings.Cut(readme, begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("the README has no lines %q and %q", begin, end)
	}
	return before + begin, table, end + after
}

var updateReadme = flag.Bool("update-readme", false, "write the tables of the README anew")

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
