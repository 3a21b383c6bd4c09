package caddymodule_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/redis"
)

// TestAdaptCoverage checks that the golden files contain every field of both handlers and
// of the Redis store. A new field fails this test until a golden file has it.
func TestAdaptCoverage(t *testing.T) {
	for _, d := range bothDirectives {
		fields := structFields(d.config)
		if d == humaToken {
			for _, kind := range []string{"ios", "android", "web"} {
				fields["client_id."+kind] = true
			}
			for name := range structFields(reflect.TypeFor[redis.Redis]()) {
				fields["cache.store."+name] = true
			}
		}
		for _, g := range goldens(t) {
			for _, handler := range tokenHandlers(t, []byte(g.expected)) {
				if handler["handler"] == d.name {
					removeFields(fields, "", handler)
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			t.Errorf("no file in %s has the field %s of %s", goldenDir, name, d.name)
		}
	}
}

// TestAdaptWarnsOfLiteralSecrets checks that the adapter warns of a literal secret,
// with its option, file and line, and without the secret.
func TestAdaptWarnsOfLiteralSecrets(t *testing.T) {
	s := serve(t, `SITE {
		respond OK
	}`)
	t.Setenv("HUMA_TEST_LITERAL", "LITERAL")
	check := func(t *testing.T, d *tokenDirective, option string, lines ...string) {
		t.Helper()
		before := len(s.log())
		if _, _, err := adaptText(d.text(lines...)); err != nil {
			t.Fatal(err)
		}
		said := s.log()[before:]
		if warned := strings.Contains(said, "secret is written in plain text"); warned != (option != "") {
			t.Errorf("%s: warned: %v: %s", lines, warned, said)
		}
		if option != "" && (!strings.Contains(said, `"option":"`+option+`"`) || !strings.Contains(said, `"file":"Caddyfile"`) || !strings.Contains(said, `"line":`)) {
			t.Errorf("%s: the warning does not say where: %s", lines, said)
		}
		if strings.Contains(said, "LITE") {
			t.Errorf("%s: the warning holds the secret: %s", lines, said)
		}
	}
	for _, d := range bothDirectives {
		t.Run(d.name, func(t *testing.T) {
			literals := maps.Clone(d.literals)
			maps.Copy(literals, sharedLiterals)
			for option, lines := range literals {
				check(t, d, option, lines...)
				for written, warns := range map[string]bool{
					"LITE{RAL}": true, "{$HUMA_TEST_LITERAL}": true, "{env.HUMA_SECRET}": false, "{file./run/secrets/huma}": false,
				} {
					said := option
					if !warns {
						said = ""
					}
					check(t, d, said, strings.Split(strings.ReplaceAll(strings.Join(lines, "\n"), "LITERAL", written), "\n")...)
				}
			}
			check(t, d, "", "client_id LITERAL") // no secret
		})
	}
}

// TestL08_NoSecretsInErrors checks that an error about a line with a secret does
// not quote the secret.
func TestL08_NoSecretsInErrors(t *testing.T) {
	for _, d := range bothDirectives {
		literals := maps.Clone(d.literals)
		maps.Copy(literals, sharedLiterals)
		for option, lines := range literals {
			for _, written := range []string{"CANARY1 CANARY2", "CANARY1 CANARY2 CANARY3", "CANARY1 {\n}"} {
				text := d.text(strings.ReplaceAll(strings.Join(lines, "\n"), "LITERAL", written))
				_, _, err := adaptText(text)
				switch {
				case err == nil:
					t.Errorf("%s of %s: no error: %s", option, d.name, text)
				case strings.Contains(err.Error(), "CANARY"):
					t.Errorf("%s of %s: the error quotes the secret: %v", option, d.name, err)
				}
			}
		}
	}
}

// tokenHandlers returns the handlers of this plugin in a config.
func tokenHandlers(t *testing.T, config []byte) []map[string]any {
	t.Helper()
	var root any
	if err := json.Unmarshal(config, &root); err != nil {
		t.Fatal(err)
	}
	var found []map[string]any
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if v["handler"] == humaToken.name || v["handler"] == humanAPIToken.name {
				found = append(found, v)
			}
			for _, member := range v {
				walk(member)
			}
		case []any:
			for _, element := range v {
				walk(element)
			}
		}
	}
	walk(root)
	return found
}

// directiveNamed returns the directive with the given handler name.
func directiveNamed(t *testing.T, handler any) *tokenDirective {
	t.Helper()
	n := slices.IndexFunc(bothDirectives, func(d *tokenDirective) bool { return d.name == handler })
	if n < 0 {
		t.Fatalf("no directive is named %v", handler)
	}
	return bothDirectives[n]
}

// structFields returns the JSON names of the fields of a struct. The name of a
// field of a nested struct has the prefix of that struct: "cache.ttl".
func structFields(typ reflect.Type) map[string]bool {
	fields := make(map[string]bool)
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		nested := f.Type
		if nested.Kind() == reflect.Pointer {
			nested = nested.Elem()
		}
		prefix := name + "."
		switch {
		case !f.IsExported():
			continue
		case f.Anonymous:
			prefix = ""
		case name == "":
			panic("the field " + f.Name + " has no JSON name")
		default:
			fields[name] = true
		}
		if nested.Kind() == reflect.Struct {
			for inner := range structFields(nested) {
				fields[prefix+inner] = true
			}
		}
	}
	return fields
}

// removeFields removes the members of an object from fields.
func removeFields(fields map[string]bool, prefix string, object map[string]any) {
	for name, value := range object {
		delete(fields, prefix+name)
		if nested, ok := value.(map[string]any); ok {
			removeFields(fields, prefix+name+".", nested)
		}
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sameJSON reports whether two JSON texts have the same value.
func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}
