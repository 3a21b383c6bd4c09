//go:build !unix

package redisserver

import "os"

// There are no such signals.
var stopSignal, continueSignal os.Signal
