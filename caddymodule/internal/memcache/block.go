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
// The sizes are those in which Go hands out memory, less the entry (136 bytes)
// and, above 512 bytes, Go's own header (8 bytes), so that little is wasted. A
// text that is longer than any of them gets a piece of its own when it is
// appended.
func newBlock(n int) (*entry, []byte) {
	switch {
	case n <= 120:
		b := new(block[[120]byte])
		return &b.entry, b.room[:0]
	case n <= 248:
		b := new(block[[248]byte])
		return &b.entry, b.room[:0]
	case n <= 376:
		b := new(block[[376]byte])
		return &b.entry, b.room[:0]
	case n <= 432:
		b := new(block[[432]byte])
		return &b.entry, b.room[:0]
	case n <= 496:
		b := new(block[[496]byte])
		return &b.entry, b.room[:0]
	case n <= 560:
		b := new(block[[560]byte])
		return &b.entry, b.room[:0]
	case n <= 624:
		b := new(block[[624]byte])
		return &b.entry, b.room[:0]
	case n <= 752:
		b := new(block[[752]byte])
		return &b.entry, b.room[:0]
	case n <= 880:
		b := new(block[[880]byte])
		return &b.entry, b.room[:0]
	case n <= 1008:
		b := new(block[[1008]byte])
		return &b.entry, b.room[:0]
	case n <= 1136:
		b := new(block[[1136]byte])
		return &b.entry, b.room[:0]
	case n <= 1264:
		b := new(block[[1264]byte])
		return &b.entry, b.room[:0]
	case n <= 1392:
		b := new(block[[1392]byte])
		return &b.entry, b.room[:0]
	case n <= 1648:
		b := new(block[[1648]byte])
		return &b.entry, b.room[:0]
	case n <= 1904:
		b := new(block[[1904]byte])
		return &b.entry, b.room[:0]
	case n <= 2160:
		b := new(block[[2160]byte])
		return &b.entry, b.room[:0]
	case n <= 2544:
		b := new(block[[2544]byte])
		return &b.entry, b.room[:0]
	case n <= 2928:
		b := new(block[[2928]byte])
		return &b.entry, b.room[:0]
	case n <= 3952:
		b := new(block[[3952]byte])
		return &b.entry, b.room[:0]
	}
	return new(entry), nil
}
