package caddymodule

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/redis"
)

// parsed is a file of this package.
func parsed(t *testing.T, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// grammarOf is the comment about a directive's Caddyfile.
func grammarOf(t *testing.T, file string) string {
	t.Helper()
	for _, d := range parsed(t, file).Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "UnmarshalCaddyfile" {
			return f.Doc.Text()
		}
	}
	t.Fatalf("%s has no UnmarshalCaddyfile", file)
	return ""
}

// TestGrammarIsDocumented: the comment of UnmarshalCaddyfile has a line for
// every option, and no others.
func TestGrammarIsDocumented(t *testing.T) {
	// What the Caddyfile writes as a word, or behind one.
	notOptions := []string{"disabled", "algorithm", "preset", "mode", "upstream", "ranges", "client_key", "burst", "url", "store"}
	huma, human := grammarOf(t, "caddyfile.go"), grammarOf(t, "human.go")
	options := func(grammar string) (found []string) {
		for _, m := range regexp.MustCompile(`(?m)^\t *([a-z_]+)(?: |$)`).FindAllStringSubmatch(grammar, -1) {
			found = append(found, m[1])
		}
		return found
	}
	for _, c := range []struct {
		grammar   string
		directive string
		config    reflect.Type
		guest     []string // options of guest modules
		same      []string // what the other grammar tells of
	}{
		{huma, humaProvider.directive, reflect.TypeFor[HumaToken](), append(jsonNames(reflect.TypeFor[redis.Redis]()), "redis"), nil},
		{human, humanProvider.directive, reflect.TypeFor[HumanAPIToken](), nil, jsonNames(reflect.TypeFor[Common]())},
	} {
		written := options(c.grammar)
		names := append(jsonNames(c.config), c.guest...)
		for _, name := range names {
			if !slices.Contains(written, name) && !slices.Contains(notOptions, name) && !slices.Contains(c.same, name) {
				t.Errorf("the grammar of %s does not tell of %s", c.directive, name)
			}
		}
		for _, name := range written {
			if name != c.directive && !slices.Contains(names, name) {
				t.Errorf("the grammar of %s tells of %s, which there is not", c.directive, name)
			}
		}
		if !strings.Contains(c.grammar, "\t"+c.directive+" [<matcher>] {\n") {
			t.Errorf("the grammar of %s does not begin with it", c.directive)
		}
	}
	if !strings.Contains(human, "...           as in huma_token") {
		t.Error("the grammar of human_api_token does not tell where the rest is")
	}
}

// TestFieldsAreDocumented: each field of a config says what it is; fields that
// stand together share that. Caddy's site makes its documentation of it.
func TestFieldsAreDocumented(t *testing.T) {
	for _, name := range []string{"config.go", "config_human.go", "redis/redis.go"} {
		ast.Inspect(parsed(t, name), func(n ast.Node) bool {
			typ, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			fields, ok := typ.Type.(*ast.StructType)
			if !ok {
				return true
			}
			documented := false
			var end token.Pos
			for _, f := range fields.Fields.List {
				if f.Tag == nil { // what is embedded
					continue
				}
				// A field behind an empty line does not belong to those above.
				together := end.IsValid() && f.Pos()-end <= token.Pos(len("\n\t"))
				documented = f.Doc.Text() != "" || documented && together
				if !documented {
					t.Errorf("%s.%s has no comment", typ.Name, f.Names[0])
				}
				end = f.End()
			}
			return true
		})
	}
}

// TestWhereTheSecretGoes: without the option api, to Human API and nobody else.
func TestWhereTheSecretGoes(t *testing.T) {
	h := &HumanAPIToken{ClientID: "c", ClientSecret: "s"}
	var p option.Problems
	if c := h.readHuman(&p); p.Err() != nil || c.API.String() != "https://auth.humanapi.co" {
		t.Errorf("the secret goes to %s: %v", c.API, p.Err())
	}
}

// TestCaddyfileAndJSONHaveTheSameOptions: what is a field of the JSON is an
// option of the Caddyfile, and the other way round.
func TestCaddyfileAndJSONHaveTheSameOptions(t *testing.T) {
	tables := map[reflect.Type]option.Table{
		reflect.TypeFor[HumaToken]():     new(HumaToken).serviceOptions(),
		reflect.TypeFor[HumanAPIToken](): new(HumanAPIToken).serviceOptions(),
	}
	for config, own := range tables {
		var fields []string
		for f := range config.Fields() {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				fields = append(fields, name)
			}
		}
		slices.Sort(fields)
		if written := slices.Sorted(maps.Keys(own)); !slices.Equal(written, fields) {
			t.Errorf("%s: the Caddyfile has %q, JSON %q", config.Name(), written, fields)
		}
		for name := range new(Common).options() {
			if own[name] != nil {
				t.Errorf("%s: the option %s is its own and shared", config.Name(), name)
			}
		}
	}
}

// TestProblemsNameOptions: where an answer names options, the directive has
// them.
func TestProblemsNameOptions(t *testing.T) {
	// What human_api_token never answers: it knows no client types, reads no
	// body, and signs nobody up.
	never := []exchange.Code{
		codeClientTypeRequired, codeClientTypeUnknown, codeBodyInvalid,
		exchange.CodeNotRegistered, exchange.CodeRefused, exchange.CodeRegistrationLimited,
	}
	named := regexp.MustCompile(`options? ([a-z_]+(?:, [a-z_]+)*(?: and [a-z_]+)?)`)
	for p, config := range map[*provider]reflect.Type{
		humaProvider: reflect.TypeFor[HumaToken](), humanProvider: reflect.TypeFor[HumanAPIToken](),
	} {
		names := jsonNames(config)
		for code := range problemTable {
			if p == humanProvider && slices.Contains(never, code) {
				continue
			}
			detail := p.problemOf(code).detail
			for _, m := range named.FindAllStringSubmatch(detail, -1) {
				for _, name := range strings.FieldsFunc(strings.ReplaceAll(m[1], " and ", ","), func(r rune) bool { return r == ',' || r == ' ' }) {
					if !slices.Contains(names, name) {
						t.Errorf("%s of %s names %s, which is no option of it: %s", code, p.directive, name, detail)
					}
				}
			}
		}
		for code := range p.details {
			if _, ok := problemTable[code]; !ok {
				t.Errorf("%s has a detail for %s, which there is not", p.directive, code)
			}
		}
	}
}
