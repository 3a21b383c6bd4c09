package process

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// CPU returns the processor time that all threads of the process have used so far, in
// user and kernel mode. It is from the process's CPU clock, in nanoseconds, since /proc
// has a resolution of only 10 ms.
func (p *Process) CPU() (time.Duration, error) {
	// The clock id, as clock_getcpuclockid(3) computes it.
	const cpuClockSched = 2
	clock := int32(^p.PID())<<3 | cpuClockSched
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, fmt.Errorf("read processor time of process %d: %w", p.PID(), err)
	}
	return time.Duration(t.Nano()), nil
}
