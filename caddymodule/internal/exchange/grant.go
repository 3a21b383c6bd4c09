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
	minted  int64  // Unix nanoseconds just before the call that granted it
	expires int64  // when the shortest of its lifetimes ends; 0 is unknown

	// In the Grant itself and not in a slice: with a million users every place
	// in memory that a hit has to look at is one the processor waits for.
	gaps  [maxGaps]gap
	count int // of gaps
}

// maxGaps is how many lifetimes a Grant may have.
const maxGaps = 3

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
// that is unknown, not positive or longer than ten years is answered as 0. The
// first one is the token's own: if it is unknown the Grant is never kept. The
// others can only make it be kept for a shorter time. There are at most three.
func (b *Builder) Lifetime(name string, lifetime time.Duration) *Builder {
	b.name(name)
	var expires int64
	if lifetime > 0 && lifetime <= maxLifetime {
		expires = b.g.minted + int64(lifetime)
		if own := b.g.count == 0; own || expires < b.g.expires {
			b.g.expires = expires
		}
	}
	b.g.gaps[b.g.count] = gap{at: len(b.text), expires: expires}
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
	t, from := max(now.UnixNano(), g.minted), 0
	for _, gap := range g.gaps[:g.count] {
		dst = append(dst, g.text[from:gap.at]...)
		dst = strconv.AppendInt(dst, max(0, (gap.expires-t)/int64(time.Second)), 10)
		from = gap.at
	}
	return append(dst, g.text[from:]...)
}

// Beside returns copies of key and g whose texts are one piece of memory, the
// key's first. A store that compares the key has then already been where the
// tokens are: among a million users that is one wait for memory less.
func (g *Grant) Beside(key UserKey) (UserKey, Grant) {
	both, c := string(key)+g.text, *g
	c.text = both[len(key):]
	return UserKey(both[:len(key)]), c
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
