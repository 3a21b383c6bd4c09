package service

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// maxFaults is the maximum number of faults.
const maxFaults = 1000

// Codes are the error codes of one API, for Fault.Code.
type Codes struct {
	// Status is the default status of each code.
	Status map[string]int

	// Shapes are the values of Fault.Shape. The first one is the default.
	Shapes []string

	// Body returns a body with the code in one of the shapes.
	Body func(code, shape, message string) []byte
}

// Faults holds the remaining faults. Create it with NewFaults. It is safe for concurrent
// use.
type Faults struct {
	codes Codes

	mu   sync.Mutex
	list []Fault
}

// NewFaults returns an empty list. codes are the allowed values of Fault.Code.
func NewFaults(codes Codes) *Faults { return &Faults{codes: codes} }

// Set replaces all faults. If one is invalid, it returns an error and changes nothing.
func (l *Faults) Set(faults []Fault) error {
	if len(faults) > maxFaults {
		return fmt.Errorf("more than %d faults are not allowed", maxFaults)
	}
	list := make([]Fault, len(faults))
	for i, f := range faults {
		if err := f.check(l.codes); err != nil {
			return fmt.Errorf("fault %d: %w", i+1, err)
		}
		list[i] = f.clone()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = list
	return nil
}

// List returns a copy of the remaining faults.
func (l *Faults) List() []Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Fault, len(l.list))
	for i, f := range l.list {
		list[i] = f.clone()
	}
	return list
}

// Reset deletes all faults.
func (l *Faults) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = nil
}

// take returns the first fault that matches an operation, with its Code expanded, and
// decrements its Times. If there is none, it returns the zero Fault, which has no effect,
// and false.
func (l *Faults) take(op *Operation) (Fault, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.list {
		f := l.list[i]
		if !op.matches(f.Op) {
			continue
		}
		if f.Times > 0 {
			l.list[i].Times--
			if f.Times == 1 {
				l.list = slices.Delete(l.list, i, i+1)
			}
		}
		return l.codes.expand(f), true
	}
	return Fault{}, false
}

// expand returns f with Status and Body set according to its Code.
func (c Codes) expand(f Fault) Fault {
	if f.Code == "" {
		return f
	}
	if f.Status == 0 {
		f.Status = c.Status[f.Code]
	}
	if f.Shape == "" {
		f.Shape = c.Shapes[0]
	}
	f.Body = string(c.Body(f.Code, f.Shape, "injected fault"))
	return f
}

// checkCode returns an error if Code or Shape is invalid.
func (f Fault) checkCode(codes Codes) error {
	_, known := codes.Status[f.Code]
	switch {
	case f.Code == "" && f.Shape != "":
		return errors.New("shape requires code")
	case f.Code == "":
		return nil
	case !known:
		return fmt.Errorf("code: unknown code %.40q; use one of %s", f.Code, strings.Join(slices.Sorted(maps.Keys(codes.Status)), ", "))
	case f.Shape != "" && !slices.Contains(codes.Shapes, f.Shape):
		return fmt.Errorf("shape: unknown shape %.40q; use one of %s", f.Shape, strings.Join(codes.Shapes, ", "))
	case f.Body != "":
		return errors.New("code and body exclude each other")
	case f.Op != OpSession && f.Op != OpID && f.Op != OpConnect:
		return fmt.Errorf("code requires the operation %s, %s or %s", OpSession, OpID, OpConnect)
	}
	return nil
}
