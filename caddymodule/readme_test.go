package caddymodule

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// TestReadmeIsWhole: the manual tells of every option, error and preset.
func TestReadmeIsWhole(t *testing.T) {
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	words := map[string]bool{ // JSON names of what the Caddyfile writes as off, a first word or a second value
		"disabled": true, "algorithm": true, "preset": true, "mode": true, "upstream": true, "client_key": true, "burst": true, "ranges": true,
	}
	for _, name := range jsonNames(reflect.TypeFor[HumaToken]()) {
		if !words[name] && !strings.Contains(readme, name) {
			t.Errorf("the README does not tell of the option %s", name)
		}
	}
	for code := range problemTable {
		if !strings.Contains(readme, "\n#### "+string(code)+"\n") {
			t.Errorf("the README has no section %s, where the type of a problem leads", code)
		}
	}
	for _, p := range identity.Presets() {
		if !strings.Contains(readme, "\n| `"+p.Name+"` | `"+p.Sources.Email+"` |") {
			t.Errorf("the README's table has no preset %s with %s", p.Name, p.Sources.Email)
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
