package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/dryrun"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

// IdentityCommand returns the command caddy huma identity.
func IdentityCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "identity (--preset <name> | --config <file>) [--header '<name>: <value>'...] [--email <address>]",
		Short: "Shows which user a directive identifies in a request",
		Long: `
Shows which user a huma_token or human_api_token directive identifies in a request,
with the value of each source, or the reason why there is none.

The directive is one with --preset, or each directive of the config in --config.
These flags describe the request:

  --header       a header that the client, or the proxy in front, sends
  --response     a header of the auth server's response to forward_auth
  --placeholder  a placeholder that an authentication handler or map sets
  --peer         the IP address of the direct peer

With --preset, the directive trusts the direct peer as a proxy, or, with --response,
the auth server (trust forward_auth). As in the server, the command calls the auth
server if there is the option auth_server, calls the application if there is userinfo,
and fetches the keys if there is verify.

Logs identify users by a keyed hash. The command prints the hash if it has the key:
from the option hash_key, from the shared store (redis), or from --hash-key. To get
only the hash of a user, set --email or --user-id instead of a request.

Exit codes:
  0  every directive identifies a user
  1  a directive identifies no user or is not valid, or, with --email or --user-id,
     the hash in logs cannot be computed
  2  wrong usage`,
		Example: `  caddy huma identity --preset authelia --response 'Remote-Email: alice@clinic.example'
  caddy huma identity --config Caddyfile --peer 10.0.0.7 --header 'X-Forwarded-Email: alice@clinic.example'
  caddy huma identity --preset caddy_security --placeholder http.auth.user.email=alice@clinic.example
  caddy huma identity --config Caddyfile --email alice@clinic.example
  caddy huma identity --hash-key '{file./run/secrets/hash_key}' --email alice@clinic.example`,
	}
	var r identityRun
	f := cmd.Flags()
	f.StringVar(&r.preset, "preset", "", "Preset of the option identity")
	f.StringVar(&r.directive, "directive", "", "With --preset or --hash-key: name of the directive (default: "+endpoint.Huma.Directive+")")
	r.source.AddFlags(f)
	f.StringArrayVarP(&r.headers, "header", "H", nil, "Request header, as '<name>: <value>'; repeatable")
	f.StringArrayVar(&r.responses, "response", nil, "Header of the auth server's response, as '<name>: <value>'; repeatable")
	f.StringArrayVar(&r.placeholders, "placeholder", nil, "Placeholder, as '<name>=<value>'; repeatable")
	f.StringVar(&r.peer, "peer", "127.0.0.1", "IP address of the direct peer")
	f.StringVar(&r.email, "email", "", "Instead of a request: email address of a user, whose hash in logs to print")
	f.StringVar(&r.userID, "user-id", "", "Like --email, for human_api_token: ID of a user")
	f.StringVar(&r.hashKey, "hash-key", "", "Key of the hash in logs, instead of the option hash_key; may be {env.NAME} or {file./path}")
	f.BoolVar(&r.json, "json", false, "Print JSON")
	command.Runs(cmd, r.run)
	return cmd
}

// identityRun is one run of the command, with the values of its flags.
type identityRun struct {
	preset, directive                string
	source                           dryrun.Source
	headers, responses, placeholders []string
	peer, hashKey                    string
	email, userID                    string
	json                             bool
}

// fromConfig reports whether the directives are those of a config.
func (r *identityRun) fromConfig() bool { return r.source.File != "" || r.source.Address != "" }

// identityReport is the output for one directive: the user it identifies in the request,
// or the error.
type identityReport struct {
	Directive string         `json:"directive"` // its name
	Email     string         `json:"email,omitempty"`
	UserID    string         `json:"user_id,omitempty"`
	FirstName string         `json:"first_name,omitempty"`
	LastName  string         `json:"last_name,omitempty"`
	LogName   string         `json:"log_name,omitempty"`
	Status    int            `json:"status,omitempty"`
	Code      string         `json:"code,omitempty"`
	Detail    string         `json:"detail,omitempty"`
	Sources   []sourceReport `json:"sources,omitempty"`
	Problems  []string       `json:"problems,omitempty"`
	Notes     []string       `json:"notes,omitempty"`

	title string // the directive with its file and line, as text
	byID  bool
}

// sourceReport is the source of one identity option, and its value or the reason why
// there is none.
type sourceReport struct {
	Option string `json:"option"`
	Source string `json:"source"`
	Value  string `json:"value,omitempty"`
	Path   string `json:"path,omitempty"` // of the value, if the option has several
	Reason string `json:"reason,omitempty"`
}

func (r *identityRun) run(ctx context.Context, out io.Writer) (int, error) {
	in, err := r.readInput()
	if err != nil {
		return command.Problem, err
	}
	directives, err := r.directives(in)
	if err != nil {
		return command.Problem, err
	}
	var reports []identityReport
	failed := false
	for _, d := range directives {
		done := report.ProgressFor(os.Stderr).Step("waiting for the services that identify users")
		result := identifyRequest(ctx, &d, in)
		done()
		failed = failed || result.Code != "" || result.Problems != nil || in.userOnly && result.LogName == ""
		reports = append(reports, result)
	}
	if r.json {
		err = command.WriteJSON(out, reports)
	} else {
		err = printReports(out, reports)
	}
	if err != nil || failed {
		return command.Problem, err
	}
	return command.OK, nil
}

func printReports(w io.Writer, reports []identityReport) error {
	for n, r := range reports {
		if n > 0 {
			_, _ = fmt.Fprintln(w)
		}
		_, _ = fmt.Fprintln(w, r.title)
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		for _, s := range r.Sources {
			value := s.Value
			switch {
			case s.Reason != "" && s.Reason == r.Detail:
				value = "– see below"
			case s.Reason != "":
				value = "– " + s.Reason
			case s.Path != "":
				value += " (from " + s.Path + ")"
			}
			_, _ = fmt.Fprintf(t, "  %s\t%s\t%s\n", s.Option, s.Source, value)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		for _, p := range r.Problems {
			_, _ = fmt.Fprintf(w, "  does not load: %s\n", p)
		}
		for _, note := range r.Notes {
			_, _ = fmt.Fprintf(w, "  note: %s\n", note)
		}
		switch {
		case r.Code != "":
			_, _ = fmt.Fprintf(w, "  → no user: %d %s: %s\n", r.Status, r.Code, r.Detail)
		case r.Problems == nil:
			_, _ = fmt.Fprintf(w, "  → %s", r.user())
			if name := strings.TrimSpace(r.FirstName + " " + r.LastName); name != "" {
				_, _ = fmt.Fprintf(w, " (first name %q, last name %q)", r.FirstName, r.LastName)
			}
			if r.LogName != "" {
				_, _ = fmt.Fprintf(w, ", %s in logs", r.LogName)
			}
			_, _ = fmt.Fprintln(w)
		}
	}
	return nil
}

// user returns the user as the directive distinguishes users: by id or by email address.
func (r *identityReport) user() string {
	switch {
	case !r.byID:
		return r.Email
	case r.Email != "":
		return r.UserID + ", " + r.Email
	}
	return r.UserID
}
