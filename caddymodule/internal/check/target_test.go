package check

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

// TestLoadErrorFix: the error of a file determines the fix. The errors are made here,
// because the tests may run as a user who may read all files.
func TestLoadErrorFix(t *testing.T) {
	t.Setenv("CADDY_HUMA_EMPTY", "")
	var p option.Errors
	p.Text("secret", "{env.CADDY_HUMA_EMPTY}")
	p.Text("secret", "{file./nonexistent/secret}")
	open := func(err error) error { return fmt.Errorf("ca: %w", &fs.PathError{Op: "open", Path: "x", Err: err}) }
	_, isDirectory := os.ReadFile("/")
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"no permission", open(syscall.EACCES), "sudo -u caddy"},
		{"not found", open(syscall.ENOENT), "a relative path starts at the working directory"},
		{"a link loop", open(syscall.ELOOP), "it must be a readable file"},
		{"a directory", isDirectory, "it must be a readable file"},
		{"a secret's file", p[1], "a relative path starts"},
		{"no value", p[0], "set CADDY_HUMA_EMPTY in the environment of Caddy"},
	} {
		if got := loadErrorFix(c.err); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
	if got := loadErrorFix(errors.New("x")); got != "" {
		t.Errorf("%q", got)
	}
}
