// Package cli implements the command `caddy huma` with its subcommands.
package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/check"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "huma",
		Usage: "<command>",
		Short: "Tries out what huma_token and human_api_token do",
		Long: `
Tries out what the directives huma_token and human_api_token do, without a
running server.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(check.Command(), TokenCommand(), IdentityCommand(), presetsCommand())
		},
	})
}

// presetsCommand returns the command caddy huma presets.
func presetsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "presets [<name>] [--json|--markdown]",
		Short: "Lists the authentication layers that identity knows by name",
		Long: `
Lists the authentication layers that the option identity knows by name, and
where each says who is asking. With a name it shows all that is known of that
one, also what to delete from logs.

Exit codes:
  0  they are printed
  1  they could not be printed
  2  wrong usage, or there is no such preset`,
		Example: `  caddy huma presets
  caddy huma presets google_iap
  caddy huma presets --json | jq -r '.[].name'`,
		Args: cobra.MaximumNArgs(1),
	}
	var asJSON, asMarkdown bool
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print JSON")
	cmd.Flags().BoolVar(&asMarkdown, "markdown", false, "Print the table of the documentation")
	command.Runs(cmd, func(_ context.Context, out io.Writer) (int, error) {
		name := cmd.Flags().Arg(0)
		rows := presets.All()
		if name != "" {
			row, ok := presets.Find(name)
			if !ok {
				return command.Usage, command.UsageError("unknown preset %q: `caddy huma presets` lists them", name)
			}
			rows = []presets.Preset{row}
		}
		if err := printPresets(out, rows, name != "", asJSON, asMarkdown); err != nil {
			return command.Problem, err
		}
		return command.OK, nil
	})
	return cmd
}

func printPresets(w io.Writer, rows []presets.Preset, one, asJSON, asMarkdown bool) error {
	switch {
	case asJSON:
		return command.WriteJSON(w, presetDocuments(rows))
	case asMarkdown:
		_, err := io.WriteString(w, presetTable(rows)+"\n"+filterTable(rows))
		return err
	case one:
		return describePreset(w, rows[0])
	}
	return listPresets(w, rows)
}

func listPresets(w io.Writer, rows []presets.Preset) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "PRESET\tE-MAIL\tNEEDS")
	for _, p := range rows {
		email := p.Sources.Email
		if email.From == "" {
			email = p.Signed.Email
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", p.Name, describe(email), requires(p))
	}
	return t.Flush()
}

func describePreset(w io.Writer, p presets.Preset) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(t, "%s\t%s\n", name, value)
		}
	}
	line("preset", p.Name)
	line("needs", requires(p))
	for _, part := range []struct {
		title   string
		sources presets.Sources
	}{{"", p.Sources}, {" (verify)", p.Signed}} {
		for _, o := range fields(part.sources) {
			line(o.option+part.title, describe(o.source))
		}
	}
	line("jwks", p.Verify.JWKS)
	line("issuer", p.Verify.Issuer)
	line("algorithms", strings.Join(p.Verify.Algorithms, ", "))
	line("to know", p.Note)
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nIn the global options, and in the log of the site, delete what names the user:\n\n%s", filterOf(p))
	return err
}
