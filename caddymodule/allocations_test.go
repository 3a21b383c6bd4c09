//go:build !race

package caddymodule_test

import (
	"testing"
)

// TestHitAllocations checks that a response from the cache costs six allocations: the
// masked address, the key, the value of Huma-Request, the header values of Huma-Request
// and Vary, the values of the other headers, and the record for logs. It is not built
// with the race detector, which makes sync.Pool drop items at random.
func TestHitAllocations(t *testing.T) {
	h := fullHandler(t, 10)
	w := newSink()
	requests := randomRequests(w, 1001, 10) // one request for warming up
	if n := testing.AllocsPerRun(1000, func() {
		mustServe(t, h, w, requests[0])
		requests = requests[1:]
	}); n > 6 {
		t.Errorf("%v allocations, want at most 6", n)
	}
}
