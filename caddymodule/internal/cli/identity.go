package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

// IdentityCommand returns the command caddy huma identity.
func IdentityCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "identity (--preset <name> | --config <file>) [--header '<name>: <value>'...] [--email <address>]",
		Short: "Tells who a request would come from, and why not",
		Long: `
Tells whom a huma_token or human_api_token directive would take a request for,
source by source, and if for nobody, why. The directive is one with a preset, or
those of a config.

What comes with the request is given by flags: --header is what the client or
the proxy in front sends, --answer what the auth server of a forward_auth
answers, --placeholder what an authentication or a map sets. With userinfo the
application is asked, and with verify the keys are fetched: both as the running
server would.

Logs name a user by a keyed hash. It is printed if the config has the key, as
hash_key or because replicas share a Redis, or --hash-key gives it. --email and
--user-id ask for that name alone.

With a preset alone, its headers are taken as from a trusted proxy, or with
--answer as from a trusted forward_auth.

Exit codes:
  0  every directive finds a user
  1  one does not, or its config does not load, or with --email and --user-id
     the name in logs cannot be told
  2  wrong usage`,
		Example: `  caddy huma identity --preset authelia --answer 'Remote-Email: alice@clinic.example'
  caddy huma identity --config Caddyfile --peer 10.0.0.7 --header 'X-Forwarded-Email: alice@clinic.example'
  caddy huma identity --preset caddy_security --placeholder http.auth.user.email=alice@clinic.example
  caddy huma identity --config Caddyfile --email alice@clinic.example
  caddy huma identity --hash-key '{file./run/secrets/hash_key}' --email alice@clinic.example`,
	}
	var t identityRun
	f := cmd.Flags()
	f.StringVar(&t.preset, "preset", "", "The preset to try")
	f.StringVar(&t.directive, "directive", "", "With --preset or --hash-key: the directive to try it with (default "+endpoint.Huma.Directive+")")
	f.StringVarP(&t.config, "config", "c", "", "The config whose directives to try")
	f.StringVarP(&t.adapter, "adapter", "a", "", "The adapter of the config, if it is not a Caddyfile or JSON by its name")
	f.StringArrayVarP(&t.headers, "header", "H", nil, "A header of the request, as '<name>: <value>'; repeatable")
	f.StringArrayVar(&t.answers, "answer", nil, "A header of the auth server's answer, as '<name>: <value>'; repeatable")
	f.StringArrayVar(&t.placeholders, "placeholder", nil, "A placeholder, as '<name>=<value>'; repeatable")
	f.StringVar(&t.peer, "peer", "127.0.0.1", "The address that the request comes from")
	f.StringVar(&t.email, "email", "", "Instead of a request: a user's address, to print the name that logs have for them")
	f.StringVar(&t.userID, "user-id", "", "The same for human_api_token: a user's id")
	f.StringVar(&t.hashKey, "hash-key", "", "The option hash_key, if it is not in the config: for the name in logs; may be {env.NAME} or {file./path}")
	f.BoolVar(&t.json, "json", false, "Print JSON")
	command.Runs(cmd, t.run)
	return cmd
}

// identityRun is one run of the command, with the values of its flags.
type identityRun struct {
	preset, directive              string
	config, adapter                string
	headers, answers, placeholders []string
	peer, hashKey                  string
	email, userID                  string
	json                           bool
}

// identityReport is the output for one directive: the user it identifies in the request,
// or the error.
type identityReport struct {
	Directive string         `json:"directive"`
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

	byID bool
}

// sourceReport is the source of one identity option, and its value or the reason why
// there is none.
type sourceReport struct {
	Option string `json:"option"`
	Source string `json:"source"`
	Value  string `json:"value,omitempty"`
	Why    string `json:"why,omitempty"`
}

func (t *identityRun) run(ctx context.Context, out io.Writer) (int, error) {
	given, err := t.readInput()
	if err != nil {
		return command.Problem, err
	}
	directives, err := t.directives(given)
	if err != nil {
		return command.Problem, err
	}
	var findings []identityReport
	nobody, unnamed := 0, 0
	for _, d := range directives {
		f := tryRequest(ctx, &d, given)
		switch {
		case f.Code != "" || f.Problems != nil:
			nobody++
		case given.userGiven && f.LogName == "":
			unnamed++
		}
		findings = append(findings, f)
	}
	if t.json {
		err = command.WriteJSON(out, findings)
	} else {
		err = printFindings(out, findings)
	}
	switch {
	case err != nil:
	case nobody > 0:
		err = fmt.Errorf("%d of %d directives take the request for nobody's", nobody, len(directives))
	case unnamed > 0:
		err = fmt.Errorf("%d of %d directives have a name in logs that cannot be told", unnamed, len(directives))
	}
	if err != nil {
		return command.Problem, err
	}
	return command.OK, nil
}

func printFindings(w io.Writer, findings []identityReport) error {
	for n, f := range findings {
		if n > 0 {
			_, _ = fmt.Fprintln(w)
		}
		_, _ = fmt.Fprintln(w, f.Directive)
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		for _, s := range f.Sources {
			value := s.Value
			if s.Why != "" {
				value = "– " + s.Why
			}
			_, _ = fmt.Fprintf(t, "  %s\t%s\t%s\n", s.Option, s.Source, value)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		for _, p := range f.Problems {
			_, _ = fmt.Fprintf(w, "  does not load: %s\n", p)
		}
		for _, note := range f.Notes {
			_, _ = fmt.Fprintf(w, "  note: %s\n", note)
		}
		switch {
		case f.Code != "":
			_, _ = fmt.Fprintf(w, "  → nobody: %d %s: %s\n", f.Status, f.Code, f.Detail)
		case f.Problems == nil:
			_, _ = fmt.Fprintf(w, "  → %s", f.who())
			if name := strings.TrimSpace(f.FirstName + " " + f.LastName); name != "" {
				_, _ = fmt.Fprintf(w, " (first name %q, last name %q)", f.FirstName, f.LastName)
			}
			if f.LogName != "" {
				_, _ = fmt.Fprintf(w, ", %s in logs", f.LogName)
			}
			_, _ = fmt.Fprintln(w)
		}
	}
	return nil
}

// who returns the user as the directive distinguishes users: by id or by e-mail address.
func (f *identityReport) who() string {
	switch {
	case !f.byID:
		return f.Email
	case f.Email != "":
		return f.UserID + ", " + f.Email
	}
	return f.UserID
}
