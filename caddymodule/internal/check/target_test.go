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

// TestLoadHint: the error of a file determines the hint. The errors are made here, because
// the tests may run as a user who may read all files.
func TestLoadHint(t *testing.T) {
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
		{"may not be read", open(syscall.EACCES), "sudo -u caddy"},
		{"is not there", open(syscall.ENOENT), "a relative one begins where Caddy is started"},
		{"leads nowhere", open(syscall.ELOOP), "it has to be a file that can be read"},
		{"is a directory", isDirectory, "it has to be a file that can be read"},
		{"a secret's file", p[1], "a relative one begins"},
		{"no value", p[0], "CADDY_HUMA_EMPTY=… in the environment"},
	} {
		if got := loadHint(c.err); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
	if got := loadHint(errors.New("x")); got != "" {
		t.Errorf("%q", got)
	}
}
