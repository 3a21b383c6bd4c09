package service

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

const maxFaults = 1000

// Codes are the errors of one API that a fault can name.
type Codes struct {
	// Status holds every code with its status, unless a fault says another.
	Status map[string]int

	// Shapes are the ways in which a code can stand in a body. The first one is
	// for faults that say none.
	Shapes []string

	// Body writes a code in one of the shapes.
	Body func(code, shape, message string) []byte
}

// Faults are those that are left. They are safe for concurrent use.
type Faults struct {
	codes Codes

	mu   sync.Mutex
	list []Fault
}

// NewFaults makes an empty list of faults, which can name these codes.
func NewFaults(codes Codes) *Faults { return &Faults{codes: codes} }

// Set replaces all faults, or none if one of them is wrong.
func (l *Faults) Set(faults []Fault) error {
	if len(faults) > maxFaults {
		return fmt.Errorf("more than %d faults", maxFaults)
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

// List copies the faults that are left.
func (l *Faults) List() []Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Fault, len(l.list))
	for i, f := range l.list {
		list[i] = f.clone()
	}
	return list
}

// Reset forgets all faults.
func (l *Faults) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = nil
}

// take finds the fault for a call and uses it up by one. Its Code is written
// out as Status and Body. Without one it returns the zero Fault, which does
// nothing, and false.
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

// expand writes a fault's Code out as Status and Body.
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
	f.Body = string(c.Body(f.Code, f.Shape, "refused on demand"))
	return f
}

// checkCode says what is wrong with Code and Shape.
func (f Fault) checkCode(codes Codes) error {
	_, known := codes.Status[f.Code]
	switch {
	case f.Code == "" && f.Shape != "":
		return errors.New("shape: goes with code")
	case f.Code == "":
		return nil
	case !known:
		return fmt.Errorf("code: %.40q is not one of %s", f.Code, strings.Join(slices.Sorted(maps.Keys(codes.Status)), ", "))
	case f.Shape != "" && !slices.Contains(codes.Shapes, f.Shape):
		return fmt.Errorf("shape: %.40q is not one of %s", f.Shape, strings.Join(codes.Shapes, ", "))
	case f.Body != "":
		return errors.New("code: not with body")
	case f.Op != OpSession && f.Op != OpID && f.Op != OpConnect:
		return fmt.Errorf("code: only for %s, %s and %s", OpSession, OpID, OpConnect)
	}
	return nil
}
