//go:build unix

package textfile

import (
	"io/fs"
	"syscall"
)

// nonblock prevents OpenFile from blocking on a FIFO that has no writer.
const nonblock = syscall.O_NONBLOCK

// inode returns the inode number of a file, or 0 if it is not known.
func inode(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino) //nolint:unconvert // its type differs between systems
	}
	return 0
}
