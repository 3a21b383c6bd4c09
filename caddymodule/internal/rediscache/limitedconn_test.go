package rediscache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// pieces is a connection that returns a text in pieces.
type pieces struct {
	net.Conn
	io.Reader
	closed bool
}

func (p *pieces) Read(b []byte) (int, error) { return p.Reader.Read(b) }

func (p *pieces) Close() error { p.closed = true; return nil }

// verdict reads a text through a limitedConn, at most size bytes at a time; 0 means no
// limit. It returns what was passed on.
func verdict(t testing.TB, text string, size int) (passed string, err error) {
	t.Helper()
	var r io.Reader = strings.NewReader(text)
	if size == 1 {
		r = iotest.OneByteReader(r)
	}
	p := &pieces{Reader: r}
	g := limitReplies(context.Background(), p)
	var through bytes.Buffer
	b := make([]byte, max(size, 1))
	if size == 0 {
		b = make([]byte, len(text)+1)
	}
	for err == nil {
		var n int
		n, err = g.Read(b)
		through.Write(b[:n])
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if p.closed != (err != nil) {
		t.Errorf("the connection is closed: %v, after %v", p.closed, err)
	}
	if err != nil {
		if n, again := g.Read(b); n != 0 || again != err {
			t.Errorf("Read after %v = %d, %v", err, n, again)
		}
	}
	return through.String(), err
}

func bulk(n int) string { return fmt.Sprintf("$%d\r\n%s\r\n", n, strings.Repeat("x", n)) }

func TestGuard(t *testing.T) {
	t.Parallel()
	rep := strings.Repeat
	for _, test := range []struct {
		name string
		text string
		want error
	}{
		{"nothing", "", nil},
		{"all types", "+OK\r\n-ERR no\r\n:1\r\n$1\r\na\r\n*1\r\n:1\r\n*0\r\n$-1\r\n*-1\r\n", nil},
		{"begun", "*2\r\n$10\r\nabc", nil},
		{"an array in an array", "*2\r\n*2\r\n+a\r\n*0\r\n*1\r\n$0\r\n\r\n:1\r\n", nil},

		{"the longest text", bulk(maxText), nil},
		{"a text that is too long", bulk(maxText + 1), errTooLarge},
		{"one that is only announced", fmt.Sprintf("$%d\r\n", maxText+1), errTooLarge},
		{"200 GB", "$200000000000\r\n", errTooLarge},
		{"with zeros before", "$" + rep("0", 100) + "200000000000\r\n", errTooLarge},
		{"few with zeros before", "$" + rep("0", 100) + "1\r\na\r\n", nil},
		{"with a sign", "$+200000000000\r\n", errTooLarge},
		{"more than an int64", "$99999999999999999999\r\n", errTooLarge},
		{"less than an int64", "*-99999999999999999999\r\n", errTooLarge},
		{"in an array", "*1\r\n$200000000000\r\n", errTooLarge},
		{"after a text", "$1\r\na\r\n$200000000000\r\n", errTooLarge},

		{"as many elements as may be", fmt.Sprintf("*%d\r\n", maxElements) + rep(":1\r\n", maxElements), nil},
		{"and again", rep(fmt.Sprintf("*%d\r\n", maxElements)+rep("*0\r\n", maxElements), 2), nil},
		{"too many elements", fmt.Sprintf("*%d\r\n", maxElements+1), errTooLarge},
		{"too many elements of all arrays", fmt.Sprintf("*2\r\n*1\r\n:1\r\n*%d\r\n", maxElements-2), errTooLarge},
		{"as many elements of all arrays", fmt.Sprintf("*2\r\n*1\r\n:1\r\n*%d\r\n", maxElements-3), nil},
		{"as many elements as fit into an int64", "*2\r\n*9223372036854775807\r\n", errTooLarge},
		{"as deep as may be", rep("*1\r\n", maxDepth) + ":1\r\n", nil},
		{"too deep", rep("*1\r\n", maxDepth+1), errTooLarge},
		{"deep at the end", rep("*2\r\n:1\r\n", maxDepth+1), errTooLarge},
		{"deep, and empty at the end", rep("*1\r\n", maxDepth) + "*0\r\n*1\r\n:1\r\n", nil},

		{"the largest reply", fmt.Sprintf("*4\r\n%s%s", rep(bulk(maxText-12), 3), bulk(maxText-4-12)), nil},
		{"a reply that is larger", fmt.Sprintf("*4\r\n%s%s", rep(bulk(maxText-12), 3), bulk(maxText-3-12)), errTooLarge},
		{"many replies", rep(bulk(maxText), 6), nil},
		{"many lines", fmt.Sprintf("*%d\r\n%s", maxElements, rep("+"+rep("x", 200)+"\r\n", maxElements)), errTooLarge},
		{"the longest line", "+" + rep("x", maxLine-2) + "\r\n", nil},
		{"a longer line", "+" + rep("x", maxLine-1) + "\r\n", errTooLarge},
		{"a line without an end", rep("x", maxLine+1), errTooLarge},

		{"an announcement in a text", "$21\r\n\r\n$99999999999\r\n*9999\r\n:1\r\n", nil},
		{"an announcement in a status", "+$99999999999\r\n", nil},
		{"an announcement after a text", "$1\r\na\r\n*1\r\n$99999999999\r\n", errTooLarge},
		{"an end that is none", "$1\r\nabc$99999999999\r\n:1\r\n", errTooLarge}, // the client does not check it either
		{"a null has no text", "$-1\r\n$99999999999\r\n", errTooLarge},
		{"an empty text has an end", "$0\r\n\r\n$99999999999\r\n", errTooLarge},
		{"a text that looks like an end", "$2\r\n\r\n\r\n:1\r\n", nil},
		{"an array of null in the middle", "*3\r\n*-1\r\n$-1\r\n:1\r\n*1\r\n:1\r\n", nil},

		{"a map", "%1\r\n", errNotRESP},
		{"a set", "~1\r\n", errNotRESP},
		{"a push", ">1\r\n", errNotRESP},
		{"an attribute", "|1\r\n", errNotRESP},
		{"a verbatim string", "=5\r\ntxt:a\r\n", errNotRESP},
		{"a blob error", "!1\r\na\r\n", errNotRESP},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n", errNotRESP},
		{"no carriage return", "+OK\n", errNotRESP},
		{"an empty line", "\r\n", errNotRESP},
		{"no length", "$\r\n", errNotRESP},
		{"a text as a length", "*a\r\n", errNotRESP},
		{"a space", "$ 1\r\n", errNotRESP},
		{"a negative length", "$-2\r\n", errNotRESP},
		{"negative elements", "*-2\r\n", errNotRESP},
		{"a streamed string", "$?\r\n", errNotRESP},
	} {
		for _, size := range []int{0, 1, 2, 3, 7, 64, bufferSize} {
			if len(test.text) > 1<<20 && size > 0 && size < 64 {
				continue
			}
			passed, err := verdict(t, test.text, size)
			if !errors.Is(err, test.want) || test.want == nil && err != nil {
				t.Errorf("%s, in pieces of %d: %v, want %v", test.name, size, err, test.want)
			}
			if err == nil && passed != test.text || !strings.HasPrefix(test.text, passed) {
				t.Errorf("%s, in pieces of %d: something else was let through", test.name, size)
			}
		}
		if err := parse(test.text); !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Errorf("%s: the other parser says %v, want %v", test.name, err, test.want)
		}
	}
}

