// Package histogram records durations with HdrHistogram.
package histogram

import (
	"sync"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

const (
	longest = 24 * time.Hour // longer durations are recorded as this one
	digits  = 3              // significant decimal digits of a quantile
)

// Histogram records durations from a nanosecond to a day. The zero value is empty.
// It is safe for concurrent use, and must not be copied.
type Histogram struct {
	mu  sync.Mutex
	hdr *hdr.Histogram // nil: empty
}

// Add records a duration. A negative one is recorded as 0.
func (h *Histogram) Add(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hdr == nil {
		h.hdr = hdr.New(1, int64(longest), digits)
	}
	_ = h.hdr.RecordValue(int64(min(max(d, 0), longest))) // no error within the range
}

// Count returns the number of recorded durations.
func (h *Histogram) Count() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hdr == nil {
		return 0
	}
	return h.hdr.TotalCount()
}

// Quantile returns the quantile q, from 0 to 1, of the durations. It is 0 if there are
// none.
func (h *Histogram) Quantile(q float64) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hdr == nil {
		return 0
	}
	return time.Duration(h.hdr.ValueAtQuantile(q * 100))
}

// Max returns the longest duration, or 0 if there are none.
func (h *Histogram) Max() time.Duration { return h.Quantile(1) }
