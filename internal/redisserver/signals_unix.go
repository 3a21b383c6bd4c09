//go:build unix

package redisserver

import (
	"os"
	"syscall"
)

// stopSignal and continueSignal pause and resume a process.
var stopSignal, continueSignal os.Signal = syscall.SIGSTOP, syscall.SIGCONT
