package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/humatoken"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/dryrun"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

// Additional exit codes of caddy huma token.
const (
	exitUnknownUser = 3 // the service does not know the user, and there was no sign-up
	exitUnavailable = 4 // the service is unavailable; the operator can retry
)

// TokenCommand returns the command caddy huma token.
func TokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token (--config-file <file> | --config <file>) [--which <name>] --email <address> [--user-id <id>] [--register] [--trace] [--json]",
		Short: "Gets a token for one user from the service",
		Long: `
Gets a token for one user from the service, and prints the result.

The command runs one real token exchange, as the directive would. The directive is
one of the config, or, with --config-file, a huma_token that has only a
huma-config.json.

Without --register, no user is signed up: if the service does not know the user, the
exit code is 3. A sign-up sends the email address, no name, and 0.0.0.0 as the
client's IP address. This command cannot undo it.

The command bypasses the cache, the shared store (redis), the rate limit for
sign-ups and the circuit breaker. It prints the token only with --json. Protect the
output: the token is valid, like that of an app.

With --trace, the command prints each request and response. It masks all values that
are not known to be harmless.

{env.NAME} is read from the environment of this command, not from that of the
server. With systemd:
  systemd-run --pipe --wait -p User=caddy -p EnvironmentFile=/etc/caddy/env caddy huma token …

Exit codes:
  0  token issued
  1  no token: the config is not valid, the service rejects the credentials, the
     request or the user, or its response is not usable
  2  wrong usage
  3  no token: the service does not know the user, and there was no sign-up
  4  no token: the service is unreachable, down or too slow; try again later`,
		Example: `  caddy huma token --config-file huma-config.json --email alice@clinic.example --client-type ios
  caddy huma token --config /etc/caddy/Caddyfile --email alice@clinic.example --client-type web --trace
  caddy huma token --config Caddyfile --directive human_api_token --user-id user-1001
  caddy huma token --config Caddyfile --email alice@clinic.example --register --json | jq -r .token.authToken`,
	}
	var r tokenRun
	f := cmd.Flags()
	f.StringVar(&r.configFile, "config-file", "", "Path of a huma-config.json, like the option config_file")
	r.source.AddFlags(f)
	f.StringVar(&r.directive, "directive", "", "With --config: huma_token or human_api_token (default: huma_token, if the config has one)")
	f.StringVar(&r.which, "which", "", "With --config: a part of the directive's name that no other one has, if there are several; the error without it lists the names")
	f.StringVar(&r.user.Email, "email", "", "Email address of the user")
	f.StringVar(&r.user.UserID, "user-id", "", "ID of the user, for human_api_token")
	f.StringVar(&r.user.ClientType, "client-type", "", "ios, android or web, like the request parameter (default: the option client_type)")
	f.StringVar(&r.deploymentID, "deployment-id", "", "Deployment ID, instead of the option deployment_id")
	f.BoolVar(&r.register, "register", false, "Sign up the user if the service does not know the user")
	f.BoolVar(&r.trace, "trace", false, "Print each request and response")
	f.BoolVar(&r.json, "json", false, "Print JSON, including the token")
	command.Runs(cmd, r.run)
	return cmd
}

// tokenRun is one run of the command, with the values of its flags.
type tokenRun struct {
	source                       dryrun.Source
	configFile, directive, which string
	user                         dryrun.User
	deploymentID                 string
	register, trace, json        bool
}

func (r *tokenRun) run(ctx context.Context, out io.Writer) (int, error) {
	d, err := r.selectDirective()
	if err != nil {
		return command.Problem, err
	}
	if err := r.validate(d); err != nil {
		return command.Usage, err
	}
	h, err := d.NewHandler()
	if err != nil {
		return command.Problem, err
	}
	done := report.ProgressFor(os.Stderr).Step("waiting for the service")
	result, err := dryrun.Run(ctx, h, r.register, r.user)
	done()
	if err != nil {
		return command.Problem, fmt.Errorf("%s does not load:\n%w", d.Title(), err)
	}
	if result.Rejected() {
		return command.Usage, fmt.Errorf("%s: %s", result.Code, result.Detail)
	}
	output := tokenReport{Directive: d.Name, title: d.Title(), Calls: reportCalls(result.Calls, r.trace), Milliseconds: milliseconds(result.Duration), service: d.Service}
	output.fill(result, r.register, d.SignsUp())
	if huma, ok := h.(*humatoken.HumaToken); ok && r.trace {
		output.Signed = huma.SigningScheme()
	}
	if r.json {
		err = command.WriteJSON(out, output)
	} else {
		err = output.print(out)
	}
	if err != nil {
		return command.Problem, err
	}
	return exitCode(result), nil
}

