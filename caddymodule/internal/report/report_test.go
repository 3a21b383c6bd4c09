package report

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
)

var entries = []Entry{
	{"https://a.example", "connection", OK, "connected", ""},
	{"https://a.example", "token", Problem, "status 503\nwith a \x1b[31mcolor\x07 of its own", "try again in five seconds; see https://example.com/a/long/url"},
	{"b", "token", Warning, "größer – als erlaubt, ein langer Satz", "x"},
	{"b", "one", Skipped, "no connection", ""},
	{"b", "two", Skipped, "no connection", ""},
	{"b", "three", Skipped, "no connection", ""},
	{"c", "four", Skipped, "no connection", ""},
	{"c", "five", Skipped, "no connection", ""},
}

// TestPrint: the output for people, with and without the width of a terminal.
func TestPrint(t *testing.T) {
	for name, c := range map[string]struct {
		printer Printer
		want    string
	}{
		"not a terminal": {Printer{}, `
https://a.example
  connection  ok       connected
  token       problem  status 503; with a  [31mcolor  of its own
                       → try again in five seconds; see https://example.com/a/long/url
b
  token       warning  größer – als erlaubt, ein langer Satz
                       → x
  one         skipped  no connection (and the next 2 checks)
c
  four        skipped  no connection
  five        skipped  no connection
1 problem, 1 warning
`},
		"50 columns": {Printer{Width: 50}, `
https://a.example
  connection  ok       connected
  token       problem  status 503; with a
                       [31mcolor of its own
                       → try again in five
                         seconds; see
                         https://example.com/a/long/url
b
  token       warning  größer – als erlaubt, ein
                       langer Satz
                       → x
  one         skipped  no connection (and the next
                       2 checks)
c
  four        skipped  no connection
  five        skipped  no connection
1 problem, 1 warning
`},
		"too narrow": {Printer{Width: 30}, ""},
		"colors":     {Printer{Color: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := c.printer.Print(&out, entries); err != nil {
				t.Fatal(err)
			}
			got := out.String()
			switch {
			case c.printer.Color:
				for _, want := range []string{"\x1b[32mok     \x1b[0m  connected", "\x1b[31mproblem\x1b[0m  status", "\x1b[33mwarning\x1b[0m  größer", "  skipped  no"} {
					if !strings.Contains(got, want) {
						t.Errorf("without %q: %q", want, got)
					}
				}
				got = strings.NewReplacer("\x1b[32m", "", "\x1b[33m", "", "\x1b[31m", "", "\x1b[0m", "").Replace(got)
				fallthrough
			case c.want == "":
				var plain bytes.Buffer
				if err := (Printer{}).Print(&plain, entries); err != nil || plain.String() != got {
					t.Errorf("%v: %s", err, got)
				}
			case "\n"+got != c.want:
				t.Errorf("got\n%s\nwant%s", got, c.want)
			}
		})
	}
	if PrinterFor(new(bytes.Buffer)) != (Printer{}) || ProgressFor(io.Discard) != nil {
		t.Error("a buffer is taken for a terminal")
	}
	f, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if PrinterFor(f) != (Printer{}) || ProgressFor(f) != nil {
		t.Error("a file is taken for a terminal")
	}
	ProgressFor(f).Step("nothing")() // does not panic
}
