package redistest

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// stderrOfParent is where go test, which runs the tests, has its own messages
// shown. With a file that was opened anew, what comes there may be written over by
// go test, whose position is another: that is for where no copy can be had.
func stderrOfParent() (*os.File, error) {
	if f, err := copyOfStderr(os.Getppid()); err == nil {
		return f, nil
	}
	return os.OpenFile(fmt.Sprintf("/proc/%d/fd/%d", os.Getppid(), unix.Stderr), os.O_WRONLY|os.O_APPEND, 0)
}

// copyOfStderr is a copy of another process's descriptor. Some systems allow that
// only to administrators.
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
