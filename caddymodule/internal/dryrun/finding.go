package dryrun

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Finding is something in a Caddyfile that the operator should review or correct.
type Finding struct {
	File string // path of the Caddyfile
	Line int
	Text string
	Fix  string // may be empty
}

// Title returns the place of the finding, such as "Caddyfile:12".
func (f Finding) Title() string { return fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line) }

// AdaptError is the error of a Caddyfile that cannot be adapted, with the lines to
// correct.
type AdaptError struct {
	Findings []Finding // at least one
	error
}

// Unwrap returns the error of the adapter.
func (e *AdaptError) Unwrap() error { return e.error }

var (
	// placeAfter matches the place that Caddy adds to an error. The first one in a text is
	// that of the option, the others are those of the blocks around it.
	placeAfter = regexp.MustCompile(`, at ([^:,]+):(\d+)`)

	// placeBefore matches the place with which other errors of Caddy begin.
	placeBefore = regexp.MustCompile(`^([^:,]+):(\d+): `)

	// tokensOf matches what Caddy adds before an error.
	tokensOf = regexp.MustCompile(`^(?:parsing caddyfile tokens for '([^']*)': )+`)

	// variableOf matches an environment variable without a default in a Caddyfile.
	variableOf = regexp.MustCompile(`\{\$([^:}\s]+)\}`)
)

// adaptError returns err as an *AdaptError if its text has the lines to correct. text is
// the Caddyfile at path. The errors of Caddy have no other structure than their text.
func adaptError(err error, path string, text []byte) error {
	if err == nil {
		return nil
	}
	var all []Finding
	directive := ""
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		if m := tokensOf.FindStringSubmatch(line); m != nil {
			directive, line = m[1], line[len(m[0]):]
		}
		f, ok := findPlace(line)
		if !ok {
			return err
		}
		if directive != "" {
			f.Text = directive + ": " + f.Text
		}
		if f.File == path && strings.Contains(f.Text, "environment variable") {
			f.Fix = variableFix(text, f.Line)
		}
		all = append(all, f)
	}
	return &AdaptError{all, err}
}

// findPlace returns a line of an error text of Caddy as a Finding. ok is false if the line
// has no place.
func findPlace(line string) (f Finding, ok bool) {
	var at []int
	if at = placeBefore.FindStringSubmatchIndex(line); at != nil {
		f.Text = line[at[1]:]
	} else if at = placeAfter.FindStringSubmatchIndex(line); at != nil {
		f.Text = line[:at[0]]
	} else {
		return f, false
	}
	f.File = line[at[2]:at[3]]
	f.Line, _ = strconv.Atoi(line[at[4]:at[5]])
	return f, true
}

// variableFix returns the fix for a value that is empty because the environment variables
// in the line are not set.
func variableFix(text []byte, line int) string {
	lines := strings.Split(string(text), "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	var names []string
	for _, m := range variableOf.FindAllStringSubmatch(lines[line-1], -1) {
		names = append(names, m[1])
	}
	return "set " + cmp.Or(strings.Join(names, " and "), "the variable") + " in the environment of the process that reads the Caddyfile: of this command, of caddy run and of caddy reload"
}
