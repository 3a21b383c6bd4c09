//go:build !unix

package redisserver

import "os"

// stopSignal and continueSignal are nil: the system does not have them.
var stopSignal, continueSignal os.Signal
