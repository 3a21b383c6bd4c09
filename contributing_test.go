package caddyhuma

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/doc"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/golden"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

//go:generate go test . -run ^TestDocs_ -update

const contributing = "CONTRIBUTING.md"

// listed is a package as `go list -json` has it.
type listed struct {
	ImportPath, Doc string
	Imports         []string
}

const modulePath = "github.com/caddy-huma/caddy-huma/"

// packages are those of this module, by their path within it.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Doc,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]listed)
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		if path, ok := strings.CutPrefix(p.ImportPath, modulePath); ok {
			all[path] = p
		}
	}
}

// TestDocs_Packages checks that the table of packages consists of their package comments.
func TestDocs_Packages(t *testing.T) {
	var b strings.Builder
	b.WriteString("| package | |\n|---|---|\n")
	all := packages(t)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		var synopsis doc.Package
		text := synopsis.Synopsis(all[path].Doc)
		for _, prefix := range []string{"Package ", "Command "} {
			if rest, ok := strings.CutPrefix(text, prefix); ok {
				_, text, _ = strings.Cut(rest, " ")
			}
		}
		_, _ = fmt.Fprintf(&b, "| [`%s`](%s) | %s |\n", path, path, strings.TrimSuffix(text, "."))
	}
	golden.Part(t, contributing, "packages", b.String())
}

// TestDocs_Imports checks the graph of imports. It has no cycle, because Go does not
// allow one. A package is below all packages that it imports.
func TestDocs_Imports(t *testing.T) {
	all := packages(t)
	below := func(path string) (names []string) {
		for _, i := range all[path].Imports {
			if name, ok := strings.CutPrefix(i, modulePath); ok {
				names = append(names, name)
			}
		}
		return names
	}
	depth := make(map[string]int)
	var depthOf func(path string) int
	depthOf = func(path string) int {
		if d, known := depth[path]; known {
			return d
		}
		d := 0
		for _, i := range below(path) {
			d = max(d, depthOf(i)+1)
		}
		depth[path] = d
		return d
	}
	short := strings.NewReplacer("caddymodule/internal/", "", "caddymodule/", "").Replace
	var b strings.Builder
	b.WriteString("```text\n")
	paths := slices.SortedFunc(maps.Keys(all), func(x, y string) int {
		if d := depthOf(y) - depthOf(x); d != 0 {
			return d
		}
		return strings.Compare(x, y)
	})
	for _, path := range paths {
		if !strings.HasPrefix(path, "caddymodule") {
			continue
		}
		var names []string
		for _, i := range below(path) {
			names = append(names, short(i))
		}
		if len(names) == 0 {
			continue
		}
		slices.Sort(names)
		_, _ = fmt.Fprintf(&b, "%-14s → %s\n", short(path), strings.Join(names, " "))
	}
	b.WriteString("```\n")
	golden.Part(t, contributing, "imports", b.String())
}

// TestDocs_Serve checks that the description of a request is the code of the function.
func TestDocs_Serve(t *testing.T) {
	text := string(testutil.File(t, "caddymodule/internal/endpoint/endpoint.go"))
	_, rest, ok := strings.Cut(text, "\nfunc (e *Endpoint) serve(")
	body, _, ok2 := strings.Cut(rest, "\n}\n")
	if !ok || !ok2 {
		t.Fatal("there is no function serve")
	}
	golden.Part(t, contributing, "serve", "```go\nfunc (e *Endpoint) serve("+body+"\n}\n```\n")
}

// TestContributingPaths checks that the files that CONTRIBUTING.md names exist.
func TestContributingPaths(t *testing.T) {
	text := string(testutil.File(t, contributing))
	for _, part := range strings.Split(text, "](")[1:] {
		path, _, _ := strings.Cut(part, ")")
		path, _, _ = strings.Cut(path, "#")
		if path == "" || strings.Contains(path, "://") {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}
