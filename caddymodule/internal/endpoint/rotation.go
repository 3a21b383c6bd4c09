package endpoint

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

// rotation reloads the credentials of one handler from their files. At most one reload
// runs at a time, in its own goroutine: reading a file may take seconds, and neither a
// cache hit nor a config reload nor a shutdown may wait for that. The zero value is
// ready for use.
type rotation struct {
	failed     atomic.Bool // the last reload failed
	unreadable atomic.Bool // two reloads in a row failed with the same error, and none has succeeded since

	mu      sync.Mutex // not held while files are read
	count   uint64     // reloads that were started
	running *reload    // nil: none
	stopped bool       // the config is unloaded: do not replace the credentials any more

	// Only the running reload uses these.
	lastErr string            // the error of the last reload; empty: it succeeded
	logged  bool              // lastErr was logged
	changes map[string]uint64 // changes that this handler has noticed, by log message; see account.Changes
}

// reload is one attempt to read the files.
type reload struct {
	number uint64        // counts from 1
	done   chan struct{} // closed when the reload has ended
}

// startedReloads returns the number of reloads that were started.
func (r *rotation) startedReloads() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// stopRotation ends the rotation when the config is unloaded. The current credentials
// stay in place for requests that still run; they are released when the running
// exchanges have ended. stopRotation does not wait for a running reload, which will not
// replace the credentials any more.
func (e *Endpoint) stopRotation() {
	e.rotation.mu.Lock()
	defer e.rotation.mu.Unlock()
	e.rotation.stopped = true
	e.Account.AfterDrain(e.current.Load().leave)
}

// reloadIfChanged reloads the credentials after the service has refused them. It returns
// the current credentials if they differ from the refused ones, and nil otherwise. It
// waits for the reload until ctx is done. If the options name no files, it does not
// reload.
func (e *Endpoint) reloadIfChanged(ctx context.Context, refused *credentials) *credentials {
	if len(e.files) > 0 {
		e.reload(ctx)
	}
	if c := e.current.Load(); c.fingerprint != refused.fingerprint {
		return c
	}
	return nil
}

// reload waits until a reload has ended that began after the call of this method, or
// until ctx is done. It starts one if necessary. A reload that was already running may
// have read the old content of the files, so it does not count.
func (e *Endpoint) reload(ctx context.Context) {
	before := e.rotation.startedReloads()
	for {
		running, _ := e.startReload(before)
		if running == nil {
			return
		}
		select {
		case <-running.done:
		case <-ctx.Done():
			return
		}
		if running.number > before {
			return
		}
	}
}

// startReload returns the running reload, or starts one. before is an earlier result of
// startedReloads. startReload returns nil if the config is unloaded, or if a reload has
// begun and ended since that call of startedReloads.
func (e *Endpoint) startReload(before uint64) (l *reload, started bool) {
	r := &e.rotation
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.stopped:
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
			if recover() != nil { // do not log the value: it may hold a secret
				e.logPanic("panic while reloading credentials", &exchange.PanicError{Stack: debug.Stack()})
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

// files implements filewatch.Reader for the files of one handler.
type files struct{ endpoint *Endpoint }

func (f files) Files() []string { return f.endpoint.files }
func (f files) Failed() bool    { return f.endpoint.rotation.failed.Load() }

func (f files) Reload() (done <-chan struct{}, started bool) {
	l, started := f.endpoint.startReload(f.endpoint.rotation.startedReloads())
	if !started {
		return nil, false
	}
	return l.done, true
}

// reloadSettings reads the files, and replaces the credentials if the settings have
// changed. If the new settings are not valid, the previous credentials stay.
func (e *Endpoint) reloadSettings() {
	s, err := e.stableSettings()
	if e.isStopped() {
		return
	}
	if err != nil {
		e.logReloadFailed(err)
		return
	}
	e.logReloadSucceeded()
	if s.Fingerprint() == e.current.Load().fingerprint {
		return
	}
	c, _, err := e.newCredentials(s)
	if err != nil {
		e.logReloadFailed(err)
		return
	}
	if e.replace(c) {
		e.logChange(zapcore.InfoLevel, messageReloaded)
	}
}

// isStopped reports whether stopRotation was called.
func (e *Endpoint) isStopped() bool {
	e.rotation.mu.Lock()
	defer e.rotation.mu.Unlock()
	return e.rotation.stopped
}

// replace replaces the current credentials by c. It releases the previous ones when the
// running exchanges have ended. If the config is unloaded, it releases c and returns
// false.
func (e *Endpoint) replace(c *credentials) bool {
	e.rotation.mu.Lock()
	defer e.rotation.mu.Unlock()
	if e.rotation.stopped {
		c.leave()
		return false
	}
	old := e.current.Swap(c)
	e.Account.AfterDrain(old.leave)
	return true
}

// The settings must stay the same for debounce, because a file may be only partly
// written. The files are read at most maxDebounce times.
const (
	debounce    = 20 * time.Millisecond
	maxDebounce = 10
)

// errFileChanging is the error of a reload whose settings changed with each reading.
var errFileChanging = errors.New("files keep changing")

// stableSettings evaluates the settings. If they have changed, it waits until two
// readings in a row give the same settings. It returns errFileChanging if that does not
// happen within maxDebounce readings.
func (e *Endpoint) stableSettings() (Settings, error) {
	last := e.current.Load().fingerprint
	for range maxDebounce {
		var p option.Errors
		s := e.source.Settings(&p)
		if err := p.Err(); err != nil {
			return nil, err
		}
		now := s.Fingerprint()
		if now == last {
			return s, nil
		}
		last = now
		time.Sleep(debounce)
	}
	return nil, errFileChanging
}
