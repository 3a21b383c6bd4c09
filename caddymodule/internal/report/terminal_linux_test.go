package report

import (
	"bufio"
	"strings"
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

// TestProgress: a step that takes longer than a second is shown until it is done, and a
// shorter one is not.
func TestProgress(t *testing.T) {
	terminal, screen := testutil.OpenTerminal(t, 50)
	p := ProgressFor(terminal)
	p.Step("short")()
	replaced := p.Step("replaced")
	done := p.Step("waiting for a\nresponse")
	replaced() // has no effect on the next step
	out := bufio.NewReader(screen)
	read := func(until byte) string {
		t.Helper()
		text, err := out.ReadString(until)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	shown := read('\xa6') // the last byte of the ellipsis
	done()
	done()
	if shown != "waiting for a; response …" {
		t.Errorf("shown: %q", shown)
	}
	if cleared := read('K'); !strings.HasPrefix(cleared, "\r") || !strings.HasSuffix(cleared, "\x1b[K") {
		t.Errorf("cleared with %q", cleared)
	}
}
