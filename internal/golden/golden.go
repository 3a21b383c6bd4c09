// Package golden compares the results of tests with the generated parts of the
// documentation, or writes them there.
package golden

import (
	"flag"
	"os"
	"strings"
	"testing"
)

// Update is the flag -update: tests write golden files and the generated parts
// of the documentation instead of comparing them.
var Update = flag.Bool("update", false, "write golden files and the generated parts of the documentation")

// Part compares the generated part of a file, which stands between the lines
// <!-- name --> and <!-- end of name -->, with text. With -update it writes it.
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
		t.Fatalf("%s has no lines %q and %q", file, begin, end)
	case old == text:
	case !*Update:
		t.Errorf("%s: %s is stale: run go generate ./... to write\n%s", file, name, text)
	default:
		if err := os.WriteFile(file, []byte(before+begin+text+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
