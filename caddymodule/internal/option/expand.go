// Package option parses the Caddyfile options of a directive, and expands the
// placeholders in option values. All errors name the option. Caddyfile errors also have
// the file and line; config errors are collected and reported at once.
package option

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/textfile"
)

// errPlaceholder is the error for an unsupported placeholder. It does not quote the
// placeholder, because the text may be a secret that contains braces.
var errPlaceholder = errors.New(`unsupported placeholder: only {env.NAME} and {file./path} are allowed; write a literal brace as \{`)

// errShorthand is the error for {file.name} where name has no slash. Caddy's Caddyfile
// adapter replaces it with a placeholder of the request path.
var errShorthand = errors.New("unsupported placeholder of the request: write {file.*} with a path that contains a slash, such as {file./run/secrets/name} or {file../name}")

// Expand replaces the {env.*} and {file.*} placeholders in text with their values. It
// leaves {sig.*} placeholders unchanged. It returns an error if a variable is not set or
// empty (*VariableError), if a file cannot be read or is empty, or if there is any other
// placeholder.
//
// It uses an empty replacer, because Caddy's default replacer also reads the files of
// {file.*}, and without a timeout.
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

// sigPlaceholder reports whether name is a placeholder of the option signature. It is
// replaced in each call to the service, not when the config loads.
func sigPlaceholder(name string) bool { return strings.HasPrefix(name, "sig.") }

// VariableError is the error for an environment variable that is not set or empty.
type VariableError struct {
	Name string
	Set  bool // true: set and empty; false: not set
}

func (e *VariableError) Error() string {
	if e.Set {
		return "environment variable " + e.Name + " is empty"
	}
	return "environment variable " + e.Name + " is not set"
}

func fromEnv(name string) (string, error) {
	v, ok := os.LookupEnv(name)
	if v == "" {
		return "", &VariableError{name, ok}
	}
	return v, nil
}

// fromFile reads a text file and trims the newlines at its end. It returns an error if
// the file contains only blanks. Other blanks are not trimmed, because they may be part
// of a secret.
func fromFile(path string) (string, error) {
	b, err := textfile.Read(path)
	if err != nil {
		return "", err
	}
	v := strings.TrimRight(string(b), "\r\n")
	if textfile.TrimBlanks(v) == "" {
		return "", fmt.Errorf("file %s is empty", path)
	}
	return v, nil
}
