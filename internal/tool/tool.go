// Package tool implements what cmd/bench and cmd/soak share: flags, reports and exit
// codes.
package tool

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/caddy-huma/caddy-huma/internal/process"
)

// The exit codes of a tool.
const (
	ExitViolation = 1 // the report has violations
	ExitFailed    = 2 // the tool has failed, or an argument is wrong
)

// Tool is a command that creates a report.
type Tool interface {
	// Bind defines the flags. It returns the description for the usage message.
	Bind(f *flag.FlagSet) (about string)

	// Check returns an error if flags are invalid.
	Check() error

	// Run does the work. dir is a temporary directory, which is deleted afterwards.
	// Several goroutines may write to messages.
	Run(ctx context.Context, dir string, messages io.Writer) (*Report, error)
}

// Parse parses the flags of a tool, and -json. given has the values of the flags in args.
// Errors are also written to messages.
func Parse(t Tool, args []string, messages io.Writer) (given map[string]string, asJSON bool, err error) {
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.SetOutput(messages)
	about := t.Bind(f)
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	f.Usage = func() {
		fmt.Fprintf(messages, "%s\n\nFlags:\n", about)
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return nil, false, err
	}
	given = make(map[string]string)
	f.Visit(func(g *flag.Flag) { given[g.Name] = g.Value.String() })
	if err = t.Check(); f.NArg() > 0 {
		err = errors.Join(err, fmt.Errorf("unexpected argument %q", f.Arg(0)))
	}
	if err != nil {
		fmt.Fprintln(messages, err)
	}
	return given, asJSON, err
}

// Command runs a tool, prints its report, and returns the exit code.
func Command(ctx context.Context, t Tool, args []string, out, messages io.Writer) int {
	given, asJSON, err := Parse(t, args, messages)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return ExitFailed
	}
	r, err := run(ctx, t, messages)
	if err == nil {
		r.Machine, r.Options = process.Machine(), given
		if asJSON {
			encoder := json.NewEncoder(out)
			encoder.SetIndent("", "  ")
			err = encoder.Encode(r)
		} else {
			err = r.Print(out)
		}
	}
	switch {
	case err != nil:
		fmt.Fprintln(messages, err)
		return ExitFailed
	case len(r.Violations) > 0:
		return ExitViolation
	}
	return 0
}

// writer is an io.Writer that is safe for concurrent use.
type writer struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (w *writer) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(b)
}

// run runs a tool with a temporary directory.
func run(ctx context.Context, t Tool, messages io.Writer) (*Report, error) {
	dir, err := os.MkdirTemp("", "caddy-huma-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	return t.Run(ctx, dir, &writer{w: messages})
}
