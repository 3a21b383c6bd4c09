package tool

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fake is a tool whose flag says what it does.
type fake struct{ does string }

func (f *fake) Bind(s *flag.FlagSet) string {
	s.StringVar(&f.does, "does", "work", "what it does")
	return "A fake."
}

func (f *fake) Check() error {
	if f.does == "" {
		return errors.New("-does must not be empty")
	}
	return nil
}

func (f *fake) Run(_ context.Context, dir string, _ io.Writer) (*Report, error) {
	if f.does == "fail" {
		return nil, errors.New("failed")
	}
	r := &Report{Title: "a table", Columns: []string{"a", "b", "c"}, Rows: []Row{
		{Name: "one", Values: Values{"a": 1, "c": 1234.5}, Ratios: Values{"a": 1}},
		{Name: "two", Values: Values{"a": 0.25}},
	}}
	r.Add("a figure", 12.5)
	if f.does == "break" {
		r.Violations = []string{"a promise: 1"}
	}
	return r, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)
}

// TestCommand: exit codes, and what is printed.
func TestCommand(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, c := range []struct {
		args     string
		code     int
		out, err string
	}{
		{"", 0, "; a table\n\n         a      ×     c  ×\n  one    1      1  1234  –\n  two  0.250  –     –  –\n\na figure: 12.500\n", ""},
		{"-h", 0, "", "A fake.\n\nFlags:\n  -does"},
		{"-does break", ExitViolation, "BROKEN: a promise: 1\n", ""},
		{"-does break -json", ExitViolation, `"broken": [`, ""},
		{"-does fail", ExitFailed, "", "failed\n"},
		{"-does= more", ExitFailed, "", "-does must not be empty\nunexpected argument \"more\"\n"},
		{"-deos fail", ExitFailed, "", "-deos"},
	} {
		var out, messages bytes.Buffer
		code := Command(t.Context(), new(fake), strings.Fields(c.args), &out, &messages)
		if code != c.code || !strings.Contains(words(out.String()), words(c.out)) || !strings.Contains(messages.String(), c.err) {
			t.Errorf("%q: %d\n%s%s", c.args, code, &out, &messages)
		}
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// words returns a text without the width of its columns.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }
