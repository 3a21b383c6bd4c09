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
//
// It is small and in one piece: with a million users, every place in memory
// that a hit has to look at is one the processor waits for.
type Grant struct {
	text   string // the JSON object without its lifetimes
	minted int64  // Unix nanoseconds just before the call that granted it
	life   uint32 // seconds that the shortest lifetime lasts; 0 is unknown
	count  uint32 // of gaps
	gaps   [maxGaps]gap
}

// maxGaps is how many lifetimes a Grant may have.
const maxGaps = 3

// gap is a place in a Grant's text where a lifetime belongs.
type gap struct {
	at   uint32 // offset in the text
	life uint32 // seconds; 0 is unknown, which is answered as 0
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
// that is unknown, not positive or longer than ten years is answered as 0. The
// first one is the token's own: if it is unknown the Grant is never kept. The
// others can only make it be kept for a shorter time. There are at most three,
// and they count in whole seconds.
func (b *Builder) Lifetime(name string, lifetime time.Duration) *Builder {
	b.name(name)
	var life uint32
	if lifetime > 0 && lifetime <= maxLifetime {
		life = uint32(lifetime / time.Second)
		if own := b.g.count == 0; own || life < b.g.life {
			b.g.life = life
		}
	}
	b.g.gaps[b.g.count] = gap{at: uint32(len(b.text)), life: life} // answers are at most 64 KiB
	b.g.count++
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

// AppendJSON appends the answer as it is true at now. A clock that was set back
// makes no token live longer than it was granted for.
func (g *Grant) AppendJSON(dst []byte, now time.Time) []byte {
	age, from := max(0, now.UnixNano()-g.minted), uint32(0)
	for _, gap := range g.gaps[:g.count] {
		dst = append(dst, g.text[from:gap.at]...)
		left := (int64(gap.life)*int64(time.Second) - age) / int64(time.Second)
		dst = strconv.AppendInt(dst, max(0, left), 10)
		from = gap.at
	}
	return append(dst, g.text[from:]...)
}

// Minted is the time just before the call that granted it.
func (g *Grant) Minted() time.Time { return time.Unix(0, g.minted) }

// expiry is when the Grant's shortest lifetime ends; zero if there is no Grant
// or nothing is known of that.
func (g *Grant) expiry() time.Time {
	if g == nil || g.life == 0 {
		return time.Time{}
	}
	return g.Minted().Add(time.Duration(g.life) * time.Second)
}

// keepUntil is the last moment at which the Grant may be handed out from a
// cache: it never goes into its own last margin. Zero is never: nothing is known
// of its lifetime.
func (g *Grant) keepUntil(margin func(life time.Duration) time.Duration) time.Time {
	if g.life == 0 {
		return time.Time{}
	}
	life := time.Duration(g.life) * time.Second
	return g.Minted().Add(life - margin(life))
}

// Format implements fmt.Formatter: a Grant holds tokens and does not print.
func (g *Grant) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "grant(***)") }

// MarshalJSON implements json.Marshaler for loggers; AppendJSON is the answer.
func (g *Grant) MarshalJSON() ([]byte, error) { return []byte(`"grant(***)"`), nil }
