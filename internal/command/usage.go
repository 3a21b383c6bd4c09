package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-huma/caddy-huma/internal/suggest"
)

// Group sets the function of a command that has only subcommands: it prints the help, and
// for an unknown subcommand or flag it returns a usage error with a suggestion. Call it
// after the subcommands were added.
func Group(cmd *cobra.Command) {
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	cmd.SetFlagErrorFunc(flagError)
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return usageExit(cmd, fmt.Errorf("unknown command %q of %s%s; `%s --help` lists all commands",
			args[0], cmd.CommandPath(), suggest.DidYouMean(args[0], names), cmd.CommandPath()))
	}
}

// usageExit prints an error of the usage of cmd, and returns an error with the exit code
// Usage.
func usageExit(cmd *cobra.Command, err error) error { return exit(cmd, Usage, err) }

// flagError returns the usage error for an unknown flag, or one with an invalid value.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		err = fmt.Errorf("%w%s; `%s --help` lists all flags", err, suggest.DidYouMean("--"+unknown.GetSpecifiedName(), names), cmd.CommandPath())
	}
	return usageExit(cmd, err)
}

// noArguments returns an error if there are arguments.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("unexpected argument %q: %s takes flags only; `%s --help` lists all flags", args[0], cmd.CommandPath(), cmd.CommandPath())
}

// CompleteValues makes the shell complete the values of a flag. It panics if there is no
// such flag.
func CompleteValues(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}
