package refreshtoken

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// The limits of a Writer.
const (
	maxPending   = 1000             // objects that wait
	writeTimeout = 10 * time.Second // of one write, if the storage respects its context
	drainTimeout = 5 * time.Second  // how long Drain waits
)

// ErrQueueFull means that an object was not written because too many are waiting.
var ErrQueueFull = errors.New("too many refresh tokens are waiting: the storage is too slow or hangs")

// errNoStorage means that an object was not written because no config has started yet.
var errNoStorage = errors.New("no storage")

// Writer writes objects one after the other, in its own goroutine, so that no request
// waits for the storage. The zero value is ready for use. It is safe for concurrent use.
type Writer struct {
	mu      sync.Mutex
	storage certmagic.Storage
	waiting []object
	idle    chan struct{} // closed when no objects are left; nil: there are none
}

// object is an object to write.
type object struct {
	name  string
	value []byte
	done  func(error)
}

// SetStorage sets the storage of the writes from now on: that of the newest config.
func (w *Writer) SetStorage(s certmagic.Storage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.storage = s
}

// Write writes an object soon, and then calls done with the error of the write, or nil. If
// too many objects wait, it drops this one and calls done with ErrQueueFull at once. It
// does not block.
func (w *Writer) Write(name string, value []byte, done func(error)) {
	if !w.add(object{name, value, done}) {
		done(ErrQueueFull)
	}
}

// add adds an object, and starts the goroutine that writes it if there is none. It returns
// false if too many objects wait.
func (w *Writer) add(o object) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) >= maxPending {
		return false
	}
	w.waiting = append(w.waiting, o)
	if w.idle == nil {
		w.idle = make(chan struct{})
		go w.run()
	}
	return true
}

// run writes objects until none are left.
func (w *Writer) run() {
	for {
		o, storage, ok := w.next()
		if !ok {
			return
		}
		o.done(write(storage, o))
	}
}

// next removes and returns the first object that waits. ok is false if there is none.
func (w *Writer) next() (o object, storage certmagic.Storage, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		w.waiting = nil
		close(w.idle)
		w.idle = nil
		return o, nil, false
	}
	o, w.waiting = w.waiting[0], w.waiting[1:]
	return o, w.storage, true
}

func write(storage certmagic.Storage, o object) error {
	if storage == nil {
		return errNoStorage
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	return storage.Store(ctx, o.name, o.value)
}

// Drain waits until all objects are written, at most for 5 seconds. Call it before the
// process exits.
func (w *Writer) Drain() {
	w.mu.Lock()
	idle := w.idle
	w.mu.Unlock()
	if idle == nil {
		return
	}
	select {
	case <-idle:
	case <-time.After(drainTimeout):
	}
}
