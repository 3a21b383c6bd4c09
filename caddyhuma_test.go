package caddyhuma

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/standard"
)

// The tests of this package see the plugin as a build without its store module
// has it.

// TestWithoutStoreModule checks that the plugin does not link a Redis client, and that a
// config that needs one has an error with the build command.
func TestWithoutStoreModule(t *testing.T) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("the binary has no build information")
	}
	for _, dep := range info.Deps {
		if strings.Contains(dep.Path, "redis") {
			t.Errorf("the plugin links %s", dep.Path)
		}
	}

	const (
		needs = "requires the module caddy_huma.stores.redis; build Caddy with: xcaddy build --with github.com/caddy-huma/caddy-huma --with github.com/caddy-huma/caddy-huma/caddymodule/redis"
		block = `http://localhost {
	huma_token {
		api http://localhost:1
		project_id p1
		deployment_id d1
		client_id c1
		secret {env.HOME}
		identity {
			email X-User
		}
		trust proxies 127.0.0.1
		cache {
			ttl 1m
			STORE
		}
	}
}`
	)
	adapt := func(store string) ([]byte, error) {
		adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
		config, _, err := adapter.Adapt([]byte(strings.Replace(block, "STORE", store, 1)), map[string]any{"filename": "Caddyfile"})
		return config, err
	}
	_, err := adapt("redis {\naddress localhost:6379\n}")
	if err == nil || !strings.Contains(err.Error(), "option 'redis' "+needs+", at Caddyfile:14") {
		t.Errorf("the Caddyfile: %v", err)
	}

	config, err := adapt("")
	if err != nil {
		t.Fatal(err)
	}
	load := func(cache string) error {
		var c caddy.Config
		text := strings.Replace(string(config), `"cache":{`, `"cache":{`+cache, 1)
		if err := caddy.StrictUnmarshalJSON([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		return caddy.Validate(&c)
	}
	if err := load(""); err != nil {
		t.Errorf("without a store: %v", err)
	}
	if err := load(`"store":{"module":"redis"},`); err == nil || !strings.Contains(err.Error(), "redis: "+needs) || !strings.Contains(err.Error(), "unknown module") {
		t.Errorf("JSON: %v", err)
	}
	if err := load(`"store":{"module":"postgres"},`); err == nil || strings.Contains(err.Error(), needs) || !strings.Contains(err.Error(), "unknown module: caddy_huma.stores.postgres") {
		t.Errorf("JSON, another store: %v", err)
	}
	if err := load(`"store":{},`); err == nil || !strings.Contains(err.Error(), "module") {
		t.Errorf("JSON, no name: %v", err)
	}
}

// TestRegistration follows the rules of the scanner of Caddy's module registry
// (github.com/caddyserver/moduledoc): a type with a CaddyModule method is
// registered by caddy.RegisterModule(new(T)) in its own package, and the method
// returns the ID as a string literal.
func TestRegistration(t *testing.T) {
	ids := make(map[string]string) // by package and type
	registered := make(map[string]bool)
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || path != "." && strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		in := filepath.Dir(path) + "."
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "CaddyModule" && n.Recv != nil {
					ids[in+receiver(n)] = literalID(n)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "RegisterModule" {
					registered[in+newOf(n)] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, stub := range []string{"caddymodule/internal/routecheck.stubHandler", "caddymodule/internal/routecheck.stubMatcher", "caddymodule/internal/routecheck.stubTransport"} {
		// The scanner skips a type whose ID is not a literal: these modules exist in a
		// command only.
		if id, ok := ids[stub]; !ok || id != "" {
			t.Errorf("the ID of %s is %q; the documentation would list it", stub, id)
		}
		delete(ids, stub)
	}
	for name, id := range ids {
		if id == "" {
			t.Errorf("%s: the ID is not a string literal in CaddyModule", name)
		}
		if !registered[name] {
			t.Errorf("%s is not registered as caddy.RegisterModule(new(T))", name)
		}
		found = append(found, id)
	}
	if len(registered) != len(ids) {
		t.Errorf("registered are %v, and these have a CaddyModule method: %v", registered, ids)
	}
	slices.Sort(found)
	want := []string{"admin.api.huma", "caddy_huma.stores.redis", "http.handlers.huma_sandbox", "http.handlers.huma_token", "http.handlers.human_api_token"}
	if !slices.Equal(found, want) {
		t.Errorf("modules %q, want %q", found, want)
	}
}

// receiver is the name of a method's type.
func receiver(f *ast.FuncDecl) string {
	expr := f.Recv.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	name, _ := expr.(*ast.Ident)
	return name.Name
}

// newOf is T of f(new(T)), or empty.
func newOf(call *ast.CallExpr) string {
	if len(call.Args) != 1 {
		return ""
	}
	made, ok := call.Args[0].(*ast.CallExpr)
	if !ok || len(made.Args) != 1 {
		return ""
	}
	if f, ok := made.Fun.(*ast.Ident); !ok || f.Name != "new" {
		return ""
	}
	name, _ := made.Args[0].(*ast.Ident)
	if name == nil {
		return ""
	}
	return name.Name
}

// literalID is the ID in the ModuleInfo that a method returns, or empty.
func literalID(f *ast.FuncDecl) (id string) {
	ast.Inspect(f, func(n ast.Node) bool {
		if pair, ok := n.(*ast.KeyValueExpr); ok {
			if name, ok := pair.Key.(*ast.Ident); ok && name.Name == "ID" {
				if text, ok := pair.Value.(*ast.BasicLit); ok && text.Kind == token.STRING {
					id, _ = strconv.Unquote(text.Value)
				}
			}
		}
		return true
	})
	return id
}
