package report

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progressDelay is how long a step takes before it is shown.
const progressDelay = time.Second

// Progress shows on a terminal what a command waits for. A nil Progress shows nothing.
type Progress struct {
	w io.Writer

	mu    sync.Mutex
	timer *time.Timer // shows the present step; nil: there is none
	shown bool        // a step is on the terminal
}

// ProgressFor returns the Progress for w, usually standard error. It is nil if w is not a
// terminal.
func ProgressFor(w io.Writer) *Progress {
	if !isTerminal(w) {
		return nil
	}
	return &Progress{w: w}
}

// Step shows a step that takes longer than a second, until done is called or another
// step begins. Only one step is shown at a time.
func (p *Progress) Step(text string) (done func()) {
	if p == nil {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
	var t *time.Timer
	t = time.AfterFunc(progressDelay, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.timer == t {
			_, _ = fmt.Fprintf(p.w, "%s …", printable(text))
			p.shown = true
		}
	})
	p.timer = t
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.timer == t {
			p.end()
		}
	}
}

// End ends the present step, if there is one. Call it before printing other output.
func (p *Progress) End() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
}

// end stops the present step and clears its line. p.mu must be held.
func (p *Progress) end() {
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if p.shown {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}
