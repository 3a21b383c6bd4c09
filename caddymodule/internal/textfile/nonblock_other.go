//go:build !unix

package textfile

import "io/fs"

// nonblock is 0: on these systems FIFOs are not in the file system, so opening a file
// does not block on them.
const nonblock = 0

// inode returns 0: these systems identify files in other ways.
func inode(fs.FileInfo) uint64 { return 0 }
