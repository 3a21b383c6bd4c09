// Package filewatch reloads what was read from files when a file may have changed. One
// goroutine watches all these files of the process. It polls them, because a network file
// system does not notify, and a Kubernetes volume replaces links above the file.
package filewatch

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/textfile"
)

// PollInterval is the interval at which files are checked for changes. Tests set it to a
// shorter one.
var PollInterval = 2 * time.Second

// MaxRound is the maximum time that one check of all files waits for file systems and for
// reloads. Tests set it to a shorter one.
var MaxRound = 3 * time.Second

// readInterval is the interval at which files are read again although their stamps have
// not changed.
const readInterval = time.Minute

// Reader reads files. It must be comparable.
type Reader interface {
	// Files returns the paths of the files. They do not change.
	Files() []string

	// Reload starts to read the files. done is closed when this reading has ended. If the
	// files are being read already, or not read any more, Reload returns false and no
	// channel.
	Reload() (done <-chan struct{}, started bool)

	// Failed reports whether the last reload failed. Files are then read again although
	// they have not changed.
	Failed() bool
}

// all is the only watcher of the process.
var all watcher

// Add starts to watch the files of r.
func Add(r Reader) { all.add(r) }

// Remove stops watching the files of r. It does not wait for a running reload. If r was
// not added, Remove does nothing.
func Remove(r Reader) { all.remove(r) }

// watcher reloads the files of all Readers. It has one goroutine, which runs while there
// is a Reader. The zero value is ready for use.
type watcher struct {
	mu      sync.Mutex // not held while files are read
	readers map[Reader]*state
	stop    chan struct{} // closed to end the goroutine; nil: it does not run

	pendingStats sync.Map // set of paths (→ nil) with a pending call of textfile.Stat
}

// state is the state of the files of one Reader. Only the watcher's goroutine uses it.
type state struct {
	stamps []textfile.Stamp // taken before the files were last read
	read   time.Time        // when the files were last read
}

func (w *watcher) add(r Reader) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.readers == nil {
		w.readers = make(map[Reader]*state)
	}
	w.readers[r] = new(state)
	if w.stop == nil {
		w.stop = make(chan struct{})
		go w.run(w.stop)
	}
}

func (w *watcher) remove(r Reader) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.readers, r)
	if len(w.readers) == 0 && w.stop != nil {
		close(w.stop)
		w.stop = nil
	}
}

// run calls round every PollInterval until stop is closed.
func (w *watcher) run(stop <-chan struct{}) {
	tick := time.NewTicker(PollInterval)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			w.round(stop)
		}
	}
}

// round reloads the files that may have changed, one Reader after the other. After
// MaxRound it starts the remaining reloads without waiting for them, so that a hanging
// file system delays the other Readers by no more than that. It does not wait for a
// reload that is still running from the previous round.
func (w *watcher) round(stop <-chan struct{}) {
	w.mu.Lock()
	readers := maps.Clone(w.readers)
	w.mu.Unlock()
	timer := time.NewTimer(MaxRound)
	defer timer.Stop()
	known := w.stat(readers, timer)
	late := false
	for r, s := range readers {
		stamps, ok := known.lookup(r.Files())
		if ok && slices.EqualFunc(stamps, s.stamps, textfile.Stamp.Equal) && !r.Failed() && time.Since(s.read) < readInterval {
			continue
		}
		done, started := r.Reload()
		if started {
			s.stamps, s.read = stamps, time.Now()
		}
		if !started || late {
			continue
		}
		select {
		case <-done:
		case <-timer.C:
			late = true
		case <-stop:
			return
		}
	}
}

// stampsByPath maps the paths of files to their stamps.
type stampsByPath map[string]textfile.Stamp

// lookup returns the stamps of the given files. ok is false if one of them is unknown.
func (s stampsByPath) lookup(paths []string) (stamps []textfile.Stamp, ok bool) {
	stamps = make([]textfile.Stamp, len(paths))
	for i, path := range paths {
		if stamps[i], ok = s[path]; !ok {
			return nil, false
		}
	}
	return stamps, true
}

// stat returns the stamps of the files of all Readers. It omits a file if its file
// system does not respond before the timer fires, or has not yet responded to the call
// of a previous round.
func (w *watcher) stat(readers map[Reader]*state, timer *time.Timer) stampsByPath {
	paths := make(map[string]struct{})
	for r := range readers {
		for _, path := range r.Files() {
			paths[path] = struct{}{}
		}
	}
	var (
		mu     sync.Mutex
		over   bool // stat has returned stamps: do not write to it any more
		stamps = make(stampsByPath, len(paths))
		done   = make(chan struct{})
	)
	go func() {
		defer close(done)
		for path := range paths {
			if _, hangs := w.pendingStats.LoadOrStore(path, nil); hangs {
				continue
			}
			stamp := textfile.Stat(path)
			w.pendingStats.Delete(path)
			mu.Lock()
			if over {
				mu.Unlock()
				return
			}
			stamps[path] = stamp
			mu.Unlock()
		}
	}()
	select {
	case <-done:
	case <-timer.C:
		timer.Reset(0) // fire again: round waits for the timer, too
	}
	mu.Lock()
	defer mu.Unlock()
	over = true
	return stamps
}
