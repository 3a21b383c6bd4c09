//go:build !linux

package redistest

import (
	"errors"
	"os"
)

// stderrOfParent is not supported on this system.
func stderrOfParent() (*os.File, error) { return nil, errors.ErrUnsupported }
