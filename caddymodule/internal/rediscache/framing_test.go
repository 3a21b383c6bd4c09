package rediscache

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/redis/rueidis"
)

func TestElementSize(t *testing.T) {
	if size := reflect.TypeFor[rueidis.RedisMessage]().Size(); size > elementSize {
		t.Errorf("an element takes %d bytes", size)
	}
}

// messages are the types of the messages that a text holds.
func messages(t *testing.T, text string) (types string, err error) {
	t.Helper()
	f := newFraming(maxAnswer, func(m *summary) error { types += string(m.typ); return nil })
	err = f.read([]byte(text))
	return types, err
}

func TestFraming(t *testing.T) {
	for name, text := range map[string]string{
		"+": "+OK\r\n", "-": "-ERR no\r\n", ":": ":-12\r\n", "_": "_\r\n", "#": "#t\r\n", ",": ",1.5\r\n", "(": "(123\r\n",
		"$": "$3\r\na\r\n\r\n", "=": "=5\r\ntxt:a\r\n", "*": "*2\r\n$-1\r\n*0\r\n", "%": "%1\r\n+a\r\n~1\r\n:1\r\n", "~": "~0\r\n",
		">": ">3\r\n+message\r\n+a\r\n+b\r\n", "$*": "$-1\r\n*-1\r\n", "$+": "$0\r\n\r\n+\r\n", "": "$5\r\nab",
	} {
		if types, err := messages(t, text); err != nil || types != name {
			t.Errorf("%q is read as %q, %v", text, types, err)
		}
	}
}

func TestFramingRefuses(t *testing.T) {
	for text, want := range map[string]error{
		"?":                                  errUnknown,
		"|1\r\n":                             errUnknown,
		"!1\r\n":                             errUnknown,
		".":                                  errUnknown,
		"$-2\r\n":                            errBadLength,
		"$9223372036854775807\r\n":           errTooLarge,
		"$18446744073709551617\r\n":          errBadLength,
		"$16777217\r\n":                      errTooLarge,
		"$1 \r\n":                            errBadLength,
		"$\r\n":                              errBadLength,
		"$?\r\n":                             errBadLength,
		"=-1\r\n":                            errBadLength,
		"*-5\r\n":                            errBadLength,
		"*999999999999999\r\n":               errTooLarge,
		"*20000000\r\n":                      errTooLarge,
		"%-1\r\n":                            errBadLength,
		"%300000\r\n":                        errTooLarge,
		">-1\r\n":                            errBadLength,
		">1\r\n$-7\r\n":                      errBadLength,
		"*1\r\n>1\r\n":                       errBadLength,
		"*?\r\n":                             errBadLength,
		"*2\r\n*419430\r\n":                  errTooLarge,
		":\r\n":                              errFraming,
		":1x\r\n":                            errFraming,
		"_x":                                 errFraming,
		"#tt":                                errFraming,
		"#\r\n":                              errFraming,
		"+a\n":                               errFraming,
		"+a\rb":                              errFraming,
		"$1\r\nabc":                          errFraming,
		"$1\r\na\r\r":                        errFraming,
		"+" + strings.Repeat("x", maxAnswer): errTooLarge,
		strings.Repeat("*1\r\n", maxDepth+1): errTooDeep,
		"*9\r\n" + strings.Repeat("$4000000\r\n"+strings.Repeat("x", 4000000)+"\r\n", 5): errTooLarge,
	} {
		if _, err := messages(t, text); !errors.Is(err, want) {
			t.Errorf("%.30q = %v, want %v", text, err, want)
		}
	}
}

// FuzzFraming: the verdict is the same however a text comes in, and what is let
// through is bounded.
func FuzzFraming(f *testing.F) {
	for _, text := range []string{
		"+OK\r\n$3\r\nabc\r\n", "*2\r\n$-1\r\n%1\r\n+a\r\n:1\r\n", "*999999999999999\r\n", ">3\r\n$7\r\nmessage\r\n+a\r\n+b\r\n",
		"_\r\n#t\r\n,1.5\r\n", "-MOVED 1 host:1\r\n", "$-2\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n",
	} {
		f.Add([]byte(text), uint8(1))
	}
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		const most = 4096 // so that it is reached
		run := func(size int) (all []summary, wrong bool) {
			f := newFraming(most, func(m *summary) error { all = append(all, *m); return nil })
			for rest := text; len(rest) > 0; {
				n := min(size, len(rest))
				if f.read(rest[:n]) != nil {
					return all, true
				}
				if f.cost > most || f.left > most || f.depth > maxDepth {
					t.Fatalf("it takes %d bytes, and %d to come, %d deep", f.cost, f.left, f.depth)
				}
				rest = rest[n:]
			}
			return all, false
		}
		all, wrong := run(math.MaxInt)
		pieces, wrongToo := run(int(size) + 1)
		if wrong != wrongToo || !reflect.DeepEqual(all, pieces) {
			t.Errorf("%q in pieces of %d: %v, %v; at once %v, %v", text, size+1, pieces, wrongToo, all, wrong)
		}
	})
}
