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
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/probe"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/scaffold"
	"github.com/caddy-huma/caddy-huma/internal/command"
	"github.com/caddy-huma/caddy-huma/internal/suggest"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "huma",
		Usage: "<command>",
		Short: "Tests the directives huma_token and human_api_token",
		Long: `
Tests the directives huma_token and human_api_token without a running server. The
subcommand probe checks a running token endpoint.`,
		CobraFunc: func(cmd *cobra.Command) {
			addCommands(cmd)
		},
	})
}

// addCommands adds the subcommands to the command caddy huma.
func addCommands(cmd *cobra.Command) {
	cmd.AddCommand(check.Command(), probe.Command(), TokenCommand(), IdentityCommand(), RefreshTokenCommand(), presetsCommand(), scaffold.Command(), healthCommand(), versionCommand())
	command.Group(cmd)
	completeValues(cmd)
}

// presetsCommand returns the command caddy huma presets.
func presetsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "presets [<name>] [--json]",
		Short: "Lists the presets of the option identity",
		Long: `
Lists the presets of the option identity, with the source of the user's email
address and the options that each preset requires.

With a name, the command prints everything about one preset, also the request
headers to delete from logs.

Exit codes:
  0  printed
  1  cannot write the output
  2  wrong usage, or unknown preset`,
		Example: `  caddy huma presets
  caddy huma presets google_iap
  caddy huma presets --json | jq -r '.[].name'`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completePreset,
	}
	var asJSON bool
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print JSON")
	command.Runs(cmd, func(_ context.Context, out io.Writer) (int, error) {
		name := cmd.Flags().Arg(0)
		rows := presets.All()
		if name != "" {
			if err := checkPreset(name); err != nil {
				return command.Usage, err
			}
			row, _ := presets.Find(name)
			rows = []presets.Preset{row}
		}
		if err := printPresets(out, rows, name != "", asJSON); err != nil {
			return command.Problem, err
		}
		return command.OK, nil
	})
	return cmd
}

// checkPreset returns a usage error if name is neither empty nor the name of a preset.
func checkPreset(name string) error {
	if _, ok := presets.Find(name); ok || name == "" {
		return nil
	}
	return command.UsageError("unknown preset %q%s; `caddy huma presets` lists all presets", name, suggest.DidYouMean(name, presets.Names()))
}

func printPresets(w io.Writer, rows []presets.Preset, details, asJSON bool) error {
	switch {
	case asJSON:
		return command.WriteJSON(w, presetDocuments(rows))
	case details:
		return describePreset(w, rows[0])
	}
	return listPresets(w, rows)
}

func listPresets(w io.Writer, rows []presets.Preset) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "PRESET\tEMAIL\tNEEDS")
	for _, p := range rows {
		email := p.Sources.Email
		if email.From == "" {
			email = p.Signed.Email
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", p.Name, describe(email), requires(p))
	}
	if err := t.Flush(); err != nil || len(rows) == 1 {
		return err
	}
	_, err := fmt.Fprintf(w, "\nThe presets %s reject tokens that do not say that the email address is verified.\n`verified assumed` states that every address is verified; `verified off` checks nothing.\n", strings.Join(presets.DemandingVerified(), ", "))
	return err
}

// signedTitle returns what is appended to the names of the options that a preset reads in
// a signed assertion.
func signedTitle(p presets.Preset) string {
	if p.Provider != nil {
		return ""
	}
	return " (verify)"
}

// plain returns the note of a preset, which is Markdown, without emphasis.
func plain(note string) string { return strings.ReplaceAll(note, "**", "") }

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
	}{{"", p.Sources}, {signedTitle(p), p.Signed}} {
		for _, o := range fields(part.sources) {
			line(o.option+part.title, describe(o.source))
		}
	}
	line("jwks", p.Verify.JWKS)
	line("issuer", issuerOf(p))
	line("algorithms", strings.Join(p.Verify.Algorithms, ", "))
	line("note", plain(p.Note))
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nTo delete the user's data from logs, add this filter to the global options and to the site:\n\n%s", p.LogFilter())
	return err
}
