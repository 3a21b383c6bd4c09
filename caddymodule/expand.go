package caddymodule

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// errPlaceholder names no placeholder: a literal secret with braces in it
// would be printed.
var errPlaceholder = errors.New(`it has a placeholder other than {env.NAME} and {file./path}; write a literal brace as \{`)

// errShorthand is about what Caddy's Caddyfile adapter makes of {file.name}
// when name has no slash: a part of the request's path.
var errShorthand = errors.New("it has a placeholder of the request; write {file.} with a path that has a slash, such as {file./run/secrets/name} or {file../name}")

// expand evaluates the {env.*} and {file.*} placeholders of an option's text.
// A variable that is not set, one that is empty and a file that cannot be read
// are errors of their own.
func expand(text string) (string, error) {
	return caddy.NewReplacer().ReplaceFunc(text, func(name string, _ any) (any, error) {
		if sigPlaceholder(name) {
			return "{" + name + "}", nil
		}
		if variable, ok := strings.CutPrefix(name, "env."); ok {
			return fromEnv(variable)
		}
		if path, ok := strings.CutPrefix(name, "file."); ok {
			return fromFile(path)
		}
		if strings.HasPrefix(name, "http.request.uri.path.file.") {
			return nil, errShorthand
		}
		return nil, errPlaceholder
	})
}

// sigPlaceholder reports whether a placeholder belongs to the signature, which
// evaluates it at every call.
func sigPlaceholder(name string) bool { return strings.HasPrefix(name, "sig.") }

func fromEnv(name string) (string, error) {
	v, ok := os.LookupEnv(name)
	switch {
	case !ok:
		return "", fmt.Errorf("the environment variable %s is not set", name)
	case v == "":
		return "", fmt.Errorf("the environment variable %s is empty", name)
	}
	return v, nil
}

// fromFile reads a file and trims the newlines at its end.
func fromFile(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read file: %w", err)
	}
	v := strings.TrimRight(string(b), "\r\n")
	if v == "" {
		return "", fmt.Errorf("the file %s is empty", path)
	}
	return v, nil
}

// problems collects everything that is wrong with a config, so that one load
// reports it all.
type problems []error

// add notes what is wrong with an option.
func (p *problems) add(option string, err error) {
	if err != nil {
		*p = append(*p, fmt.Errorf("%s: %w", option, err))
	}
}

// addf is add with a text of its own.
func (p *problems) addf(option, format string, args ...any) {
	p.add(option, fmt.Errorf(format, args...))
}

// unevaluated is the problem of an option whose placeholders cannot be
// evaluated.
type unevaluated struct {
	option string
	error
}

func (u unevaluated) Error() string { return u.option + ": " + u.error.Error() }

// isUnevaluated reports whether a problem is one of an option whose
// placeholders could not be evaluated.
func (p *problems) isUnevaluated(problem string) bool {
	return slices.ContainsFunc(*p, func(err error) bool {
		var u unevaluated
		return errors.As(err, &u) && strings.HasPrefix(problem, u.option+": ")
	})
}

// text expands an option in place of its value.
func (p *problems) text(option, value string) string {
	v, err := expand(value)
	if err != nil {
		*p = append(*p, unevaluated{option, err})
	}
	return v
}

// secret is text for a value that must not be printed.
func (p *problems) secret(option, value string) masked.String {
	return masked.New(p.text(option, value))
}

// err joins what was collected; nil if nothing was.
func (p problems) err() error { return errors.Join(p...) }
