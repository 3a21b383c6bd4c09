// Package textfile reads the text files that options name: secrets, config files and
// PEM files. It limits the size and the time of a read, because a path may lead to a
// device or to a file system that hangs.
package textfile

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// maxSize is the maximum size of a file in bytes.
	maxSize = 1 << 20

	// defaultTimeout is the timeout of Read.
	defaultTimeout = 3 * time.Second

	// shortTimeout is the timeout of Read while another read has taken most of its timeout,
	// because the files of a config are usually on the same mount.
	shortTimeout = 250 * time.Millisecond
)

// files is the reader of the process.
var files atomic.Pointer[reader]

func init() { files.Store(&reader{timeout: defaultTimeout, wrap: func(f access) access { return f }}) }

// Read returns the content of a text file without its UTF-8 byte order mark. The
// content is not nil if err is nil. path must lead, directly or through links, to a
// regular file of at most 1 MiB that is not UTF-16 and has no NUL bytes.
//
// Read returns an error if the file system does not respond within 3 seconds, or within
// 250 ms while another read is running for more than 2 seconds. A hanging system call
// cannot be interrupted, so the read continues in its own goroutine. Until it returns,
// further calls for the path wait for it.
func Read(path string) ([]byte, error) { return files.Load().read(path) }

// Stamp identifies a version of a file: it is another one when the file is written or
// replaced. The zero value means that the file was not found.
type Stamp struct{ info fs.FileInfo }

// Stat returns the Stamp of the file at path. Unlike Read, it has no timeout.
func Stat(path string) (s Stamp) {
	_, _ = files.Load().wrap(func(path string) ([]byte, error) {
		info, err := os.Stat(path)
		if err == nil {
			s = Stamp{info}
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
	reads   singleflight.Group  // by path
	hanging atomic.Int32        // number of reads that have taken two thirds of the timeout
}

func (r *reader) read(path string) ([]byte, error) {
	timeout := r.timeout
	if r.hanging.Load() > 0 {
		timeout = min(timeout, shortTimeout)
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for joined := false; ; joined = true {
		started := false
		result := r.reads.DoChan(path, func() (any, error) {
			started = true
			hangs := time.AfterFunc(r.timeout*2/3, func() { r.hanging.Add(1) })
			defer func() {
				if !hangs.Stop() {
					r.hanging.Add(-1)
				}
			}()
			return r.wrap(readFile)(path)
		})
		select {
		case <-timer.C:
			return nil, fmt.Errorf("read %s: timed out (is the mount hanging?)", path)
		case got := <-result:
			// The first read that this call has joined may have begun before it, and have
			// returned old content.
			if started || joined {
				content, _ := got.Val.([]byte)
				return bytes.Clone(content), got.Err
			}
		}
	}
}

// Replace changes how files are read and the timeout of Read, for tests that need a
// hanging file system. wrap is called with the functions that read and stat files. Only
// tests may call Replace. restore undoes it.
func Replace(timeout time.Duration, wrap func(access) access) (restore func()) {
	before := files.Swap(&reader{timeout: timeout, wrap: wrap})
	return func() { files.Store(before) }
}
