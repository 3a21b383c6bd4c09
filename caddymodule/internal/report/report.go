// Package report defines the results of the checks of a caddy huma command, and prints
// them for people, or as JSON.
package report

import (
	"fmt"

	"github.com/caddy-huma/caddy-huma/internal/command"
)

// Result is the result of a check.
type Result string

// The results of a check.
const (
	OK      Result = "ok"
	Warning Result = "warning" // it works, but the operator should review it
	Problem Result = "problem" // it does not work, or is not safe
	Skipped Result = "skipped" // it does not apply, or another problem prevents it
)

// Entry is the result of one check, as it is printed.
type Entry struct {
	Subject string `json:"subject,omitempty"` // what is checked, such as a directive or a URL; empty for a command with one subject
	Check   string `json:"check"`
	Result  Result `json:"result"`
	Detail  string `json:"detail"`
	Fix     string `json:"fix,omitempty"` // what to do, such as a line of the config; may be empty
}

// NewOK returns an Entry whose result is OK. The caller sets Check and Subject.
func NewOK(format string, args ...any) Entry {
	return Entry{Result: OK, Detail: fmt.Sprintf(format, args...)}
}

// NewWarning returns an Entry whose result is Warning.
func NewWarning(fix, format string, args ...any) Entry {
	return Entry{Result: Warning, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

// NewProblem returns an Entry whose result is Problem.
func NewProblem(fix, format string, args ...any) Entry {
	return Entry{Result: Problem, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

// NewSkipped returns an Entry whose result is Skipped.
func NewSkipped(format string, args ...any) Entry {
	return Entry{Result: Skipped, Detail: fmt.Sprintf(format, args...)}
}

// Count returns the number of entries with a result.
func Count(all []Entry, r Result) (n int) {
	for _, e := range all {
		if e.Result == r {
			n++
		}
	}
	return n
}

// summary returns the last line of the output for people.
func summary(all []Entry) string {
	return command.Plural(Count(all, Problem), "problem") + ", " + command.Plural(Count(all, Warning), "warning")
}
