package rediscache

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"sync"
)

var (
	errUnasked = errors.New("an answer that nobody has asked for")
	errAnswer  = errors.New("an answer that is none to what was asked")
	errRESP2   = errors.New("it does not speak RESP3, as Redis does since version 6")
	errMany    = errors.New("too many subscriptions at once")
)

// dialog holds what a server says against what it was asked. rueidis takes a
// server's word for it: it panics, in goroutines of its own, at answers that
// nobody has asked for and at some that are none to what was asked. What is let
// through here is nothing of that kind.
type dialog struct {
	mu       sync.Mutex
	out, in  *framing
	err      error // the first one: nothing is let through any more
	greeted  bool
	asked    int // commands so far
	answered int // of them
	confirms int // still to come: a SUBSCRIBE of several channels has as many
	special  []question
}

// question is a command of which not every answer will do.
type question struct {
	number   int // of the command
	kind     questionKind
	channels int // of a subscription
	least    int // elements in the answer
}

type questionKind uint8

const (
	subscribes   questionKind = iota + 1
	unsubscribes              // rueidis sends a PING behind it, whose answer counts
	lists
)

// maxSpecial is how many such commands may wait for an answer.
const maxSpecial = 8

func newDialog() *dialog {
	d := &dialog{special: make([]question, 0, maxSpecial)}
	d.out = newFraming(math.MaxInt, d.ask)
	d.in = newFraming(maxAnswer, d.hear)
	return d
}

// said and heard check what goes out and what has come in.
func (d *dialog) said(b []byte) error { return d.check(d.out, b) }

func (d *dialog) heard(b []byte) error { return d.check(d.in, b) }

func (d *dialog) check(f *framing, b []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		if err := f.read(b); err != nil {
			d.err = fmt.Errorf("the server cannot be understood: %w", err)
		}
	}
	return d.err
}

// ask notes a command.
func (d *dialog) ask(m *summary) error {
	q := question{number: d.asked}
	d.asked++
	switch name := &m.words[0]; {
	case name.is("HELLO"):
		if d.greeted { // the first one was refused, and RESP2 comes next
			return errRESP2
		}
		d.greeted = true
	case name.is("SUBSCRIBE"):
		q.kind, q.channels = subscribes, m.n-1
	case bytes.HasSuffix(name.start(), []byte("UNSUBSCRIBE")):
		q.kind = unsubscribes
	case name.is("ROLE"):
		q.kind, q.least = lists, 1
	case m.words[1].is("GET-MASTER-ADDR-BY-NAME"):
		q.kind, q.least = lists, 2
	}
	switch {
	case q.kind == 0:
		return nil
	case len(d.special) == maxSpecial:
		return errMany
	}
	d.special = append(d.special, q)
	return nil
}

// next is what there is to know of the command whose turn it is.
func (d *dialog) next() question {
	if len(d.special) > 0 && d.special[0].number == d.answered {
		return d.special[0]
	}
	return question{}
}

// take takes an answer for the next commands.
func (d *dialog) take(n int) error {
	if d.asked-d.answered < n {
		return errUnasked
	}
	if d.next().kind != 0 {
		d.special = append(d.special[:0], d.special[1:]...)
	}
	d.answered += n
	return nil
}

// hear checks a message of the server.
func (d *dialog) hear(m *summary) error {
	if m.typ == '>' {
		return d.pushed(m)
	}
	if m.typ == '-' && !redirects(m) {
		return errAnswer
	}
	switch q := d.next(); q.kind {
	case subscribes: // which is confirmed by a push, unless it is refused
		if m.typ != '-' || m.words[0].is("QUEUED") {
			return errAnswer
		}
	case unsubscribes:
		if m.typ != '+' || !m.words[0].is("PONG") {
			return errAnswer
		}
		return d.take(2)
	case lists:
		if (m.typ == '*' || m.typ == '~') && m.n < q.least && !m.null {
			return errAnswer
		}
	}
	return d.take(1)
}

// pushed checks what nobody has asked for, and what confirms subscriptions.
func (d *dialog) pushed(m *summary) error {
	kind := &m.words[0]
	switch q := d.next(); {
	case kind.is("message"):
		if m.spaces < spacesOn(&m.words[1]) {
			return errAnswer
		}
	case m.n < 2, !bytes.HasSuffix(kind.start(), []byte("subscribe")):
	case bytes.HasSuffix(kind.start(), []byte("unsubscribe")):
		if q.kind != unsubscribes || d.confirms > 0 {
			return errUnasked
		}
	case !kind.is("subscribe"):
		return errUnasked
	case d.confirms > 0:
		d.confirms--
	case q.kind != subscribes:
		return errUnasked
	default:
		d.confirms = q.channels - 1
		return d.take(1)
	}
	return nil
}

// redirects reports whether an error by which a cluster sends elsewhere says
// where.
func redirects(m *summary) bool {
	text, isErr := bytes.CutPrefix(m.words[0].start(), []byte("ERR "))
	if !bytes.HasPrefix(text, []byte("MOVED")) && !bytes.HasPrefix(text, []byte("ASK")) {
		return true
	}
	if isErr {
		return m.spaces >= 3
	}
	return m.spaces >= 2
}

// spacesOn is how many spaces there have to be in a sentinel's message.
func spacesOn(channel *sample) int {
	switch {
	case channel.is("+sentinel"), channel.is("+reboot"):
		return 3
	case channel.is("+switch-master"):
		return 4
	}
	return 0
}
