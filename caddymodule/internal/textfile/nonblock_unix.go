//go:build unix

package textfile

import (
	"io/fs"
	"syscall"
)

// nonblock keeps the opening of a FIFO without a writer from blocking.
const nonblock = syscall.O_NONBLOCK

// inode is the number of a file in its file system.
func inode(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino) //nolint:unconvert // its type differs between systems
	}
	return 0
}
