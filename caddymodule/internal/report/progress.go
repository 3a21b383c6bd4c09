package report

import (
	"fmt"
	"io"
	"os"
)

// Progress shows on a terminal what a command waits for. A nil Progress shows nothing.
type Progress struct{ w io.Writer }

// ProgressFor returns the Progress for w, usually standard error. It is nil if w is not a
// terminal, or one without escape sequences.
func ProgressFor(w io.Writer) *Progress {
	if !isTerminal(w) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return &Progress{w}
}

// Step shows a step until done is called or another step begins.
func (p *Progress) Step(text string) (done func()) {
	p.End()
	if p != nil {
		_, _ = fmt.Fprintf(p.w, "%s …", printable(text))
	}
	return p.End
}

// End clears the line of the present step. Call it before printing other output.
func (p *Progress) End() {
	if p != nil {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
	}
}
