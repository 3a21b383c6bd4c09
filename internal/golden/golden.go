// Package golden compares generated parts of the documentation with the results of tests,
// and updates them with the flag -update.
package golden

import (
	"flag"
	"os"
	"strings"
	"testing"
)

// Update is the flag -update: tests write golden files and generated parts of the
// documentation instead of comparing them. Default: false.
var Update = flag.Bool("update", false, "update golden files and generated parts of the documentation")

// Part compares text with the generated part of a file between the lines <!-- name -->
// and <!-- end of name -->. With -update, it writes text there.
func Part(t testing.TB, file, name, text string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
	before, rest, ok := strings.Cut(string(content), begin)
	old, after, ok2 := strings.Cut(rest, end)
	switch {
	case !ok || !ok2:
		t.Fatalf("%s: no lines %q and %q", file, begin, end)
	case old == text:
	case !*Update:
		t.Errorf("%s: generated part %q is outdated; run go generate ./... to update it. Want:\n%s", file, name, text)
	default:
		if err := os.WriteFile(file, []byte(before+begin+text+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
