package rediscache

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

func short(c *Config) { c.Timeout = DefaultTimeout }

func TestR1_DownAtStartAndJoinsLater(t *testing.T) {
	t.Parallel()
	r := redistest.Prepare(t, redistest.FreePort(t))
	s := open(t, r.Addr(), short)
	a := s.account("a")
	wantDown(t, s)
	s.wantWhy(t, "connection refused")
	_, _, seen, err := a.Get(t.Context(), "early", "ios")
	if err == nil {
		t.Error("it responded")
	}
	r.Run()
	s.wantUp(t, true, 5*time.Second)
	// The other replicas can use a token that was fetched while the store was down.
	if kept, err := a.Put(t.Context(), "early", "ios", storetest.RecordOf("t", time.Minute), seen, false); err != nil || !kept {
		t.Errorf("Put = %v, %v", kept, err)
	}
	put(t, a, "u", "t")
	wantToken(t, a, "u", "t")
	eventually(t, time.Second, "reported once that it is down and once that it is up", func() bool {
		return readEvents(s.events, func() bool {
			return len(s.states) == 2 && !s.states[0] && s.states[1]
		})
	})
}

func TestR1_CloseWhileItIsDown(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	s := open(t, "127.0.0.1:1", short)
	s.Close()
	s.Close()
	wantDown(t, s)
}

func TestR1_CloseWhileItHangs(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	connected := ready(t, r.Addr(), short)
	r.Stop()
	defer r.Continue()
	connecting := open(t, r.Addr(), short)
	time.Sleep(100 * time.Millisecond)
	for _, s := range []opened{connected, connecting} {
		start := time.Now()
		s.Close()
		if d := time.Since(start); d > time.Second+slack {
			t.Errorf("Close took %s", d)
		}
		wantDown(t, s)
	}
}

// load is 500 reads per second, with their results.
type load struct {
	mu    sync.Mutex
	slow  []time.Time // when a read ended that was tried and failed
	worst time.Duration
	fast  int // failed at once, because the store is down
	good  int
	wrong int
}

// run reads until stop is closed.
func (l *load) run(t *testing.T, s exchange.SharedStore, stop chan struct{}) {
	var wg sync.WaitGroup
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			wg.Wait()
			return
		case <-tick.C:
		}
		wg.Go(func() {
			start := time.Now()
			rec, found, _, err := s.Get(t.Context(), "u", "ios")
			d := time.Since(start)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.worst = max(l.worst, d)
			switch {
			case err == nil && found && storetest.TokenOf(rec) == "t":
				l.good++
			case errors.Is(err, exchange.ErrDown):
				l.fast++
			case err == nil:
				l.wrong++
			default: // the operation was tried, and waited
				l.slow = append(l.slow, time.Now())
			}
		})
	}
}

// TestR2_KilledOrStoppedUnderLoad checks that no caller waits longer than the timeout,
// that none waits at all after about one second, and that the recovery is detected
// within 5 s.
func TestR2_KilledOrStoppedUnderLoad(t *testing.T) {
	t.Parallel()
	type outage struct {
		name       string
		stop, cont func(r *redistest.Server)
		back       string // the token that is stored afterwards
	}
	atOnce(t, []outage{
		{"stopped", (*redistest.Server).Stop, (*redistest.Server).Continue, "t"},
		{"killed", (*redistest.Server).Kill, (*redistest.Server).Run, ""},
	}, func(test outage) string { return test.name }, func(t *testing.T, test outage) {
		r := startServer(t)
		s := ready(t, r.Addr(), short, func(c *Config) { c.interval = PingInterval })
		a := s.account("a")
		put(t, a, "u", "t")

		var l load
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() { defer close(stopped); l.run(t, a, stop) }()
		time.Sleep(300 * time.Millisecond)
		down := time.Now()
		test.stop(r)
		time.Sleep(2 * time.Second)
		close(stop)
		<-stopped
		l.mu.Lock()
		t.Logf("%d good, %d refused at once, %d slow; the slowest took %s", l.good, l.fast, len(l.slow), l.worst)
		if limit := DefaultTimeout + slack; l.worst > limit {
			t.Errorf("one took %s", l.worst)
		}
		for _, at := range l.slow {
			if after := at.Sub(down); after > time.Second+slack {
				t.Errorf("one was slow %s after the store went", after)
			}
		}
		if l.good == 0 || l.fast < 20 || l.wrong > 0 {
			t.Errorf("%d good, %d refused at once, %d wrong", l.good, l.fast, l.wrong)
		}
		l.mu.Unlock()
		wantDown(t, s)
		s.wantUp(t, false, time.Second)

		test.cont(r)
		s.wantUp(t, true, 5*time.Second)
		wantToken(t, a, "u", test.back)
		put(t, a, "v", "t")
	})
}

