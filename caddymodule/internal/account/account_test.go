package account

import (
	"testing"
	"time"

	"golang.org/x/time/rate"
)

func newAccount(t *testing.T) *Account {
	t.Helper()
	v, err := New()
	if err != nil {
		t.Fatal(err)
	}
	a := v.(*Account)
	t.Cleanup(func() { _ = a.Destruct() })
	return a
}

// TestAllowRegistration checks that a reload changes the rate, and does not fill the
// budget that was used up before it.
func TestAllowRegistration(t *testing.T) {
	a := newAccount(t)
	allowed := func(limit rate.Limit, burst int) (n int) {
		for range 20 {
			if a.AllowRegistration(limit, burst) {
				n++
			}
		}
		return n
	}
	const slow = rate.Limit(1.0 / 3600)
	if n := allowed(slow, 10); n != 10 {
		t.Errorf("%d of a burst of 10", n)
	}
	if n := allowed(slow, 10); n != 0 {
		t.Errorf("%d after the burst", n)
	}
	if n := allowed(slow, 15); n != 0 {
		t.Errorf("%d after a reload with a larger burst", n)
	}
}

// TestUpstreamKey checks which limits make another upstream, with a closed breaker.
func TestUpstreamKey(t *testing.T) {
	base := Limits{MaxConcurrent: 1, Failures: 20, Open: time.Second}
	for _, c := range []struct {
		name string
		edit func(l *Limits)
		same bool
	}{
		{"max_concurrent", func(l *Limits) { l.MaxConcurrent = 2 }, false},
		{"breaker off", func(l *Limits) { l.BreakerOff = true }, false},
		{"failures", func(l *Limits) { l.Failures = 5 }, false},
		{"open", func(l *Limits) { l.Open = time.Minute }, false},
		{"tls", func(l *Limits) { l.TLS = "x" }, false},
		{"max_waiting", func(l *Limits) { l.MaxWaiting = 7 }, true},
		{"max_entries", func(l *Limits) { l.MaxEntries = 7 }, true},
		{"rate", func(l *Limits) { l.RegistrationRate = 7 }, true},
		{"store", func(l *Limits) { l.Store = "x" }, true},
	} {
		l := base
		c.edit(&l)
		if (l.UpstreamKey() == base.UpstreamKey()) != c.same {
			t.Errorf("%s: same upstream %t", c.name, !c.same)
		}
	}
}
