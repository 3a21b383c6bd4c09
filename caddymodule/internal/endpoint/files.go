package endpoint

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/textfile"
)

// PollInterval is the interval at which the watcher checks whether the files of a
// handler have changed. Tests set it to a shorter one.
var PollInterval = 2 * time.Second

// MaxRound is the maximum time that one round of the watcher waits for file systems and
// for reloads. Tests set it to a shorter one.
var MaxRound = 3 * time.Second

// watcher is the only fileWatcher of the process.
var watcher fileWatcher

// readInterval is the interval at which files are read again although their stamps have
// not changed.
const readInterval = time.Minute

// fileWatcher reloads the credentials of all handlers whose options name files. It has
// one goroutine, which runs while there is such a handler. The zero value is ready for
// use.
type fileWatcher struct {
	mu       sync.Mutex // not held while files are read
	handlers map[*Endpoint]*watchedFiles
	stop     chan struct{} // closed to end the goroutine; nil: it does not run

	pendingStats sync.Map // set of paths (→ nil) with a pending call of textfile.Stat
}

// watchedFiles is the state of the files of one handler. Only the watcher's goroutine
// uses it.
type watchedFiles struct {
	stamps []textfile.Stamp // taken before the files were last read
	read   time.Time        // when the files were last read
}

// add starts to watch the files of a handler.
func (w *fileWatcher) add(e *Endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.handlers == nil {
		w.handlers = make(map[*Endpoint]*watchedFiles)
	}
	w.handlers[e] = new(watchedFiles)
	if w.stop == nil {
		w.stop = make(chan struct{})
		go w.run(w.stop)
	}
}

// remove stops watching the files of a handler. It does not wait for a running reload.
// If the handler was not added, remove does nothing.
func (w *fileWatcher) remove(e *Endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.handlers, e)
	if len(w.handlers) == 0 && w.stop != nil {
		close(w.stop)
		w.stop = nil
	}
}

// run calls round every PollInterval until stop is closed.
func (w *fileWatcher) run(stop <-chan struct{}) {
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

// round reloads the credentials of the handlers whose files may have changed, one
// handler after the other. After MaxRound it starts the remaining reloads without
// waiting for them, so that a hanging file system delays the other handlers by no more
// than that. It does not wait for a reload that is still running from the previous
// round.
func (w *fileWatcher) round(stop <-chan struct{}) {
	w.mu.Lock()
	all := maps.Clone(w.handlers)
	w.mu.Unlock()
	timer := time.NewTimer(MaxRound)
	defer timer.Stop()
	known := w.stat(all, timer)
	late := false
	for e, files := range all {
		stamps, ok := known.lookup(e.files)
		if ok && slices.Equal(stamps, files.stamps) && !e.rotation.failed.Load() && time.Since(files.read) < readInterval {
			continue
		}
		l, started := e.startReload(e.rotation.startedReloads())
		if started {
			files.stamps, files.read = stamps, time.Now()
		}
		if !started || late {
			continue
		}
		select {
		case <-l.done:
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

// stat returns the stamps of the files of all handlers. It omits a file if its file
// system does not respond before the timer fires, or has not yet responded to the call
// of a previous round.
func (w *fileWatcher) stat(all map[*Endpoint]*watchedFiles, timer *time.Timer) stampsByPath {
	paths := make(map[string]struct{})
	for e := range all {
		for _, path := range e.files {
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
