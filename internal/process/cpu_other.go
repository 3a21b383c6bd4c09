//go:build !linux

package process

import (
	"errors"
	"time"
)

// CPU returns the processor time that the process has used so far. It is supported only
// on Linux; elsewhere it returns errors.ErrUnsupported.
func (p *Process) CPU() (time.Duration, error) { return 0, errors.ErrUnsupported }
