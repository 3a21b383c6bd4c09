package report

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal opens a pseudoterminal of 50 columns. What is written to terminal can be
// read from screen.
func openTerminal(t *testing.T) (terminal, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY)
	if errno != 0 {
		t.Fatal(errno)
	}
	terminal = os.NewFile(peer, "terminal")
	t.Cleanup(func() { _ = terminal.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 25, Col: 50}); err != nil {
		t.Fatal(err)
	}
	return terminal, screen
}

// TestTerminal: on a terminal, lines are wrapped at its width, and results are colored
// unless the user does not want colors.
func TestTerminal(t *testing.T) {
	terminal, _ := openTerminal(t)
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
	terminal, screen := openTerminal(t)
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
