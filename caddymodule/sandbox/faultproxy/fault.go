package faultproxy

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what happens to a connection.
type Kind int

// The kinds of faults.
const (
	// Pass passes everything on.
	Pass Kind = iota
	// Refuse lets nobody connect: the listener is closed, so the system
	// answers "connection refused". Open connections are reset.
	Refuse
	// Hang is a black hole: connections are accepted, what comes in is
	// swallowed, and nothing is answered. A connection that has met it stays
	// dead, as the rest of what was sent on it is lost.
	Hang
	// ResetBefore resets the connection when a request comes, before the
	// service has seen any of it.
	ResetBefore
	// ResetSent resets the connection as soon as the request has been passed
	// on. The service goes on with it and its answer goes nowhere.
	ResetSent
	// Reset resets the connection after Fault.After bytes of answers. With 0
	// the service has processed the request and nobody hears of it.
	Reset
	// Cut is Reset with a regular end of the connection.
	Cut
)

var kindNames = [...]string{"pass", "refuse", "hang", "reset before", "reset sent", "reset", "cut"}

// String names the kind.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind %d", int(k))
	}
	return kindNames[k]
}

// Fault says what becomes of a connection. The zero value passes everything
// on. Delay and Slice go with every kind that lets something of an answer pass.
type Fault struct {
	Kind Kind

	// After is how many bytes of answers pass before Reset and Cut, counted
	// for each connection since the fault was set.
	After int

	// Delay holds back an answer, and each part of it that comes later.
	Delay time.Duration

	// Slice passes answers on in pieces of 1 to so many bytes, each in a
	// packet of its own. 0: in the pieces they come in.
	Slice int

	// Pause is the time after each slice. With Slice 1 and a Pause of a second
	// the answer comes at one byte per second.
	Pause time.Duration
}

// check says what is wrong with a fault.
func (f Fault) check() error {
	switch {
	case f.Kind < Pass || f.Kind > Cut:
		return fmt.Errorf("faultproxy: there is no %s", f.Kind)
	case f.After < 0 || f.Delay < 0 || f.Slice < 0 || f.Pause < 0:
		return errors.New("faultproxy: a number is negative")
	case f.After > 0 && f.Kind != Reset && f.Kind != Cut:
		return errors.New("faultproxy: After goes with Reset and Cut")
	case f.Pause > 0 && f.Slice == 0:
		return errors.New("faultproxy: Pause goes with Slice")
	}
	return nil
}
