package resilience

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// prioritySemaphore limits the number of concurrent calls and has two queues for them.
// A weighted semaphore has only one queue. Under overload, the later calls of exchanges
// would wait behind the first calls of others, and the work done for them would be
// lost.
type prioritySemaphore struct {
	mu      sync.Mutex
	free    int
	waiting [2]list.List // of chan struct{}: first the calls with priority, then the others
}

func newPrioritySemaphore(n int) *prioritySemaphore { return &prioritySemaphore{free: n} }

// acquire waits for a slot, for at most half of the time until ctx's deadline, so that
// time is left to use it. A call that started with hardly any time left would fail, and
// would take the slot from a call that could succeed. first puts the call into the
// queue with priority.
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
	err := error(&exchange.OverloadError{})
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
	case <-turn: // the slot was assigned at the last moment
		return nil
	default:
		queue.Remove(place)
		return err
	}
}

// release passes the slot to the next call in the queues, or frees it.
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
