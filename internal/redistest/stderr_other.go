//go:build !linux

package redistest

import (
	"errors"
	"os"
)

// stderrOfParent cannot be had here.
func stderrOfParent() (*os.File, error) { return nil, errors.ErrUnsupported }
