package option

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// Errors collects everything that is wrong with a config, so that one load
// reports it all.
type Errors []error

// Add notes what is wrong with an option.
func (p *Errors) Add(option string, err error) {
	if err != nil {
		*p = append(*p, fmt.Errorf("%s: %w", option, err))
	}
}

// Addf is Add with a text of its own.
func (p *Errors) Addf(option, format string, args ...any) {
	p.Add(option, fmt.Errorf(format, args...))
}

// unexpandedError is the problem of an option whose placeholders cannot be
// evaluated.
type unexpandedError struct {
	option string
	error
}

func (u unexpandedError) Error() string { return u.option + ": " + u.error.Error() }
func (u unexpandedError) Unwrap() error { return u.error }

// isUnexpanded reports whether a problem is one of an option whose
// placeholders could not be evaluated.
func (p *Errors) isUnexpanded(problem string) bool {
	return slices.ContainsFunc(*p, func(err error) bool {
		var u unexpandedError
		return errors.As(err, &u) && strings.HasPrefix(problem, u.option+": ")
	})
}

// Text expands an option in place of its value.
func (p *Errors) Text(option, value string) string {
	v, err := Expand(value)
	if err != nil {
		*p = append(*p, unexpandedError{option, err})
	}
	return v
}

// Secret is Text for a value that must not be printed.
func (p *Errors) Secret(option, value string) masked.String {
	return masked.New(p.Text(option, value))
}

// Err joins what was collected; nil if nothing was.
func (p Errors) Err() error { return errors.Join(p...) }

// Texts expands each value of an option.
func (p *Errors) Texts(option string, values []string) []string {
	out := slices.Clone(values) // nil stays nil
	for i, v := range out {
		out[i] = p.Text(option, v)
	}
	return out
}

// Join adds err, or each error of it if it was made by errors.Join. Their text
// begins with the name of their option. The problems of an option whose
// placeholders cannot be evaluated are left out, because they follow from that.
func (p *Errors) Join(err error) {
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // a list within an error has a text around it
	switch {
	case ok:
		for _, err := range joined.Unwrap() {
			p.Join(err)
		}
	case err != nil && !p.isUnexpanded(err.Error()):
		*p = append(*p, err)
	}
}

// MinDuration notes a duration that is too short; 0 stands for the default.
func (p *Errors) MinDuration(option string, d caddy.Duration, least time.Duration) {
	switch {
	case d < 0:
		p.Addf(option, "it must be positive")
	case d > 0 && time.Duration(d) < least:
		p.Addf(option, "it is %s: it must be at least %s", time.Duration(d), least)
	}
}

// AtLeast notes a number that is too small; 0 stands for the default.
func (p *Errors) AtLeast(option string, n, least int) {
	if n < 0 {
		p.Addf(option, "it is %d: it must be at least %d", n, least)
	}
}
