package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-huma/caddy-huma/internal/golden"
)

// The golden files of the adapter are in testdata/adapt, in Caddy's own format:
// a Caddyfile, a line of ten dashes, and the result. Each *.caddyfiletest file has
// JSON as the result; the cases in errors.txtar (the format of
// golang.org/x/tools/txtar) have "error:" and the whole error message.

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

// newAdaptCase parses a case. With -update, the result may be missing.
func newAdaptCase(t *testing.T, name, text string) adaptCase {
	t.Helper()
	input, expected, found := strings.Cut(text, "\n"+goldenRule)
	if !found && !*golden.Update {
		t.Fatalf("%s has no line of ten dashes", name)
	}
	return adaptCase{name, strings.TrimRight(input, "\n") + "\n", strings.TrimRight(expected, "\n")}
}

// String returns the case in the format of the golden files.
func (g adaptCase) String() string { return g.input + goldenRule + g.expected + "\n" }

// check compares got with the expected result. With -update, it stores got instead.
func (g *adaptCase) check(t *testing.T, got string) {
	t.Helper()
	if got != g.expected && !*golden.Update {
		t.Errorf("got:\n%s\nwant:\n%s", got, g.expected)
	}
	g.expected = got
}

// goldens reads the cases with JSON as the result.
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

// writeGolden writes a golden file. Without -update, it does nothing.
func writeGolden(t *testing.T, file, text string) {
	t.Helper()
	if !*golden.Update {
		return
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// adaptText adapts a Caddyfile to JSON, as `caddy adapt` does.
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
			// The JSON config accepts the adapter's output and loses nothing of it.
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

// directiveOption describes the syntax of an option: a valid line, a valid block,
// and whether the option may be repeated.
type directiveOption struct {
	line       string // a good one, without a block
	repeatable bool
	list       bool   // of any number of values
	block      string // a good line in its block, if it takes one
	blockAlone bool   // the block may stand behind the bare name
	off        bool   // off instead of a block
}

// TestL08_EveryOption checks the errors that all options have in common.
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
		wrong("twice", 3+1+strings.Count(good, "\n"), "duplicate option '"+name+"'", good, good)
	}
	if !o.list && o.line != "" {
		wrong("a value too many", 3, "", o.line+" too many")
	}
	switch {
	case o.block == "":
		wrong("a block", 3, "does not take a block", o.line+" {\n}")
		return
	case o.off:
		wrong("a block behind off", 3, "does not take a block", o.line+" {", o.block, "}")
	case o.line != "":
		right("value and block", o.line+" {", o.block, "}")
	}
	block := name + " "
	if o.blockAlone {
		right("block", block+"{", o.block, "}")
		wrong("empty block", 4, "option '"+name+"' requires a block with at least one option", block+"{", "}")
		if o.line == "" || o.off {
			wrong("neither off nor a block", 3, "option '"+name+"' takes", block+"on")
		}
	} else {
		block = o.line + " "
	}
	inner, _, _ := strings.Cut(o.block, " ")
	wrong("unknown in its block", 4, "unrecognized option 'colour'", block+"{", "colour red", "}")
	wrong("twice in its block", 5, "duplicate option '"+inner+"'", block+"{", o.block, o.block, "}")
	wrong("no value in its block", 4, "'"+inner+"'", block+"{", inner, "}")
	wrong("a block in its block", 4, "does not take a block", block+"{", o.block+" {", "x", "}", "}")
}
