//go:build unix

package textfile

import "syscall"

// nonblock keeps the opening of a FIFO without a writer from blocking.
const nonblock = syscall.O_NONBLOCK
