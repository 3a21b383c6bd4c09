package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/mod/modfile"
)

// TestManifest checks that the modules, versions and dependencies in xcaddy.json are
// those of the code and of go.mod.
func TestManifest(t *testing.T) {
	var m struct {
		Name, Description, Repository, License string
		Caddy                                  struct {
			GoModule            string `json:"go_module"`
			Modules, Directives []string
			Optional            []struct {
				GoModule     string `json:"go_module"`
				Modules      []string
				Dependencies []dependency
			}
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
	if "https://"+mod.Module.Mod.Path != m.Repository || mod.Module.Mod.Path != m.Caddy.GoModule {
		t.Errorf("repository %s, module %s", m.Repository, m.Caddy.GoModule)
	}
	if len(m.Caddy.Optional) != 1 {
		t.Fatalf("%d optional packages, want that of the store module", len(m.Caddy.Optional))
	}
	store := m.Caddy.Optional[0]
	var modules, stores, directives []string
	for _, id := range caddy.Modules() {
		switch name, isHandler := strings.CutPrefix(id, "http.handlers."); {
		case !strings.Contains(id, "huma"), name == "huma_sandbox":
		case strings.HasPrefix(id, "caddy_huma.stores."):
			stores = append(stores, id)
		default:
			modules = append(modules, id)
			if isHandler {
				directives = append(directives, name)
			}
		}
	}
	if !slices.Equal(m.Caddy.Modules, modules) || !slices.Equal(m.Caddy.Directives, directives) || !slices.Equal(store.Modules, stores) {
		t.Errorf("modules %v, directives %v and stores %v; registered are %v and %v", m.Caddy.Modules, m.Caddy.Directives, store.Modules, modules, stores)
	}
	if goVersion := strings.Join(strings.SplitN(mod.Go.Version, ".", 3)[:2], "."); m.Compatibility.Go != ">="+goVersion {
		t.Errorf("go %s, go.mod says %s", m.Compatibility.Go, mod.Go.Version)
	}
	want := dependenciesOf(t, mod, m.Caddy.GoModule)
	more := slices.DeleteFunc(dependenciesOf(t, mod, store.GoModule), func(d dependency) bool { return slices.Contains(want, d) })
	if !slices.Equal(m.Dependencies, want) || !slices.Equal(store.Dependencies, more) {
		plugin, _ := json.MarshalIndent(want, "", "  ")
		optional, _ := json.MarshalIndent(more, "", "  ")
		t.Errorf("dependencies are %s, and of the store also %s", plugin, optional)
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

// dependenciesOf returns the modules that a package imports, directly or through other
// packages of this module.
func dependenciesOf(t *testing.T, mod *modfile.File, pkg string) []dependency {
	t.Helper()
	list := exec.Command("go", "list", "-deps", "-f",
		`{{with .Module}}{{if .Main}}{{join $.Imports "\n"}}{{end}}{{end}}`, pkg)
	list.Stderr = os.Stderr
	imports, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	var deps []dependency
	for _, r := range mod.Require {
		imported := slices.ContainsFunc(strings.Fields(string(imports)), func(name string) bool {
			return name == r.Mod.Path || strings.HasPrefix(name, r.Mod.Path+"/")
		})
		if !imported {
			continue
		}
		if r.Indirect {
			t.Errorf("%s is imported and marked indirect", r.Mod.Path)
		}
		deps = append(deps, dependency{r.Mod.Path, r.Mod.Version})
	}
	slices.SortFunc(deps, func(a, b dependency) int { return strings.Compare(a.Module, b.Module) })
	return deps
}
