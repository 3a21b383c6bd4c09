package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-huma/caddy-huma/internal/golden"
)

// The golden files of the adapter are in testdata/adapt, in Caddy's own form:
// a Caddyfile, a line of ten dashes, and what becomes of it. That is JSON in a
// file of its own, or the word "error:" and the whole text of the error in
// errors.txtar (the format of golang.org/x/tools/txtar).

const (
	goldenDir    = "../testdata/adapt"
	goldenSuffix = ".caddyfiletest"
	goldenErrors = goldenDir + "/errors.txtar"
	goldenRule   = "----------\n"
	errorMarker  = "error: "
)

// adaptCase is one case of the golden files.
type adaptCase struct {
	name            string
	input, expected string
}

// newAdaptCase reads a case. With -update it need not have a result yet.
func newAdaptCase(t *testing.T, name, text string) adaptCase {
	t.Helper()
	input, expected, found := strings.Cut(text, "\n"+goldenRule)
	if !found && !*golden.Update {
		t.Fatalf("%s has no line of ten dashes", name)
	}
	return adaptCase{name, strings.TrimRight(input, "\n") + "\n", strings.TrimRight(expected, "\n")}
}

// String is the case as it is written.
func (g adaptCase) String() string { return g.input + goldenRule + g.expected + "\n" }

// check compares what became of a case's Caddyfile. With -update it takes it.
func (g *adaptCase) check(t *testing.T, got string) {
	t.Helper()
	if got != g.expected && !*golden.Update {
		t.Errorf("got:\n%s\nwant:\n%s", got, g.expected)
	}
	g.expected = got
}

// goldens reads the cases that become JSON.
func goldens(t *testing.T) (all []adaptCase) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(goldenDir, "*"+goldenSuffix))
	if err != nil || files == nil {
		t.Fatalf("no golden files in %s: %v", goldenDir, err)
	}
	for _, file := range files {
		all = append(all, newAdaptCase(t, strings.TrimSuffix(filepath.Base(file), goldenSuffix), readGolden(t, file)))
	}
	return all
}

func readGolden(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// writeGolden writes a golden file, with -update.
func writeGolden(t *testing.T, file, text string) {
	t.Helper()
	if !*golden.Update {
		return
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// adaptText makes JSON of a Caddyfile as it stands, as `caddy adapt` does.
func adaptText(text string) ([]byte, []caddyconfig.Warning, error) {
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	return adapter.Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
}

func TestAdapt(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			config, warnings, err := adaptText(g.input)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range warnings {
				t.Errorf("warning: %v", w)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, config, "", "\t"); err != nil {
				t.Fatal(err)
			}
			g.check(t, pretty.String())
			writeGolden(t, filepath.Join(goldenDir, g.name+goldenSuffix), g.String())
			// What the adapter writes, the JSON config takes, and all of it.
			for _, handler := range tokenHandlers(t, config) {
				read := directiveNamed(t, handler["handler"]).new()
				delete(handler, "handler")
				written := mustJSON(t, handler)
				if err := caddy.StrictUnmarshalJSON(written, read); err != nil {
					t.Fatalf("the JSON does not load: %v", err)
				}
				if again := mustJSON(t, read); !sameJSON(t, written, again) {
					t.Errorf("the JSON loads as\n%s\nand was\n%s", again, written)
				}
			}
		})
	}
}

func TestL08_AdaptErrors(t *testing.T) {
	var written strings.Builder
	cases := strings.Split("\n"+readGolden(t, goldenErrors), "\n-- ")[1:]
	if len(cases) == 0 {
		t.Fatalf("no case in %s", goldenErrors)
	}
	for _, c := range cases {
		name, text, _ := strings.Cut(c, " --\n")
		g := newAdaptCase(t, name, text)
		t.Run(name, func(t *testing.T) {
			config, _, err := adaptText(g.input)
			if err == nil {
				t.Fatalf("no error, but %s", config)
			}
			if !strings.Contains(err.Error(), ", at Caddyfile:") {
				t.Errorf("no file and line: %v", err)
			}
			g.check(t, errorMarker+err.Error())
		})
		fmt.Fprintf(&written, "-- %s --\n%s", name, g)
	}
	writeGolden(t, goldenErrors, written.String())
}

// directiveOption is what is the same for every option of the directive: how
// it is written well, and whether it may repeat or have a block.
type directiveOption struct {
	line       string // a good one, without a block
	repeatable bool
	list       bool   // of any number of values
	block      string // a good line in its block, if it takes one
	blockAlone bool   // the block may stand behind the bare name
	off        bool   // off instead of a block
}

// TestL08_EveryOption checks what goes for every option alike.
func TestL08_EveryOption(t *testing.T) {
	for _, d := range bothDirectives {
		t.Run(d.name, func(t *testing.T) {
			missing := structFields(d.config)
			for name, o := range d.options() {
				delete(missing, name)
				d.checkOption(t, name, o)
			}
			for name := range missing {
				if !strings.Contains(name, ".") {
					t.Errorf("option %s is not in the table of this test", name)
				}
			}
		})
	}
}

