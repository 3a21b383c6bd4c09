package exchange

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
)

// maxLifetime is the longest lifetime that is accepted: ten years. A longer one is
// treated as unknown.
const maxLifetime = 10 * 365 * 24 * time.Hour

// Token is a token response: JSON text with slots for the lifetimes, which are the whole
// seconds remaining at the time of the response. A Token is immutable, so callers may
// share it. Package fmt does not print its content.
//
// A Token is small and in one piece. With a million users, the processor waits for each
// separate piece of memory that a cache hit reads.
type Token struct {
	text     string // the JSON object without its lifetimes
	issuedAt int64  // Unix nanoseconds just before the call that issued it
	life     uint32 // seconds of the shortest lifetime; 0 is unknown
	count    uint32 // number of slots
	slots    [maxSlots]lifetimeSlot
}

// maxSlots is the maximum number of lifetimes of a Token.
const maxSlots = 3

// lifetimeSlot is the place of a lifetime in the text of a Token. Its fields are exported
// for package encoding/binary.
type lifetimeSlot struct {
	At   uint32 // offset in the text
	Life uint32 // seconds; 0 is unknown, and written as 0
}

// Builder builds a Token. Members are added in the order of the response.
type Builder struct {
	text []byte
	g    Token
}

// NewToken returns a Builder. The lifetimes count from issuedAt, the time just before
// the call. So the response never gives a longer lifetime than the service did.
func NewToken(issuedAt time.Time) *Builder {
	return &Builder{g: Token{issuedAt: issuedAt.UnixNano()}}
}

// Text adds a member with a string value.
func (b *Builder) Text(name, value string) *Builder {
	b.name(name)
	v, _ := json.Marshal(value) // never fails for a string
	b.text = append(b.text, v...)
	return b
}

// Lifetime adds a member with the whole seconds that remain of lifetime. A lifetime
// that is unknown, not positive or longer than ten years is written as 0. The first
// lifetime is that of the token: if it is unknown, the Token is never cached. Further
// lifetimes can only shorten the time for which it is cached. A Token has at most three
// lifetimes. Fractions of a second are dropped.
func (b *Builder) Lifetime(name string, lifetime time.Duration) *Builder {
	b.name(name)
	var life uint32
	if lifetime > 0 && lifetime <= maxLifetime {
		life = uint32(lifetime / time.Second)
		if isFirst := b.g.count == 0; isFirst || life < b.g.life {
			b.g.life = life
		}
	}
	b.g.slots[b.g.count] = lifetimeSlot{At: uint32(len(b.text)), Life: life} // responses have at most 64 KiB
	b.g.count++
	return b
}

// Token returns the finished Token.
func (b *Builder) Token() *Token {
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

// AppendJSON appends the response to dst, with the lifetimes that remain at now. If the
// clock was set back, the response never gives more than the original lifetime.
func (g *Token) AppendJSON(dst []byte, now time.Time) []byte {
	age, from := max(0, now.UnixNano()-g.issuedAt), uint32(0)
	for _, slot := range g.slots[:g.count] {
		dst = append(dst, g.text[from:slot.At]...)
		left := (int64(slot.Life)*int64(time.Second) - age) / int64(time.Second)
		dst = strconv.AppendInt(dst, max(0, left), 10)
		from = slot.At
	}
	return append(dst, g.text[from:]...)
}

// IssuedAt returns the time just before the call that issued the token.
func (g *Token) IssuedAt() time.Time { return time.Unix(0, g.issuedAt) }

// expiry returns when the shortest lifetime ends. It is zero if g is nil or the
// lifetime is unknown.
func (g *Token) expiry() time.Time {
	if g == nil || g.life == 0 {
		return time.Time{}
	}
	return g.IssuedAt().Add(time.Duration(g.life) * time.Second)
}

// cacheUntil returns the last time at which a cache may return the Token: margin before
// the end of its shortest lifetime. Zero means never, because the lifetime is unknown.
func (g *Token) cacheUntil(margin func(life time.Duration) time.Duration) time.Time {
	if g.life == 0 {
		return time.Time{}
	}
	life := time.Duration(g.life) * time.Second
	return g.IssuedAt().Add(life - margin(life))
}

// Format implements fmt.Formatter. It prints a placeholder, because a Token contains
// tokens.
func (g *Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "token(***)") }

// MarshalJSON implements json.Marshaler for loggers, with a placeholder. Use AppendJSON
// for responses.
func (g *Token) MarshalJSON() ([]byte, error) { return []byte(`"token(***)"`), nil }