// parse implements the same check with another method: recursion over the whole text. A
// truncated text is accepted if its beginning is valid.
func parse(text string) error {
	for text != "" {
		p := parser{rest: text, size: maxReply, elements: maxElements}
		if err := p.reply(0); errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		} else if err != nil {
			return err
		}
		text = p.rest
	}
	return nil
}

type parser struct {
	rest           string
	size, elements int // what may still follow in this reply
}

func (p *parser) take(n int) error {
	if p.size -= n; p.size < 0 {
		return errTooLarge
	}
	if n > len(p.rest) {
		return io.ErrUnexpectedEOF
	}
	p.rest = p.rest[n:]
	return nil
}

func (p *parser) reply(depth int) error {
	line, _, found := strings.Cut(p.rest, "\n")
	if len(line) > maxLine {
		return errTooLarge
	}
	if !found {
		return io.ErrUnexpectedEOF
	}
	length, found := strings.CutSuffix(line, "\r")
	if !found || length == "" || !strings.ContainsRune("+-:$*", rune(length[0])) {
		return errNotRESP
	}
	variant, length := length[0], length[1:]
	if strings.IndexByte("$*", variant) < 0 {
		return p.take(len(line) + 1)
	}
	n, err := strconv.ParseInt(length, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return errTooLarge
	case err != nil || n < -1:
		return errNotRESP
	case variant == '$' && n > maxText, variant == '*' && n > int64(p.elements), variant == '*' && n > 0 && depth == maxDepth:
		return errTooLarge
	}
	if err := p.take(len(line) + 1); err != nil {
		return err
	}
	if variant == '$' && n >= 0 {
		return p.take(int(n) + 2)
	}
	for p.elements -= max(int(n), 0); variant == '*' && n > 0; n-- {
		if err := p.reply(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

// FuzzLimitedConn checks that the verdict does not depend on how a text is split, and
// that it is the same as that of the other parser.
func FuzzLimitedConn(f *testing.F) {
	for _, a := range wrong {
		f.Add([]byte(a.text), uint8(3))
	}
	for _, text := range []string{
		"+OK\r\n-ERR no\r\n:1\r\n$1\r\na\r\n*1\r\n:1\r\n*0\r\n$-1\r\n*-1\r\n",
		"*2\r\n*2\r\n+a\r\n*0\r\n*1\r\n$0\r\n\r\n:1\r\n",
		"$21\r\n\r\n$99999999999\r\n*9999\r\n:1\r\n",
		strings.Repeat("*1\r\n", maxDepth) + "*0\r\n*1\r\n:1\r\n",
		slots(0, 16383, "127.0.0.1", "6379"),
		"*4\r\n$1048570\r\n",
	} {
		f.Add([]byte(text), uint8(1))
	}
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		want := parse(string(text))
		for _, size := range []int{0, 1, int(size)} {
			if _, got := verdict(t, string(text), size); !errors.Is(got, want) || want == nil && got != nil {
				t.Errorf("in pieces of %d: %v; the other parser says %v", size, got, want)
			}
		}
	})
}
