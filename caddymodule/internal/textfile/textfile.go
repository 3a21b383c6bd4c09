// Package textfile reads the text files that options name: secrets, config
// files and PEM files. A read has a limit on its size and on its time, because
// a path may lead to a device or into a file system that does not answer.
package textfile

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	// maxSize is the size of the largest file that is read, in bytes.
	maxSize = 1 << 20

	// defaultTimeout is how long Read waits for a file.
	defaultTimeout = 3 * time.Second

	// shortTimeout is how long Read waits while another read is overdue: several
	// files of one config are mostly on one mount.
	shortTimeout = 250 * time.Millisecond

	// A path whose read hangs may lead elsewhere by now: after retryAfter it is
	// read again, while at most maxHanging reads of it hang.
	retryAfter = 30 * time.Second
	maxHanging = 4
)

// files is the reader of the process.
var files = &reader{readFile: readFile, timeout: defaultTimeout}

// Read returns the content of a text file without its UTF-8 byte order mark. It
// is not nil if err is nil. path must lead, through links perhaps, to a regular
// file of at most 1 MiB that is not UTF-16 and has no NUL bytes.
//
// Read returns an error if the file system has not answered within 3 seconds, or
// within 250 ms while a read of another path is overdue. A system call that hangs
// cannot be interrupted, so the read goes on in its own goroutine. Until it
// returns, further calls for the path wait for it, and fail when it is 3 seconds
// old. After 30 seconds the path is read again, in at most 4 goroutines: it may
// lead to another mount by then.
func Read(path string) ([]byte, error) { return files.read(path) }

// Stamp changes when a file is written or replaced. The zero value is that of a file
// that cannot be found.
type Stamp struct {
	inode      uint64
	size, time int64
}

// Stat returns the Stamp of the file at path. Unlike Read it waits as long as the file
// system does not answer.
func Stat(path string) (s Stamp) {
	stat := func(path string) ([]byte, error) {
		info, err := os.Stat(path)
		if err == nil {
			s = Stamp{inode(info), info.Size(), info.ModTime().UnixNano()}
		}
		return nil, err
	}
	if wrap := files.wrapped(); wrap != nil {
		stat = wrap(stat)
	}
	_, _ = stat(path)
	return s
}

// reader runs reads, each in its own goroutine.
type reader struct {
	mu       sync.Mutex
	readFile func(path string) ([]byte, error)
	wrap     wrapper // of a test
	timeout  time.Duration
	calls    map[string]*call // by path
	count    uint64           // numbers calls of read and the reads they start, in their order
}

// call is one read of a file.
type call struct {
	number  uint64
	attempt int // of those that may hang
	began   time.Time
	done    chan struct{} // closed when readFile has returned

	// Valid once done is closed.
	content []byte
	err     error
}

func (r *reader) read(path string) ([]byte, error) {
	r.mu.Lock()
	r.count++
	number, timeout := r.count, r.timeout
	if r.isHanging(path) {
		timeout = min(timeout, shortTimeout)
	}
	r.mu.Unlock()
	began := time.Now()
	for {
		c := r.join(path)
		oldest := began
		if c.began.Before(oldest) {
			oldest = c.began
		}
		if !c.wait(timeout - time.Since(oldest)) {
			return nil, fmt.Errorf("read %s: no answer within %s (is its mount hanging?)", path, timeout)
		}
		// What a read found that began before this call may be out of date.
		if c.number > number {
			return bytes.Clone(c.content), c.err
		}
	}
}

// join returns the read of a path that is running, or starts one.
func (r *reader) join(path string) *call {
	r.mu.Lock()
	defer r.mu.Unlock()
	attempt := 1
	if c := r.calls[path]; c != nil {
		if time.Since(c.began) < retryAfter || c.attempt == maxHanging {
			return c
		}
		attempt = c.attempt + 1
	}
	r.count++
	c := &call{number: r.count, attempt: attempt, began: time.Now(), done: make(chan struct{})}
	if r.calls == nil {
		r.calls = make(map[string]*call)
	}
	r.calls[path] = c
	read := r.readFile
	go func() {
		c.content, c.err = read(path)
		r.mu.Lock()
		if r.calls[path] == c {
			delete(r.calls, path)
		}
		r.mu.Unlock()
		close(c.done)
	}()
	return c
}

// isHanging reports whether a read of another path is overdue.
func (r *reader) isHanging(path string) bool {
	for other, c := range r.calls {
		if other != path && time.Since(c.began) >= r.timeout {
			return true
		}
	}
	return false
}

// wait reports whether the read returns within d.
func (c *call) wait(d time.Duration) bool {
	select {
	case <-c.done:
		return true
	default:
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.done:
		return true
	case <-timer.C:
		return false
	}
}

// wrapper makes another function of one that reads a file, or stats it.
type wrapper = func(read func(path string) ([]byte, error)) func(path string) ([]byte, error)

// Replace changes how files are read, and how long Read waits, for a test that
// needs a file system that hangs. wrap is given the functions that read files and stat
// them. Nothing else may call Replace. restore undoes it.
func Replace(timeout time.Duration, wrap wrapper) (restore func()) {
	files.set(timeout, wrap(readFile), wrap)
	return func() { files.set(defaultTimeout, readFile, nil) }
}

func (r *reader) set(timeout time.Duration, readFile func(path string) ([]byte, error), wrap wrapper) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timeout, r.readFile, r.wrap = timeout, readFile, wrap
}

func (r *reader) wrapped() wrapper {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wrap
}
