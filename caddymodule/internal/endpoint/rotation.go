package endpoint

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

// rotation reloads the credentials of one handler from their files. At most one
// reload runs at a time, in its own goroutine: reading a file may take seconds,
// and no request, config reload or stop may have to wait for that.
type rotation struct {
	failed     atomic.Bool // the last reload
	unreadable atomic.Bool // two reloads in a row had the same problem, and none has worked since

	mu      sync.Mutex // not held while files are read
	count   uint64     // reloads that have begun
	running *reload    // nil: none
	ended   bool       // the config is gone: the credentials stay as they are

	// Only the running reload uses these.
	problem string // of the last reload; empty: none
	logged  bool   // the log has it
}

// reload is one reading of the files.
type reload struct {
	number uint64
	done   chan struct{} // closed when it has ended
}

// begun returns how many reloads have begun.
func (r *rotation) begun() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// stopRotation releases the credentials in use when their exchanges have ended. They stay
// in place for requests that still run. It does not wait for a running reload,
// which will change nothing any more.
func (e *Endpoint) stopRotation() {
	e.rotation.mu.Lock()
	defer e.rotation.mu.Unlock()
	e.rotation.ended = true
	e.Account.AfterDrain(e.current.Load().leave)
}

// reloadIfChanged returns other credentials than those that the service has refused, or
// nil if there are none. It reads the files once more, and waits for that until
// ctx is done.
func (e *Endpoint) reloadIfChanged(ctx context.Context, refused *credentials) *credentials {
	if len(e.files) > 0 {
		e.reload(ctx)
	}
	if c := e.current.Load(); c.sum != refused.sum {
		return c
	}
	return nil
}

// reload returns when a reload that began after the call has ended, or when ctx
// is done. A reload that was running before may have read the old content.
func (e *Endpoint) reload(ctx context.Context) {
	before := e.rotation.begun()
	for {
		l, _ := e.startReload(before)
		if l == nil {
			return
		}
		select {
		case <-l.done:
		case <-ctx.Done():
			return
		}
		if l.number > before {
			return
		}
	}
}

// startReload returns the reload that is running, or starts one. It returns nil if there is no need to: more than before reloads have begun, and all have
// ended, or the config is gone.
func (e *Endpoint) startReload(before uint64) (l *reload, started bool) {
	r := &e.rotation
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended:
		return nil, false
	case r.running != nil:
		return r.running, false
	case r.count > before:
		return nil, false
	}
	r.count++
	l = &reload{number: r.count, done: make(chan struct{})}
	r.running = l
	go func() {
		defer func() {
			if recover() != nil { // the value is dropped: it may hold anything
				e.logPanic("reloading the credentials ended in a panic", &exchange.PanicError{Stack: debug.Stack()})
			}
			r.mu.Lock()
			r.running = nil
			r.mu.Unlock()
			close(l.done)
		}()
		e.reloadSettings()
	}()
	return l, true
}

// reloadSettings reads the files and replaces the credentials if their content has
// changed. If they cannot be used, the previous credentials stay.
func (e *Endpoint) reloadSettings() {
	s, err := e.stableSettings()
	if e.isEnded() {
		return
	}
	if err != nil {
		e.logUnusable(err)
		return
	}
	e.logUsable()
	if s.Fingerprint() == e.current.Load().sum {
		return
	}
	c, _, err := e.newCredentials(s)
	if err != nil {
		e.logUnusable(err)
		return
	}
	if e.replace(c) {
		e.Logger.Info("the credentials have changed: the new ones are used from now on")
	}
}

func (e *Endpoint) isEnded() bool {
	e.rotation.mu.Lock()
	defer e.rotation.mu.Unlock()
	return e.rotation.ended
}

// replace puts c in place of the credentials in use, and releases these when
// their exchanges have ended. If the config is gone it releases c.
func (e *Endpoint) replace(c *credentials) bool {
	e.rotation.mu.Lock()
	defer e.rotation.mu.Unlock()
	if e.rotation.ended {
		c.leave()
		return false
	}
	old := e.current.Swap(c)
	e.Account.AfterDrain(old.leave)
	return true
}

// A file may be being written: its content must stay the same for settleFor. It is
// read up to settleTries times.
const (
	debounce    = 20 * time.Millisecond
	maxDebounce = 10
)

var errFileChanging = errors.New("the files change all the time")

// stableSettings evaluates the settings once more. If they have changed it waits
// until they stay the same.
func (e *Endpoint) stableSettings() (Settings, error) {
	sum := e.current.Load().sum
	for range maxDebounce {
		var p option.Errors
		s := e.source.Settings(&p)
		if err := p.Err(); err != nil {
			return nil, err
		}
		now := s.Fingerprint()
		if now == sum {
			return s, nil
		}
		sum = now
		time.Sleep(debounce)
	}
	return nil, errFileChanging
}

// logUnusable logs once what is wrong, when a second reload in a row has found the
// same: a file may be being written.
func (e *Endpoint) logUnusable(err error) {
	r := &e.rotation
	r.failed.Store(true)
	if problem := err.Error(); problem != r.problem {
		r.problem, r.logged = problem, false
		return
	}
	r.unreadable.Store(true)
	if !r.logged {
		r.logged = true
		e.Logger.Warn("the credentials cannot be read again: those of before are used", zap.Error(err))
	}
}

// logUsable logs the recovery from a problem that has been logged.
func (e *Endpoint) logUsable() {
	r := &e.rotation
	r.failed.Store(false)
	r.problem = ""
	if r.unreadable.Swap(false) {
		e.Logger.Info("the credentials can be read again")
	}
}
