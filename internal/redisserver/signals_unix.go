//go:build unix

package redisserver

import (
	"os"
	"syscall"
)

// The signals that make a process hang, and go on.
var stopSignal, continueSignal os.Signal = syscall.SIGSTOP, syscall.SIGCONT
