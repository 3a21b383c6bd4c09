package redistest

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// stderrOfParent opens the standard error of the parent process, which is go test. It
// prefers a copy of the descriptor: if the standard error is a file that is opened again,
// go test may overwrite the message, since its file offset is another one.
func stderrOfParent() (*os.File, error) {
	if f, err := copyOfStderr(os.Getppid()); err == nil {
		return f, nil
	}
	return os.OpenFile(fmt.Sprintf("/proc/%d/fd/%d", os.Getppid(), unix.Stderr), os.O_WRONLY|os.O_APPEND, 0)
}

// copyOfStderr returns a copy of the standard error of another process. Some systems
// allow that only with additional privileges.
func copyOfStderr(process int) (*os.File, error) {
	p, err := unix.PidfdOpen(process, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(p) }()
	fd, err := unix.PidfdGetfd(p, unix.Stderr, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "stderr of the parent"), nil
}
