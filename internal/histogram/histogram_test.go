package histogram

import (
	"sync"
	"testing"
	"time"
)

func TestQuantiles(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Max() != 0 || h.Count() != 0 {
		t.Error("an empty histogram is not 0")
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 250 {
				h.Add(time.Duration(4*i+worker+1) * time.Millisecond)
			}
		})
	}
	wg.Wait()
	for q, want := range map[float64]time.Duration{0.5: 500, 0.99: 990, 0.999: 999, 1: 1000} {
		want *= time.Millisecond
		if got := h.Quantile(q); got < want || got > want*1001/1000 {
			t.Errorf("%g: %s, want %s", q, got, want)
		}
	}
	h.Add(-time.Second)
	h.Add(10000 * time.Hour)
	if h.Count() != 1002 || h.Quantile(0) > 1 || h.Max() < longest || h.Max() > longest*1001/1000 {
		t.Errorf("%d, from %s to %s", h.Count(), h.Quantile(0), h.Max())
	}
}
