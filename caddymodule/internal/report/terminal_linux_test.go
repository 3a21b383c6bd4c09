package report

import (
	"io"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestTerminal: on a terminal, lines are wrapped at its width, and results are colored
// unless the user does not want colors.
func TestTerminal(t *testing.T) {
	terminal, _ := testutil.OpenTerminal(t, 50)
	for _, c := range []struct {
		noColor, term string
		want          Printer
	}{
		{"", "xterm", Printer{Width: 50, Color: true}},
		{"1", "xterm", Printer{Width: 50}},
		{"", "dumb", Printer{Width: 50}},
	} {
		t.Setenv("NO_COLOR", c.noColor)
		t.Setenv("TERM", c.term)
		if got := PrinterFor(terminal); got != c.want {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

// TestProgress: a step is shown until it is done or another one begins.
func TestProgress(t *testing.T) {
	terminal, screen := testutil.OpenTerminal(t, 50)
	p := ProgressFor(terminal)
	p.Step("first")
	p.Step("waiting for a\nresponse")()
	const clear = "\r\x1b[K"
	want := clear + "first …" + clear + "waiting for a; response …" + clear
	shown := make([]byte, len(want))
	if _, err := io.ReadFull(screen, shown); err != nil || string(shown) != want {
		t.Errorf("%q, %v; want %q", shown, err, want)
	}
}
