// Package command is what the subcommands of Caddy in this module have in common:
// how they end.
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

// The exit codes that mean the same everywhere. A command may have more, which its
// help tells of.
const (
	OK      = caddy.ExitCodeSuccess
	Problem = 1
	Usage   = 2
)

// usage is a command that was called in a wrong way.
type usage struct{ error }

// UsageError is the error of a command that was called in a wrong way.
func UsageError(format string, args ...any) error { return usage{fmt.Errorf(format, args...)} }

// IsUsage reports whether err is a UsageError.
func IsUsage(err error) bool { return errors.As(err, new(usage)) }

// Runs makes a command of a function, which prints to out and returns the exit
// code. An error is logged, and has to come with every exit code but OK. That of a
// UsageError is Usage, whatever the function returns, and so is that of flags and
// arguments that there are not: cmd.Args says which there are. Default: none.
func Runs(cmd *cobra.Command, run func(ctx context.Context, out io.Writer) (int, error)) {
	wrong := func(err error) error {
		return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return Usage, err })(cmd, nil)
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return wrong(err) })
	allowed := cmd.Args
	if allowed == nil {
		allowed = cobra.NoArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := allowed(cmd, args); err != nil {
			return wrong(err)
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

// WriteJSON prints a value for programs.
func WriteJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Plural returns a number with what it counts, such as "2 calls".
func Plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