// TestR2_OneUserOfAStoreThatHangs checks that only the first operation of a single
// caller waits.
func TestR2_OneUserOfAStoreThatHangs(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	s := ready(t, r.Addr(), short)
	a := s.account("a")
	put(t, a, "u", "t")
	r.Stop()
	defer r.Continue()
	start := time.Now()
	if _, _, _, err := a.Get(t.Context(), "u", "ios"); err == nil {
		t.Error("it responded")
	}
	if d := time.Since(start); d > DefaultTimeout+slack {
		t.Errorf("the first one took %s", d)
	}
	s.wantUp(t, false, time.Second)
	wantDown(t, s)
}

// TestR2_ManyAtAStoreThatHangs tests more operations than there is room for on the
// connections.
func TestR2_ManyAtAStoreThatHangs(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	s := ready(t, r.Addr(), short)
	a := s.account("a")
	put(t, a, "u", "t")
	r.Stop()
	defer r.Continue()
	var wg sync.WaitGroup
	var worst atomic.Int64
	for range 2_000 {
		wg.Go(func() {
			start := time.Now()
			if _, found, _, err := a.Get(t.Context(), "u", "ios"); err == nil || found {
				t.Error("it responded")
			}
			for d := int64(time.Since(start)); ; {
				if w := worst.Load(); w >= d || worst.CompareAndSwap(w, d) {
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("the slowest took %s", time.Duration(worst.Load()))
	if d := time.Duration(worst.Load()); d > DefaultTimeout+2*slack { // starting so many takes a while
		t.Errorf("one took %s", d)
	}
	s.wantUp(t, false, time.Second)
	wantDown(t, s)
}

// TestR2_ASlowStoreIsRarelyTried tests a server that responds, but never in time: after
// an operation has timed out, none is tried before the next health check.
func TestR2_ASlowStoreIsRarelyTried(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	s := ready(t, r.Addr(), func(c *Config) { c.Timeout, c.interval = 50*time.Millisecond, PingInterval })
	a := s.account("a")
	stop, slept := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(slept)
		for {
			select {
			case <-stop:
				return
			default:
				r.Do("DEBUG", "SLEEP", "0.1")
			}
		}
	}()
	failed, tried := 0, 0
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if _, _, _, err := a.Get(t.Context(), "u", "ios"); err != nil {
			failed++
			if !errors.Is(err, exchange.ErrDown) {
				tried++
			}
		}
	}
	close(stop)
	<-slept
	if t.Logf("%d operations failed, %d of them were tried", failed, tried); failed < 20 || tried > 5 {
		t.Errorf("%d operations failed, %d of them were tried", failed, tried)
	}
	s.wantUp(t, true, 5*time.Second)
}

// TestR2_IdleOutage checks that an outage and its end are detected without any
// operation.
func TestR2_IdleOutage(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	s := ready(t, r.Addr(), short)
	r.Kill()
	s.wantUp(t, false, 5*time.Second)
	r.Run()
	s.wantUp(t, true, 5*time.Second)
}
