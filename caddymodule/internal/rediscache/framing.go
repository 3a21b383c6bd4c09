package rediscache

import (
	"bytes"
	"errors"
	"math"
	"strings"
)

// What comes over a connection is bounded: rueidis makes room for what is
// announced before it is there.
const (
	// maxAnswer is what one answer may take in memory, in bytes: much more than
	// the slots of a large cluster, which take the most.
	maxAnswer = 16 << 20

	// elementSize is what an element takes beside its text: a RedisMessage.
	elementSize = 40

	// maxDepth is how deep answers are nested; those about a cluster have 4.
	maxDepth = 8

	maxDigits = 19 // of a number; that of an int64
)

var (
	errFraming   = errors.New("this is not the protocol of Redis")
	errTooLarge  = errors.New("an answer is too large")
	errTooDeep   = errors.New("an answer is nested too deeply")
	errUnknown   = errors.New("an answer is of a type that is not known")
	errBadLength = errors.New("an answer has a length that cannot be")
)

// types are those of RESP3, without streams, attributes and blob errors: no
// command of ours is answered by them.
const types = "+-:_,#($=*~%>"

// sample is the beginning of a text.
type sample struct {
	text [24]byte
	n    int // the length of the whole text
}

func (s *sample) add(b []byte) {
	if s.n < len(s.text) {
		copy(s.text[s.n:], b)
	}
	s.n += len(b)
}

func (s *sample) is(text string) bool { return s.n == len(text) && string(s.start()) == text }

func (s *sample) start() []byte { return s.text[:min(s.n, len(s.text))] }

// summary is what is kept of a message: enough to tell what rueidis makes of it.
type summary struct {
	typ    byte
	n      int       // of an array, a map or a push: its elements
	null   bool      // it is none, as RESP2 says it
	words  [2]sample // its first elements; of one that has none itself in the first
	spaces int       // in its third element; of one that has none in itself
}

// framing reads RESP3 in pieces of any size, and holds none of it.
type framing struct {
	most int                  // of one message, in bytes
	done func(*summary) error // told of each message; keeps nothing

	state   func(*framing, []byte) ([]byte, error)
	cost    int // of the message so far
	open    [maxDepth]int
	depth   int
	message summary

	typ  byte // of the element that is being read
	left int  // of its text, without the end of its line
	line lineOf
}

// lineOf is what is known of the line that is being read.
type lineOf struct {
	length   int
	number   int
	negative bool
	digits   int
	other    bool // it has more than a number
	cr       bool // its end has begun
}

func newFraming(most int, done func(*summary) error) *framing {
	return &framing{most: most, done: done, state: (*framing).begin}
}

// read checks what has come next.
func (f *framing) read(b []byte) (err error) {
	for len(b) > 0 && err == nil {
		b, err = f.state(f, b)
	}
	return err
}

// begin reads the type of an element.
func (f *framing) begin(b []byte) ([]byte, error) {
	if strings.IndexByte(types, b[0]) < 0 {
		return nil, errUnknown
	}
	f.typ, f.line, f.state = b[0], lineOf{}, (*framing).readLine
	if f.depth == 0 {
		f.cost, f.message = 0, summary{typ: f.typ}
	}
	return b[1:], f.charge(1)
}

func (f *framing) charge(n int) error {
	if n > f.most-f.cost {
		return errTooLarge
	}
	f.cost += n
	return nil
}

// readLine reads what follows the type, up to the end of the line.
func (f *framing) readLine(b []byte) ([]byte, error) {
	l := &f.line
	if l.cr {
		if b[0] != '\n' {
			return nil, errFraming
		}
		return b[1:], f.endLine()
	}
	end := bytes.IndexByte(b, '\r')
	if l.cr = end >= 0; !l.cr {
		end = len(b)
	}
	text := b[:end]
	if bytes.IndexByte(text, '\n') >= 0 {
		return nil, errFraming
	}
	l.add(text)
	if f.isText() {
		f.note(text)
	}
	if f.typ == '_' && l.length > 0 || f.typ == '#' && l.length > 1 {
		return nil, errFraming // rueidis looks for no end of these
	}
	if l.cr {
		end++
	}
	return b[end:], f.charge(len(text))
}

func (l *lineOf) add(text []byte) {
	for i, c := range text {
		if l.length+i == 0 && c == '-' {
			l.negative = true
			continue
		}
		if l.other = l.other || c < '0' || c > '9' || l.digits == maxDigits; l.other {
			break
		}
		l.digits++
		if l.number < math.MaxInt32 { // more than any length may be
			l.number = 10*l.number + int(c-'0')
		}
	}
	l.length += len(text)
}

// isText reports whether the line is the text itself.
func (f *framing) isText() bool {
	switch f.typ {
	case '+', '-', ',', '(':
		return true
	}
	return false
}

// note keeps what may matter of a text.
func (f *framing) note(text []byte) {
	m := &f.message
	index := 0
	switch f.depth {
	case 0:
		m.spaces += bytes.Count(text, []byte(" "))
	case 1:
		if index = m.n - f.open[0]; index == len(m.words) {
			m.spaces += bytes.Count(text, []byte(" "))
		}
	default:
		return
	}
	if index < len(m.words) {
		m.words[index].add(text)
	}
}

// endLine says what comes after a line.
func (f *framing) endLine() error {
	l := &f.line
	isNumber := !l.other && l.digits > 0
	null := isNumber && l.negative && l.number == 1
	isLength := isNumber && !l.negative
	switch {
	case f.isText(),
		f.typ == ':' && isNumber,
		f.typ == '_',
		f.typ == '#' && l.length == 1:
		return f.end()
	case (f.typ == '$' || f.typ == '*') && null:
		f.message.null = f.message.null || f.depth == 0
		return f.end()
	}
	switch f.typ {
	case '$', '=':
		if !isLength {
			return errBadLength
		}
		f.left, f.state = l.number, (*framing).readText
		l.cr = false
		return f.charge(l.number)
	case '*', '~', '%', '>':
		if !isLength || f.typ == '>' && f.depth > 0 {
			return errBadLength
		}
		return f.enter(l.number)
	}
	return errFraming
}

// enter begins the elements of an array, a map or a push.
func (f *framing) enter(n int) error {
	if n > f.most/elementSize {
		return errTooLarge
	}
	if f.typ == '%' {
		n *= 2
	}
	if f.depth == 0 {
		f.message.n = n
	}
	if n == 0 {
		return f.end()
	}
	if f.depth == maxDepth {
		return errTooDeep
	}
	f.open[f.depth] = n
	f.depth++
	f.state = (*framing).begin
	return f.charge(n * elementSize)
}

// readText reads a text of a known length.
func (f *framing) readText(b []byte) ([]byte, error) {
	if f.left > 0 {
		n := min(f.left, len(b))
		f.note(b[:n])
		f.left -= n
		return b[n:], nil
	}
	if !f.line.cr {
		f.line.cr = true
		if b[0] != '\r' {
			return nil, errFraming
		}
		return b[1:], nil
	}
	if b[0] != '\n' {
		return nil, errFraming
	}
	return b[1:], f.end()
}

// end ends an element, and all that it is the last one of.
func (f *framing) end() error {
	f.state = (*framing).begin
	for ; f.depth > 0; f.depth-- {
		last := &f.open[f.depth-1]
		if *last--; *last > 0 {
			return nil
		}
	}
	return f.done(&f.message)
}
