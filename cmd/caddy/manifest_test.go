package main

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/mod/modfile"
)

// TestManifest keeps xcaddy.json true: what it says of modules, versions and
// dependencies is what the code and go.mod say.
func TestManifest(t *testing.T) {
	var m struct {
		Name, Description, Repository, License string
		Caddy                                  struct {
			GoModule            string `json:"go_module"`
			Modules, Directives []string
		}
		Compatibility struct{ Caddy, Go string }
		Dependencies  []dependency
	}
	b, err := os.ReadFile("../../xcaddy.json")
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		t.Fatal(err)
	}
	b, err = os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", b, nil)
	if err != nil {
		t.Fatal(err)
	}

	if m.Name != "caddy-huma" || m.Description == "" || m.License != "Apache-2.0" {
		t.Errorf("name, description or license: %+v", m)
	}
	if "https://"+mod.Module.Mod.Path != m.Repository || mod.Module.Mod.Path+"/caddymodule" != m.Caddy.GoModule {
		t.Errorf("repository %s, module %s", m.Repository, m.Caddy.GoModule)
	}
	var modules, directives []string
	for _, id := range caddy.Modules() {
		if strings.Contains(id, "huma") && !strings.Contains(id, "sandbox") {
			modules = append(modules, id)
			if name, ok := strings.CutPrefix(id, "http.handlers."); ok {
				directives = append(directives, name)
			}
		}
	}
	if !slices.Equal(m.Caddy.Modules, modules) || !slices.Equal(m.Caddy.Directives, directives) {
		t.Errorf("modules %v and directives %v, registered are %v", m.Caddy.Modules, m.Caddy.Directives, modules)
	}
	if goVersion := strings.Join(strings.SplitN(mod.Go.Version, ".", 3)[:2], "."); m.Compatibility.Go != ">="+goVersion {
		t.Errorf("go %s, go.mod says %s", m.Compatibility.Go, mod.Go.Version)
	}
	want := pluginDependencies(t, mod)
	if !reflect.DeepEqual(m.Dependencies, want) {
		b, _ := json.MarshalIndent(want, "", "  ")
		t.Errorf("dependencies are %s", b)
	}
	for _, d := range want {
		if d.Module == "github.com/caddyserver/caddy/v2" && m.Compatibility.Caddy != ">="+strings.TrimPrefix(d.Version, "v") {
			t.Errorf("caddy %s, go.mod says %s", m.Compatibility.Caddy, d.Version)
		}
	}
}

// dependency is a module that the plugin imports.
type dependency struct {
	Module  string `json:"module"`
	Version string `json:"version"`
}

// pluginDependencies are the modules that the plugin itself imports: not those
// of the sandbox, of cmd and of tests.
func pluginDependencies(t *testing.T, mod *modfile.File) []dependency {
	t.Helper()
	found := make(map[string]bool)
	err := filepath.WalkDir("../../caddymodule", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == "sandbox" {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imported := range file.Imports {
			name, err := strconv.Unquote(imported.Path.Value)
			if err != nil {
				return err
			}
			for _, r := range mod.Require {
				if name == r.Mod.Path || strings.HasPrefix(name, r.Mod.Path+"/") {
					found[r.Mod.Path] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var deps []dependency
	for _, r := range mod.Require {
		if found[r.Mod.Path] {
			if r.Indirect {
				t.Errorf("%s is imported and marked indirect", r.Mod.Path)
			}
			deps = append(deps, dependency{r.Mod.Path, r.Mod.Version})
		}
	}
	slices.SortFunc(deps, func(a, b dependency) int { return strings.Compare(a.Module, b.Module) })
	return deps
}
