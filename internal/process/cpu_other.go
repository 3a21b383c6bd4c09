//go:build !linux

package process

import (
	"errors"
	"time"
)

// CPU is the processor time that the process has used so far. Only Linux tells
// it of a process that runs: elsewhere it is errors.ErrUnsupported.
func (p *Process) CPU() (time.Duration, error) { return 0, errors.ErrUnsupported }
