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

// fake is a tool whose flag selects the result of Run.
type fake struct{ result string }

func (f *fake) Bind(s *flag.FlagSet) string {
	s.StringVar(&f.result, "result", "success", "the result")
	return "A fake."
}

func (f *fake) Check() error {
	if f.result == "" {
		return errors.New("-result must not be empty")
	}
	return nil
}

func (f *fake) Run(_ context.Context, dir string, _ io.Writer) (*Report, error) {
	if f.result == "fail" {
		return nil, errors.New("failed")
	}
	r := &Report{Title: "a table", Columns: []string{"a", "b", "c"}, Rows: []Row{
		{Name: "one", Values: Values{"a": 1, "c": 1234.5}, Ratios: Values{"a": 1}},
		{Name: "two", Values: Values{"a": 0.25}},
	}}
	r.Add("a figure", 12.5)
	if f.result == "violation" {
		r.Violations = []string{"a guarantee: 1"}
	}
	return r, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)
}

// TestCommand checks exit codes and output.
func TestCommand(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, c := range []struct {
		args     string
		code     int
		out, err string
	}{
		{"", 0, "; a table\n\n         a      ×     c  ×\n  one    1      1  1234  –\n  two  0.250  –     –  –\n\na figure: 12.500\n", ""},
		{"-h", 0, "", "A fake.\n\nFlags:\n  -json"},
		{"-result violation", ExitViolation, "VIOLATION: a guarantee: 1\n", ""},
		{"-result violation -json", ExitViolation, `"violations": [`, ""},
		{"-result fail", ExitFailed, "", "failed\n"},
		{"-result= more", ExitFailed, "", "-result must not be empty\nunexpected argument \"more\"\n"},
		{"-reslut fail", ExitFailed, "", "-reslut"},
	} {
		var out, messages bytes.Buffer
		code := Command(t.Context(), new(fake), strings.Fields(c.args), &out, &messages)
		if code != c.code || !strings.Contains(words(out.String()), words(c.out)) || !strings.Contains(messages.String(), c.err) {
			t.Errorf("%q: %d\n%s%s", c.args, code, &out, &messages)
		}
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("%v was not deleted, %v", left, err)
	}
}

// words returns a text with single spaces instead of aligned columns.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }
