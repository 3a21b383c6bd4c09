package endpoint

import (
	"encoding/json"
	"iter"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/textfile"
)

var fileName = regexp.MustCompile(`{file\.([^}]+)}`)

// optionFiles returns the files that options name, which may change.
func optionFiles(options any) (files []string) {
	text, err := json.Marshal(options)
	var all map[string]any
	if err != nil || json.Unmarshal(text, &all) != nil {
		return nil
	}
	if name, ok := all["config_file"].(string); ok {
		files = append(files, caddy.NewReplacer().ReplaceAll(name, ""))
	}
	for text := range stringsIn(all) {
		for _, name := range fileName.FindAllStringSubmatch(text, -1) {
			files = append(files, name[1])
		}
	}
	return files
}

// stringsIn are the texts in a JSON value.
func stringsIn(v any) iter.Seq[string] {
	return func(yield func(string) bool) {
		var within func(v any) bool
		within = func(v any) bool {
			switch v := v.(type) {
			case string:
				return yield(v)
			case map[string]any:
				for _, member := range v {
					if !within(member) {
						return false
					}
				}
			case []any:
				for _, element := range v {
					if !within(element) {
						return false
					}
				}
			}
			return true
		}
		within(v)
	}
}

// PollInterval is how often the watcher looks whether the files of a handler have
// changed. It is shorter in tests.
var PollInterval = 2 * time.Second

// MaxRound is how long one round of the watcher waits for reloads that take long.
// It is shorter in tests.
var MaxRound = 3 * time.Second

// watcher is the watcher of the process.
var watcher fileWatcher

// readInterval is how often files are read of which nothing says that they have
// changed.
const readInterval = time.Minute

// fileWatcher reloads the credentials of all handlers whose options name files. It
// has one goroutine, which runs while there is such a handler.
type fileWatcher struct {
	mu       sync.Mutex // not held while files are read
	handlers map[*Endpoint]*watchedFiles
	stop     chan struct{} // ends the goroutine when closed; nil: none runs

	hanging sync.Map // paths of files whose file system does not answer → nil
}

// watchedFiles are the files of a handler. Only the watcher's goroutine uses them.
type watchedFiles struct {
	stamps []textfile.Stamp // before they were read
	read   time.Time        // when that was
}

// add begins to watch the files of a handler.
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

// remove ends that. It does not wait for a reload. A handler that was not added
// changes nothing.
func (w *fileWatcher) remove(e *Endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.handlers, e)
	if len(w.handlers) == 0 && w.stop != nil {
		close(w.stop)
		w.stop = nil
	}
}

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

// round reloads the credentials of the handlers whose files may have changed, one after
// the other. After MaxRound it starts the remaining reloads without waiting for them, so
// that a file system that hangs delays the other handlers by no more than that. A
// reload that still runs from the round before is not waited for.
func (w *fileWatcher) round(stop <-chan struct{}) {
	w.mu.Lock()
	all := maps.Clone(w.handlers)
	w.mu.Unlock()
	timer := time.NewTimer(MaxRound)
	defer timer.Stop()
	known := w.stat(all, timer)
	late := false
	for e, files := range all {
		stamps, ok := known.of(e.files)
		if ok && slices.Equal(stamps, files.stamps) && !e.rotation.failed.Load() && time.Since(files.read) < readInterval {
			continue
		}
		l, started := e.startReload(e.rotation.begun())
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

// stampsByPath are the stamps of files.
type stampsByPath map[string]textfile.Stamp

// of returns those of some files, and whether all are known.
func (s stampsByPath) of(paths []string) (stamps []textfile.Stamp, ok bool) {
	stamps = make([]textfile.Stamp, len(paths))
	for i, path := range paths {
		if stamps[i], ok = s[path]; !ok {
			return nil, false
		}
	}
	return stamps, true
}

// stat returns the stamps of the files of all handlers, but for those whose file system
// does not answer before the timer fires, or has not since a round before.
func (w *fileWatcher) stat(all map[*Endpoint]*watchedFiles, timer *time.Timer) stampsByPath {
	paths := make(map[string]struct{})
	for e := range all {
		for _, path := range e.files {
			paths[path] = struct{}{}
		}
	}
	var (
		mu     sync.Mutex
		over   bool // the stamps are in use
		stamps = make(stampsByPath, len(paths))
		done   = make(chan struct{})
	)
	go func() {
		defer close(done)
		for path := range paths {
			if _, hangs := w.hanging.LoadOrStore(path, nil); hangs {
				continue
			}
			stamp := textfile.Stat(path)
			w.hanging.Delete(path)
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
		timer.Reset(0) // for what else waits for it
	}
	mu.Lock()
	defer mu.Unlock()
	over = true
	return stamps
}
