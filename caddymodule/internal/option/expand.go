// Package option reads the options of a directive: those of a Caddyfile by
// tables, and what stands in a config by evaluating its placeholders. What is
// wrong is told with the name of the option; in a Caddyfile where it stands, in
// a config all at once.
package option

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/textfile"
)

// errPlaceholder names no placeholder: a literal secret with braces in it
// would be printed.
var errPlaceholder = errors.New(`it has a placeholder other than {env.NAME} and {file./path}; write a literal brace as \{`)

// errShorthand is about what Caddy's Caddyfile adapter makes of {file.name}
// when name has no slash: a part of the request's path.
var errShorthand = errors.New("it has a placeholder of the request; write {file.} with a path that has a slash, such as {file./run/secrets/name} or {file../name}")

// Expand evaluates the {env.*} and {file.*} placeholders of an option's text.
// A variable that is not set, one that is empty and a file that cannot be read
// are errors of their own.
//
// The replacer is empty because Caddy's own reads the file of {file.*}, too,
// without a limit on its time.
func Expand(text string) (string, error) {
	return caddy.NewEmptyReplacer().ReplaceFunc(text, func(name string, _ any) (any, error) {
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

// VariableError is about an environment variable without a value.
type VariableError struct {
	Name string
	Set  bool // and empty
}

func (e *VariableError) Error() string {
	if e.Set {
		return "the environment variable " + e.Name + " is empty"
	}
	return "the environment variable " + e.Name + " is not set"
}

func fromEnv(name string) (string, error) {
	v, ok := os.LookupEnv(name)
	if v == "" {
		return "", &VariableError{name, ok}
	}
	return v, nil
}

// fromFile reads a text file and trims the newlines at its end. A file of blanks
// is empty; other blanks stay, because they may be part of a secret.
func fromFile(path string) (string, error) {
	b, err := textfile.Read(path)
	if err != nil {
		return "", err
	}
	v := strings.TrimRight(string(b), "\r\n")
	if textfile.TrimBlanks(v) == "" {
		return "", fmt.Errorf("the file %s is empty", path)
	}
	return v, nil
}
