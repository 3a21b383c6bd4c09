package refreshtoken

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
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
	storage atomic.Pointer[certmagic.Storage]
	start   sync.Once
	jobs    chan func() // use queue
}

// SetStorage sets the storage of the writes from now on: that of the newest config.
func (w *Writer) SetStorage(s certmagic.Storage) { w.storage.Store(&s) }

// Write writes an object soon, and then calls done with the error of the write, or nil. If
// too many objects wait, it drops this one and calls done with ErrQueueFull at once. It
// does not block.
func (w *Writer) Write(name string, value []byte, done func(error)) {
	select {
	case w.queue() <- func() { done(w.store(name, value)) }:
	default:
		done(ErrQueueFull)
	}
}

// queue returns the queue of the goroutine, which its first call starts.
func (w *Writer) queue() chan<- func() {
	w.start.Do(func() {
		w.jobs = make(chan func(), maxPending)
		go w.run()
	})
	return w.jobs
}

// run writes objects until the process exits.
func (w *Writer) run() {
	for job := range w.jobs {
		job()
	}
}

func (w *Writer) store(name string, value []byte) error {
	storage := w.storage.Load()
	if storage == nil {
		return errNoStorage
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	return (*storage).Store(ctx, name, value)
}

// Drain waits until all objects are written, at most for 5 seconds. Call it before the
// process exits.
func (w *Writer) Drain() {
	idle, timeout := make(chan struct{}), time.After(drainTimeout)
	select {
	case w.queue() <- func() { close(idle) }:
	case <-timeout:
		return
	}
	select {
	case <-idle:
	case <-timeout:
	}
}
