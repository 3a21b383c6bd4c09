package exchange

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
)

// maxLifetime is the longest lifetime that is believed. A service that gives
// more than ten years (or nonsense) has told us nothing.
const maxLifetime = 10 * 365 * 24 * time.Hour

// Grant is what a service granted, ready to be answered: JSON text with gaps
// where the lifetimes go, because those are whole seconds left at the moment
// of the answer. It cannot be changed once it is made, so any number of
// callers may share it, and it does not print.
type Grant struct {
	text    string // the JSON object without its lifetimes
	gaps    []gap
	minted  int64 // Unix nanoseconds just before the call that granted it
	expires int64 // when the first of its lifetimes ends; 0 is unknown
}

// gap is a place in a Grant's text where a lifetime belongs.
type gap struct {
	at      int   // offset in the text
	expires int64 // Unix nanoseconds; 0 is unknown, which is answered as 0
}

// Builder makes a Grant member by member, in the order they are answered.
type Builder struct {
	text []byte
	g    Grant
}

// NewGrant starts a Grant whose lifetimes count from minted, the time just
// before the call: what the service says can only be shorter, never longer.
func NewGrant(minted time.Time) *Builder {
	return &Builder{g: Grant{minted: minted.UnixNano()}}
}

// Text adds a member with a text value.
func (b *Builder) Text(name, value string) *Builder {
	b.name(name)
	v, _ := json.Marshal(value) // a string always has a JSON form
	b.text = append(b.text, v...)
	return b
}

// Lifetime adds a member that answers the whole seconds left of lifetime. One
// that is unknown, not positive or longer than ten years is answered as 0.
func (b *Builder) Lifetime(name string, lifetime time.Duration) *Builder {
	b.name(name)
	var expires int64
	if lifetime > 0 && lifetime <= maxLifetime {
		expires = b.g.minted + int64(lifetime)
		if b.g.expires == 0 || expires < b.g.expires {
			b.g.expires = expires
		}
	}
	b.g.gaps = append(b.g.gaps, gap{at: len(b.text), expires: expires})
	return b
}

// Grant finishes the Grant.
func (b *Builder) Grant() *Grant {
	g := b.g
	g.text = string(append(b.text, '}'))
	return &g
}

func (b *Builder) name(name string) {
	sep := byte(',')
	if b.text == nil {
		sep = '{'
	}
	n, _ := json.Marshal(name)
	b.text = append(append(append(b.text, sep), n...), ':')
}

// AppendJSON appends the answer as it is true at now.
func (g *Grant) AppendJSON(dst []byte, now time.Time) []byte {
	t, from := now.UnixNano(), 0
	for _, gap := range g.gaps {
		dst = append(dst, g.text[from:gap.at]...)
		dst = strconv.AppendInt(dst, max(0, (gap.expires-t)/int64(time.Second)), 10)
		from = gap.at
	}
	return append(dst, g.text[from:]...)
}

// Minted is the time just before the call that granted it.
func (g *Grant) Minted() time.Time { return time.Unix(0, g.minted) }

// keepUntil is the last moment at which the Grant may be handed out from a
// cache: it never goes into its own last margin, or last tenth if that is
// shorter. Zero is never: nothing is known of its lifetime.
func (g *Grant) keepUntil(margin time.Duration) time.Time {
	if g.expires == 0 {
		return time.Time{}
	}
	life := time.Duration(g.expires - g.minted)
	return time.Unix(0, g.expires-int64(min(margin, life/10)))
}

// Format implements fmt.Formatter: a Grant holds tokens and does not print.
func (g *Grant) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "grant(***)") }

// MarshalJSON implements json.Marshaler for loggers; AppendJSON is the answer.
func (g *Grant) MarshalJSON() ([]byte, error) { return []byte(`"grant(***)"`), nil }
