package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
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
			cmd.AddCommand(identityCommand(), presetsCommand())
		},
	})
}

// presetsCommand is caddy huma presets.
func presetsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "presets [<name>] [--json|--markdown]",
		Short: "Lists the authentication layers that identity knows by name",
		Long: `
Lists the authentication layers that the option identity knows by name, and
where each says who is asking. With a name it shows all that is known of that
one, also what to delete from logs.`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().Bool("json", false, "Print JSON")
	cmd.Flags().Bool("markdown", false, "Print the table of the documentation")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		rows := identity.Presets()
		if len(args) == 1 {
			row, ok := identity.FindPreset(args[0])
			if !ok {
				return fmt.Errorf("unknown preset %q: `caddy huma presets` lists them", args[0])
			}
			rows = []identity.Preset{row}
		}
		asJSON, _ := cmd.Flags().GetBool("json")
		asMarkdown, _ := cmd.Flags().GetBool("markdown")
		out := cmd.OutOrStdout()
		switch {
		case asJSON:
			return writeJSON(out, presetDocuments(rows))
		case asMarkdown:
			_, err := io.WriteString(out, presetTable(rows)+"\n"+filterTable(rows))
			return err
		case len(args) == 1:
			return describePreset(out, rows[0])
		}
		return listPresets(out, rows)
	}
	return cmd
}

// writeJSON prints a value for programs.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func listPresets(w io.Writer, rows []identity.Preset) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "PRESET\tE-MAIL\tNEEDS")
	for _, p := range rows {
		email := p.Sources.Email
		if email.From == "" {
			email = p.Signed.Email
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", p.Name, inWords(email), needs(p))
	}
	return t.Flush()
}

func describePreset(w io.Writer, p identity.Preset) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(t, "%s\t%s\n", name, value)
		}
	}
	line("preset", p.Name)
	line("needs", needs(p))
	for _, part := range []struct {
		title   string
		sources identity.Sources
	}{{"", p.Sources}, {" (verify)", p.Signed}} {
		for _, o := range particulars(part.sources) {
			line(o.option+part.title, inWords(o.source))
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
