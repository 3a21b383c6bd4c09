//go:build !race

package caddymodule_test

import (
	"testing"
)

// TestHitAllocations: an answer from the cache costs six allocations: the address
// masked, the key, the value of Huma-Request, it and that of Vary in the headers, the
// values of the other headers, and what is left behind for logs.
// (The race detector makes sync.Pool forget at random, so there it costs more.)
func TestHitAllocations(t *testing.T) {
	h := fullHandler(t, 10)
	w := newSink()
	requests := randomRequests(w, 1001, 10) // one is for warming up
	if n := testing.AllocsPerRun(1000, func() {
		mustServe(t, h, w, requests[0])
		requests = requests[1:]
	}); n > 6 {
		t.Errorf("%v allocations, want at most 6", n)
	}
}
