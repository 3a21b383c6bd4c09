// Package command implements what the Caddy subcommands of this module share: exit codes,
// usage errors and JSON output.
package command

import (
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

// Runs sets run as the function of cmd. run prints to out and returns the exit code. With
// every exit code except OK it must return an error, which is logged. The exit code of a
// UsageError is always Usage. Unknown flags, and arguments that cmd.Args does not allow,
// are usage errors, too. If cmd.Args is nil, no arguments are allowed.
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
	cmd.RunE = caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) {
		code, err := run(cmd.Context(), cmd.OutOrStdout())
		if IsUsage(err) {
			code = Usage
		}
		return code, err
	})
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
