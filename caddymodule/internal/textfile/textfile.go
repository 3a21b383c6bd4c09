// Package textfile reads the text files that options name: secrets, config files and
// PEM files. It limits the size and the time of a read, because a path may lead to a
// device or to a file system that hangs.
package textfile

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	// maxSize is the maximum size of a file in bytes.
	maxSize = 1 << 20

	// defaultTimeout is the timeout of Read.
	defaultTimeout = 3 * time.Second

	// shortTimeout is the timeout of Read while a read of another path is overdue,
	// because the files of a config are usually on the same mount.
	shortTimeout = 250 * time.Millisecond

	// A path whose read hangs may lead to another mount by now. Therefore it is read
	// again after retryAfter, with at most maxHanging hanging reads per path.
	retryAfter = 30 * time.Second
	maxHanging = 4
)

// files is the reader of the process.
var files = &reader{readFile: readFile, timeout: defaultTimeout}

// Read returns the content of a text file without its UTF-8 byte order mark. The
// content is not nil if err is nil. path must lead, directly or through links, to a
// regular file of at most 1 MiB that is not UTF-16 and has no NUL bytes.
//
// Read returns an error if the file system does not respond within 3 seconds, or within
// 250 ms while a read of another path is overdue. A hanging system call cannot be
// interrupted, so the read continues in its own goroutine. Until it returns, further
// calls for the path wait for it, and fail when it is 3 seconds old. After 30 seconds
// the path is read again, in at most 4 goroutines, because it may lead to another mount
// by then.
func Read(path string) ([]byte, error) { return files.read(path) }

// Stamp changes when a file is written or replaced. The zero value means that the file
// was not found.
type Stamp struct {
	inode      uint64
	size, time int64
}

// Stat returns the Stamp of the file at path. Unlike Read, it has no timeout.
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
	wrap     wrapper // for tests; nil otherwise
	timeout  time.Duration
	calls    map[string]*call // by path
	count    uint64           // numbers the calls of read and the reads that they start, in order
}

// call is one read of a file.
type call struct {
	number  uint64
	attempt int // 1 for the first read of the path; one more for each retry while the previous one hangs
	began   time.Time
	done    chan struct{} // closed when readFile has returned

	// Valid after done is closed.
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
			return nil, fmt.Errorf("read %s: timed out after %s (is the mount hanging?)", path, timeout)
		}
		// A read that began before this call may have returned old content.
		if c.number > number {
			return bytes.Clone(c.content), c.err
		}
	}
}

// join returns the running read of path, or starts one.
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

// isHanging reports whether a read of another path is overdue. r.mu must be held.
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

// wrapper wraps a function that reads or stats a file.
type wrapper = func(read func(path string) ([]byte, error)) func(path string) ([]byte, error)

// Replace changes how files are read and the timeout of Read, for tests that need a
// hanging file system. wrap is called with the functions that read and stat files. Only
// tests may call Replace. restore undoes it.
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
