package resilience

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// prioritySemaphore are the calls that may be at the service at once, and the two queues
// for them. A weighted semaphore has one queue only: under overload the calls
// that an exchange ends with would stand behind those of exchanges that have
// not begun, and what was done for them already would be lost.
type prioritySemaphore struct {
	mu      sync.Mutex
	free    int
	waiting [2]list.List // of chan struct{}: those that go first, and the others
}

func newPrioritySemaphore(n int) *prioritySemaphore { return &prioritySemaphore{free: n} }

// acquire waits for a slot, for at most half of the time that is left: whoever
// gets one has time to use it. A call that begins with hardly any time would
// fail, and take the slot from one that would not.
func (s *prioritySemaphore) acquire(ctx context.Context, first bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	queue := &s.waiting[1]
	if first {
		queue = &s.waiting[0]
	}
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	place := queue.PushBack(turn)
	s.mu.Unlock()

	tooLong := make(<-chan time.Time)
	if deadline, ok := ctx.Deadline(); ok {
		timer := time.NewTimer(time.Until(deadline) / 2)
		defer timer.Stop()
		tooLong = timer.C
	}
	err := error(&exchange.BusyError{})
	select {
	case <-turn:
		return nil
	case <-tooLong:
	case <-ctx.Done():
		err = ctx.Err()
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-turn: // it came at the last moment
		return nil
	default:
		queue.Remove(place)
		return err
	}
}

// release passes a slot on to the next in the queues.
func (s *prioritySemaphore) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.waiting {
		if place := s.waiting[i].Front(); place != nil {
			close(s.waiting[i].Remove(place).(chan struct{}))
			return
		}
	}
	s.free++
}