// exitCode returns the exit code for the result of an exchange.
func exitCode(r *dryrun.Result) int {
	switch r.Code {
	case "":
		return command.OK
	case exchange.CodeNotRegistered:
		if _, isConfig := r.ConfigExplanation(); isConfig {
			return command.Problem
		}
		return exitUnknownUser
	case exchange.CodeUnavailable, exchange.CodeTimeout, exchange.CodeOverloaded, exchange.CodeRegistrationLimited:
		return exitUnavailable
	}
	return command.Problem
}

// selectDirective returns the directive that the flags select. It returns a usage error
// if they select none or more than one.
func (r *tokenRun) selectDirective() (*dryrun.Directive, error) {
	if r.configFile != "" {
		if r.source != (dryrun.Source{}) || r.which != "" || r.directive != "" {
			return nil, command.UsageError("--config-file cannot be combined with --config, --adapter, --address, --directive or --which")
		}
		options := map[string]any{"config_file": r.configFile}
		return &dryrun.Directive{Service: endpoint.Huma, Name: endpoint.Huma.Directive + " with " + r.configFile, Options: options}, nil
	}
	c, err := dryrun.Load(r.source)
	if err != nil {
		return nil, err
	}
	all := c.Directives
	if r.directive != "" || slices.ContainsFunc(all, func(d dryrun.Directive) bool { return !d.Service.ByID }) {
		service, err := dryrun.ServiceByName(r.directive)
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(d dryrun.Directive) bool { return d.Service != service })
	}
	if len(all) == 0 {
		return nil, command.UsageError("the config has no %s", r.directive)
	}
	return findDirective(all, r.which)
}

// findDirective returns the directive whose name is which, or else the only one whose
// title contains it. It returns a usage error if there is none or more than one.
func findDirective(all []dryrun.Directive, which string) (*dryrun.Directive, error) {
	var found []*dryrun.Directive
	for i := range all {
		d := &all[i]
		if d.Name == which {
			return d, nil
		}
		if strings.Contains(d.Title(), which) {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case which == "":
		return nil, command.UsageError("the config has several directives; select one with --which and a part of its name:\n%s", listDirectives(all))
	case len(found) == 0:
		return nil, command.UsageError("--which: no directive's name contains %q:\n%s", which, listDirectives(all))
	}
	return nil, command.UsageError("--which: several names contain %q; write more of the name, or the whole name:\n%s", which, listDirectives(all))
}

// listDirectives returns the titles of the directives, one per line.
func listDirectives(all []dryrun.Directive) string {
	var lines []string
	for i := range all {
		lines = append(lines, "  "+all[i].Title())
	}
	return strings.Join(lines, "\n")
}

// validate returns a usage error if a flag is missing or not allowed for the directive.
// It sets the option deployment_id from its flag.
func (r *tokenRun) validate(d *dryrun.Directive) error {
	switch {
	case d.Service.ByID && r.user.UserID == "":
		return command.UsageError("--user-id is required: %s identifies users by ID", d.Service.Directive)
	case !d.Service.ByID && r.user.Email == "":
		return command.UsageError("--email is required: %s identifies users by email address", d.Service.Directive)
	case d.Service.ByID && (r.deploymentID != "" || r.user.ClientType != ""):
		return command.UsageError("--deployment-id and --client-type can be used with %s only", endpoint.Huma.Directive)
	}
	if r.deploymentID != "" {
		d.Options["deployment_id"] = r.deploymentID
	}
	return nil
}