func (d *tokenDirective) checkOption(t *testing.T, name string, o directiveOption) {
	wrong := func(what string, line int, says string, lines ...string) {
		t.Helper()
		text := d.text(lines...)
		config, _, err := adaptText(text)
		if err == nil {
			t.Errorf("%s: %s: no error, but %s", name, what, config)
			return
		}
		for _, want := range []string{says, fmt.Sprintf(", at Caddyfile:%d", line)} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %s: the error does not say %q: %v\n%s", name, what, want, err, text)
			}
		}
	}
	right := func(what string, lines ...string) {
		t.Helper()
		if _, _, err := adaptText(d.text(lines...)); err != nil {
			t.Errorf("%s: %s: %v", name, what, err)
		}
	}

	wrong("a misspelt name", 3, "unrecognized option '"+name+"s'", name+"s x")
	wrong("missing value", 3, "'"+name+"'", name)
	good := o.line
	if good == "" {
		good = name + " {\n" + o.block + "\n}"
	}
	right("good", good)
	if !o.repeatable {
		wrong("twice", 3+1+strings.Count(good, "\n"), "option '"+name+"' is given twice", good, good)
	}
	if !o.list && o.line != "" {
		wrong("a value too many", 3, "", o.line+" too many")
	}
	switch {
	case o.block == "":
		wrong("a block", 3, "takes no block", o.line+" {\n}")
		return
	case o.off:
		wrong("a block behind off", 3, "takes no block", o.line+" {", o.block, "}")
	case o.line != "":
		right("value and block", o.line+" {", o.block, "}")
	}
	block := name + " "
	if o.blockAlone {
		right("block", block+"{", o.block, "}")
		wrong("empty block", 4, "option '"+name+"' needs a block with options", block+"{", "}")
		if o.line == "" || o.off {
			wrong("neither off nor a block", 3, "option '"+name+"' takes", block+"on")
		}
	} else {
		block = o.line + " "
	}
	inner, _, _ := strings.Cut(o.block, " ")
	wrong("unknown in its block", 4, "unrecognized option 'colour'", block+"{", "colour red", "}")
	wrong("twice in its block", 5, "option '"+inner+"' is given twice", block+"{", o.block, o.block, "}")
	wrong("no value in its block", 4, "'"+inner+"'", block+"{", inner, "}")
	wrong("a block in its block", 4, "takes no block", block+"{", o.block+" {", "x", "}", "}")
}

// TestAdaptCoverage checks that the golden files hold every field of both
// handlers, so that a new one does not go without.
func TestAdaptCoverage(t *testing.T) {
	for _, d := range bothDirectives {
		fields := structFields(d.config)
		if d == humaToken {
			for _, kind := range []string{"ios", "android", "web"} {
				fields["client_id."+kind] = true
			}
		}
		for _, g := range goldens(t) {
			for _, handler := range tokenHandlers(t, []byte(g.expected)) {
				if handler["handler"] == d.name {
					forget(fields, "", handler)
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			t.Errorf("no file in %s has the field %s of %s", goldenDir, name, d.name)
		}
	}
}

// TestAdaptWarnsOfLiteralSecrets checks that a secret that will stand in the
// JSON is said, by its place and not by itself.
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
		if warned := strings.Contains(said, "literal secret"); warned != (option != "") {
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

// TestL08_NoSecretsInErrors checks that an error about a secret's line does
// not quote it.
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

// TestL08_OptionsOfTheOther: an option that only one directive has is unknown
// to the other, with the line it stands on.
func TestL08_OptionsOfTheOther(t *testing.T) {
	for _, d := range bothDirectives {
		for _, other := range bothDirectives {
			for name, o := range other.own {
				if _, has := d.own[name]; has {
					continue
				}
				line := o.line
				if line == "" {
					line = name + " {\n" + o.block + "\n}"
				}
				_, _, err := adaptText(d.text("identity basic_auth", line))
				if err == nil || !strings.Contains(err.Error(), "unrecognized option '"+name+"', at Caddyfile:4") {
					t.Errorf("%s in %s: got %v", name, d.name, err)
				}
			}
		}
	}
}

// tokenHandlers finds the handlers of this plugin in a config.
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

// directiveNamed finds the directive of a handler.
func directiveNamed(t *testing.T, handler any) *tokenDirective {
	t.Helper()
	n := slices.IndexFunc(bothDirectives, func(d *tokenDirective) bool { return d.name == handler })
	if n < 0 {
		t.Fatalf("there is no directive %v", handler)
	}
	return bothDirectives[n]
}

// structFields are the JSON names of a struct's fields, with a dot between the
// name of a nested struct and its fields'.
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

// forget removes the names that an object has.
func forget(fields map[string]bool, prefix string, object map[string]any) {
	for name, value := range object {
		delete(fields, prefix+name)
		if nested, ok := value.(map[string]any); ok {
			forget(fields, prefix+name+".", nested)
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

// sameJSON compares two JSON texts by what they say.
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
