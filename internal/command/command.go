// Package command implements what the Caddy subcommands of this module share: exit codes,
// usage errors and JSON output.
package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// The exit codes that all commands share. A command can have additional ones, which its
// help lists.
const (
	OK      = caddy.ExitCodeSuccess
	Problem = 1 // the command has failed
	Usage   = 2 // wrong flags or arguments
)

// usage is the type of errors from UsageError.
type usage struct{ error }

// UsageError returns an error for wrong usage of a command, such as an invalid flag.
func UsageError(format string, args ...any) error { return usage{fmt.Errorf(format, args...)} }

// IsUsage reports whether err is a UsageError.
func IsUsage(err error) bool { return errors.As(err, new(usage)) }

// errReported is the error of a command whose output says what is wrong.
var errReported = errors.New("the command has failed; see its output")

// Runs sets run as the function of cmd. run prints to out and returns the exit code. If the
// output does not say what is wrong, run returns an error, which is printed to standard
// error. The exit code of a UsageError is always Usage. Unknown flags, and arguments that
// cmd.Args does not allow, are usage errors, too. If cmd.Args is nil, no arguments are
// allowed.
func Runs(cmd *cobra.Command, run func(ctx context.Context, out io.Writer) (int, error)) {
	cmd.SetFlagErrorFunc(flagError)
	allowed := cmd.Args
	if allowed == nil {
		allowed = noArguments
		if cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := allowed(cmd, args); err != nil {
			return usageExit(cmd, err)
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		code, err := run(cmd.Context(), cmd.OutOrStdout())
		if IsUsage(err) {
			code = Usage
		}
		return exit(cmd, code, err)
	}
}

// exit prints err, which may be nil, and returns the error that makes Caddy exit with
// code. Caddy itself would print err as a line of its log, which is JSON if standard error
// is not a terminal.
func exit(cmd *cobra.Command, code int, err error) error {
	if code == OK && err == nil {
		return nil
	}
	cmd.SilenceErrors = true
	if err != nil {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "Error: %v\n", err)
	}
	if code <= 1 {
		return cmp.Or(err, errReported)
	}
	// Caddy's type of an error with an exit code is not exported.
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return code, nil })(cmd, nil)
}

// WriteJSON writes v as indented JSON, without escaping HTML characters.
func WriteJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Plural returns a number with a noun, such as "1 call" and "2 calls".
func Plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
