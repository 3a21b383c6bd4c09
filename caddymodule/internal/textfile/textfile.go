// Package textfile reads the text files that options name: secrets, config files and
// PEM files. It limits the size and the time of a read, because a path may lead to a
// device or to a file system that hangs.
package textfile

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxSize is the maximum size of a file in bytes.
	maxSize = 1 << 20

	// defaultTimeout is the timeout of Read.
	defaultTimeout = 3 * time.Second

	// shortTimeout is the timeout of Read while a read hangs, because the files of a config
	// are usually on the same mount.
	shortTimeout = 250 * time.Millisecond
)

// files is the reader of the process.
var files atomic.Pointer[reader]

func init() { files.Store(newReader(defaultTimeout, func(f access) access { return f })) }

// Read returns the content of a text file without its UTF-8 byte order mark. The
// content is not nil if err is nil. path must lead, directly or through links, to a
// regular file of at most 1 MiB that is not UTF-16 and has no NUL bytes.
//
// Read returns an error if the file system does not respond within 3 seconds, or within
// 250 ms while a read that has timed out is still running. A hanging system call cannot
// be interrupted, so the read continues in its own goroutine. Until it returns, further
// calls for the path wait for it.
func Read(path string) ([]byte, error) { return files.Load().read(path) }

// Stamp identifies a version of a file. It changes when the file is written or replaced.
// The zero value means that the file was not found.
type Stamp struct{ info fs.FileInfo }

// Stat returns the Stamp of the file at path. Unlike Read, it has no timeout.
func Stat(path string) (s Stamp) {
	_, _ = files.Load().wrap(func(path string) ([]byte, error) {
		info, err := os.Stat(path)
		if err == nil {
			s = Stamp{info}
			// On Windows, SameFile opens the file, which may block, and keeps its ID.
			os.SameFile(info, info)
		}
		return nil, err
	})(path)
	return s
}

// Equal reports whether two Stamps are of the same version of a file.
func (s Stamp) Equal(other Stamp) bool {
	a, b := s.info, other.info
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// access is a function that reads or stats a file.
type access = func(path string) ([]byte, error)

// reader reads files, each in its own goroutine. Calls for the same path share a read.
type reader struct {
	timeout time.Duration
	wrap    func(access) access // returns its argument, except in tests

	mu      sync.Mutex
	running map[string]*result // by path
	hanging int                // how many of them have timed out
}

// result is the result of a read.
type result struct {
	done    chan struct{} // closed when the read ends
	content []byte        // valid after that
	err     error         // likewise
	hangs   bool          // a call has timed out; guarded by the reader's mu
}

func (r *reader) read(path string) ([]byte, error) {
	timer := time.NewTimer(r.timeoutNow())
	defer timer.Stop()
	for joined := false; ; joined = true {
		read, started := r.join(path)
		select {
		case <-timer.C:
			r.setHanging(path, read)
			return nil, fmt.Errorf("read %s: timed out (is the mount hanging?)", path)
		case <-read.done:
			// The first read that this call has joined may have begun before it, and have
			// returned old content.
			if started || joined {
				return bytes.Clone(read.content), read.err
			}
		}
	}
}

// timeoutNow returns the timeout of a call that begins now.
func (r *reader) timeoutNow() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hanging > 0 {
		return min(r.timeout, shortTimeout)
	}
	return r.timeout
}

// join returns the running read of path, or starts one.
func (r *reader) join(path string) (read *result, started bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if read := r.running[path]; read != nil {
		return read, false
	}
	read = &result{done: make(chan struct{})}
	r.running[path] = read
	go func() {
		read.content, read.err = r.wrap(readFile)(path)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.running, path)
		if read.hangs {
			r.hanging--
		}
		close(read.done)
	}()
	return read, true
}

// setHanging records that a call for path has timed out.
func (r *reader) setHanging(path string, read *result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running[path] == read && !read.hangs {
		read.hangs = true
		r.hanging++
	}
}

func newReader(timeout time.Duration, wrap func(access) access) *reader {
	return &reader{timeout: timeout, wrap: wrap, running: make(map[string]*result)}
}

// Replace changes how files are read and the timeout of Read, for tests that need a
// hanging file system. wrap is called with the functions that read and stat files. Only
// tests may call Replace. restore undoes it.
func Replace(timeout time.Duration, wrap func(access) access) (restore func()) {
	before := files.Swap(newReader(timeout, wrap))
	return func() { files.Store(before) }
}
