package faultproxy

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the kind of a fault.
type Kind int

// The kinds of faults.
const (
	// Pass forwards everything. It is the zero value.
	Pass Kind = iota
	// Refuse closes the listener, so that clients get "connection refused", and resets
	// open connections.
	Refuse
	// Hang accepts connections and discards all data, so that clients time out. A
	// connection on which data was discarded stays in this state after the fault ends.
	Hang
	// Reset resets the connection after Fault.After bytes of responses. With 0, the
	// service has processed the request and the client gets no response.
	Reset
	// Cut is like Reset, but closes the connection regularly (FIN).
	Cut
)

// Fault is a fault of a connection. The zero value forwards everything. Delay, Slice and
// Pause can be combined with all kinds that forward bytes of responses.
type Fault struct {
	Kind Kind

	// After is the number of bytes of responses that are forwarded before Reset or Cut,
	// per connection, since the fault was set.
	After int

	// Delay delays each part of a response that is read from the service.
	Delay time.Duration

	// Slice is the maximum size of the pieces in which responses are forwarded, in bytes.
	// The size is random, and each piece is sent in its own packet. 0: no slicing.
	Slice int

	// Pause is the time to wait after each piece. With Slice 1 and a Pause of a second,
	// responses are forwarded at one byte per second.
	Pause time.Duration
}

// check returns an error if the fault is invalid.
func (f Fault) check() error {
	switch {
	case f.Kind < Pass || f.Kind > Cut:
		return fmt.Errorf("faultproxy: unknown kind %d", f.Kind)
	case f.After < 0 || f.Delay < 0 || f.Slice < 0 || f.Pause < 0:
		return errors.New("faultproxy: After, Delay, Slice and Pause must not be negative")
	case f.After > 0 && f.Kind != Reset && f.Kind != Cut:
		return errors.New("faultproxy: After requires the kind Reset or Cut")
	case f.Pause > 0 && f.Slice == 0:
		return errors.New("faultproxy: Pause requires Slice")
	}
	return nil
}
