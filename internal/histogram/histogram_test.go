package histogram

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestBuckets: buckets follow each other without gap, and none is wider than
// it may be.
func TestBuckets(t *testing.T) {
	for b := range buckets - 1 {
		top := highest(b)
		if bucket(top) != b || bucket(top+1) != b+1 {
			t.Fatalf("bucket %d ends at %d; %d is in %d and %d in %d", b, top, top, bucket(top), top+1, bucket(top+1))
		}
		if b > 0 {
			if width := top - highest(b-1); width > 1 && float64(width)/float64(top) > 1.0/(subBuckets/2) {
				t.Fatalf("bucket %d is %d wide at %d", b, width, top)
			}
		}
	}
}

func TestQuantiles(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Max() != 0 || h.Count() != 0 {
		t.Error("an empty histogram is not 0")
	}
	var all []time.Duration
	r := rand.New(rand.NewPCG(1, 2))
	var wg sync.WaitGroup
	for range 4 {
		var some []time.Duration
		for range 5000 {
			some = append(some, time.Duration(r.ExpFloat64()*float64(20*time.Millisecond)))
		}
		all = append(all, some...)
		wg.Go(func() {
			for _, d := range some {
				h.Add(d)
			}
		})
	}
	wg.Wait()
	slices.Sort(all)
	for _, q := range []float64{0.5, 0.9, 0.99, 0.999} {
		want := all[int(q*float64(len(all)))]
		if got := h.Quantile(q); got < want*98/100 || got > want*102/100 {
			t.Errorf("%g: %s, want %s", q, got, want)
		}
	}
	if h.Count() != 20000 || h.Max() != all[len(all)-1].Truncate(time.Microsecond) || h.Quantile(1) != h.Max() {
		t.Errorf("%d, longest %s of %s", h.Count(), h.Max(), all[len(all)-1])
	}
}

func TestExtremes(t *testing.T) {
	var h Histogram
	h.Add(-time.Second)
	h.Add(10000 * time.Hour)
	if h.Count() != 2 || h.Quantile(0.5) != 0 || h.Max() != 10000*time.Hour || h.Quantile(1) > h.Max() {
		t.Errorf("%d, %s, %s", h.Count(), h.Quantile(0.5), h.Quantile(1))
	}
}
