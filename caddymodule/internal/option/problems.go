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

// Errors collects all errors of a config, so that they are reported at once. The zero
// value is ready to use.
type Errors []error

// Add adds an error of an option. A nil err is ignored.
func (p *Errors) Add(option string, err error) {
	if err != nil {
		*p = append(*p, fmt.Errorf("%s: %w", option, err))
	}
}

// Addf is like Add, with an error made by fmt.Errorf.
func (p *Errors) Addf(option, format string, args ...any) {
	p.Add(option, fmt.Errorf(format, args...))
}

// unexpandedError is the error of an option whose placeholders cannot be expanded.
type unexpandedError struct {
	option string
	error
}

func (u unexpandedError) Error() string { return u.option + ": " + u.error.Error() }
func (u unexpandedError) Unwrap() error { return u.error }

// isUnexpanded reports whether an error text is about an option whose placeholders
// could not be expanded.
func (p *Errors) isUnexpanded(text string) bool {
	return slices.ContainsFunc(*p, func(err error) bool {
		var u unexpandedError
		return errors.As(err, &u) && strings.HasPrefix(text, u.option+": ")
	})
}

// Text returns the value of an option with its placeholders expanded. If this fails, it
// adds the error; see Expand.
func (p *Errors) Text(option, value string) string {
	v, err := Expand(value)
	if err != nil {
		*p = append(*p, unexpandedError{option, err})
	}
	return v
}

// Secret is like Text, for a value that must not be printed.
func (p *Errors) Secret(option, value string) masked.String {
	return masked.New(p.Text(option, value))
}

// Err returns the collected errors, joined by errors.Join, or nil if there are none.
func (p Errors) Err() error { return errors.Join(p...) }

// Texts is like Text, for an option with several values. It returns nil for nil.
func (p *Errors) Texts(option string, values []string) []string {
	out := slices.Clone(values) // nil stays nil
	for i, v := range out {
		out[i] = p.Text(option, v)
	}
	return out
}

// Join adds err, or each of its errors if it was made by errors.Join. Each text must
// begin with the name of its option and a colon. Errors of an option whose placeholders
// could not be expanded are ignored, because they only follow from that error.
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

// MinDuration adds an error if d is negative or shorter than minimum. Zero means the
// default and is valid.
func (p *Errors) MinDuration(option string, d caddy.Duration, minimum time.Duration) {
	switch {
	case d < 0:
		p.Addf(option, "must be positive")
	case d > 0 && time.Duration(d) < minimum:
		p.Addf(option, "must be at least %s, not %s", minimum, time.Duration(d))
	}
}

// AtLeast adds an error if n is negative. Zero means the default and is valid. minimum is
// the minimum that the error text names.
func (p *Errors) AtLeast(option string, n, minimum int) {
	if n < 0 {
		p.Addf(option, "must be at least %d, not %d", minimum, n)
	}
}
