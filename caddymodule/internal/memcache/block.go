package memcache

// block is an entry with room for its texts behind it. A hit among a million
// users waits for memory and for nothing else; so the key, which go-cache's
// map compares, what is known of the token, and the token itself lie side by
// side, and are one place to wait for instead of three.
type block[T any] struct {
	entry
	room T
}

// newBlock returns an entry with room for n bytes of text, as an empty slice.
// The sizes are those in which Go hands out memory, less the entry (128 bytes)
// and, above 512 bytes, Go's own header (8 bytes), so that little is wasted. A
// text that is longer than any of them gets a piece of its own when it is
// appended.
func newBlock(n int) (*entry, []byte) {
	switch {
	case n <= 128:
		b := new(block[[128]byte])
		return &b.entry, b.room[:0]
	case n <= 256:
		b := new(block[[256]byte])
		return &b.entry, b.room[:0]
	case n <= 384:
		b := new(block[[384]byte])
		return &b.entry, b.room[:0]
	case n <= 440:
		b := new(block[[440]byte])
		return &b.entry, b.room[:0]
	case n <= 504:
		b := new(block[[504]byte])
		return &b.entry, b.room[:0]
	case n <= 568:
		b := new(block[[568]byte])
		return &b.entry, b.room[:0]
	case n <= 632:
		b := new(block[[632]byte])
		return &b.entry, b.room[:0]
	case n <= 760:
		b := new(block[[760]byte])
		return &b.entry, b.room[:0]
	case n <= 888:
		b := new(block[[888]byte])
		return &b.entry, b.room[:0]
	case n <= 1016:
		b := new(block[[1016]byte])
		return &b.entry, b.room[:0]
	case n <= 1144:
		b := new(block[[1144]byte])
		return &b.entry, b.room[:0]
	case n <= 1272:
		b := new(block[[1272]byte])
		return &b.entry, b.room[:0]
	case n <= 1400:
		b := new(block[[1400]byte])
		return &b.entry, b.room[:0]
	case n <= 1656:
		b := new(block[[1656]byte])
		return &b.entry, b.room[:0]
	case n <= 1912:
		b := new(block[[1912]byte])
		return &b.entry, b.room[:0]
	case n <= 2168:
		b := new(block[[2168]byte])
		return &b.entry, b.room[:0]
	case n <= 2552:
		b := new(block[[2552]byte])
		return &b.entry, b.room[:0]
	case n <= 2936:
		b := new(block[[2936]byte])
		return &b.entry, b.room[:0]
	case n <= 3960:
		b := new(block[[3960]byte])
		return &b.entry, b.room[:0]
	}
	return new(entry), nil
}
