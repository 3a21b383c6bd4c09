package process

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// CPU is the processor time that the process has used so far, in all its
// threads, for itself and in the kernel. It comes from the kernel's own account
// of the process, in nanoseconds: the one in /proc counts hundredths of a second.
func (p *Process) CPU() (time.Duration, error) {
	// The clock of a process, as clock_getcpuclockid(3) makes its name.
	const scheduled = 2
	clock := int32(^p.PID())<<3 | scheduled
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", p.PID(), err)
	}
	return time.Duration(t.Nano()), nil
}
