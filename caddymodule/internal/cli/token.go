package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/humatoken"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/dryrun"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
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
		Use:   "token (--config-file <file> | --config <file>) --email <address> [--user-id <id>] [--register] [--trace] [--json]",
		Short: "Asks the service for a token, once, as the directive would",
		Long: `
Makes one real exchange: it signs a user in at the service as the directive would,
with the same code, and tells what came of it. The directive is one of a config,
or huma_token with a huma-config.json and nothing else (--config-file).

Nobody is signed up without --register: if the service does not know the user, the
exit code is 3. A sign-up tells the service the address that is given, no name, and
0.0.0.0 for the client's address. It cannot be taken back from here.

Neither the cache nor a Redis takes part, and the brake and the breaker do not. The
token is printed with --json alone. It is as good as one that an app has: mind where
the output goes.

--trace shows the calls: what was sent and answered, with everything masked that is
not known to be harmless. Secrets written as {env.NAME} are read from the
environment of this command, which is not that of the service: with systemd, run
  systemd-run --pipe --wait -p User=caddy -p EnvironmentFile=/etc/caddy/env caddy huma token …

Exit codes:
  0  a token came
  1  none: the config does not load, or the service refuses the credentials, the
     request or the user, or its answer is of no use
  2  wrong usage
  3  the service does not know the user, and nobody was signed up
  4  the service cannot be reached, is down or too slow: it is worth trying again`,
		Example: `  caddy huma token --config-file huma-config.json --email alice@clinic.example --client-type ios
  caddy huma token --config /etc/caddy/Caddyfile --email alice@clinic.example --client-type web --trace
  caddy huma token --config Caddyfile --directive human_api_token --user-id user-1001
  caddy huma token --config Caddyfile --email alice@clinic.example --register --json | jq -r .token.authToken`,
	}
	var t tokenRun
	f := cmd.Flags()
	f.StringVar(&t.configFile, "config-file", "", "A huma-config.json, as of the option config_file")
	f.StringVarP(&t.config, "config", "c", "", "The config with the directive (default the Caddyfile of this directory)")
	f.StringVarP(&t.adapter, "adapter", "a", "", "The adapter of the config, if it is not a Caddyfile or JSON by its name")
	f.StringVar(&t.directive, "directive", "", "With --config: which directive, huma_token or human_api_token (default the one there is, else huma_token)")
	f.IntVar(&t.which, "which", 0, "With --config: which one of them, if there are several; they are listed then")
	f.StringVar(&t.who.Email, "email", "", "The user's address")
	f.StringVar(&t.who.UserID, "user-id", "", "The user's id, for human_api_token")
	f.StringVar(&t.who.ClientType, "client-type", "", "ios, android or web, as of a request (default as of the directive)")
	f.StringVar(&t.deploymentID, "deployment-id", "", "The option deployment_id, which wins over the config's")
	f.BoolVar(&t.register, "register", false, "Sign the user up if the service does not know them")
	f.BoolVar(&t.trace, "trace", false, "Show the calls")
	f.BoolVar(&t.json, "json", false, "Print JSON, with the token")
	command.Runs(cmd, t.run)
	return cmd
}

// tokenRun is one run of the command, with the values of its flags.
type tokenRun struct {
	configFile, config, adapter, directive string
	which                                  int
	who                                    dryrun.User
	deploymentID                           string
	register, trace, json                  bool
}

func (t *tokenRun) run(ctx context.Context, out io.Writer) (int, error) {
	d, err := t.selectDirective()
	if err != nil {
		return command.Problem, err
	}
	if err := t.validate(d); err != nil {
		return command.Usage, err
	}
	h, err := d.NewHandler()
	if err != nil {
		return command.Problem, err
	}
	p, err := dryrun.Run(ctx, h, t.register, t.who)
	if err != nil {
		return command.Problem, fmt.Errorf("%s does not load:\n%w", d.Title, err)
	}
	if p.Rejected() {
		return command.Usage, fmt.Errorf("%s: %s", p.Code, p.Detail)
	}
	r := tokenReport{Directive: d.Title, Calls: reportCalls(p.Calls, t.trace), Milliseconds: milliseconds(p.Took), provider: d.Service}
	r.fill(p, t.register, d.Registers())
	if huma, ok := h.(*humatoken.HumaToken); ok && t.trace {
		r.Signed = huma.SigningScheme()
	}
	if t.json {
		err = command.WriteJSON(out, r)
	} else {
		err = r.print(out)
	}
	if err != nil {
		return command.Problem, err
	}
	if p.Code != "" {
		err = fmt.Errorf("no token: %s", p.Code)
	}
	return exitCodeOf(p), err
}

// exitCodeOf returns the exit code for the result of an exchange.
func exitCodeOf(p *dryrun.Result) int {
	switch p.Code {
	case "":
		return command.OK
	case exchange.CodeNotRegistered:
		if _, blamed := p.BlamesConfig(); blamed {
			return command.Problem
		}
		return exitUnknownUser
	case exchange.CodeUnavailable, exchange.CodeTimeout, exchange.CodeOverloaded, exchange.CodeRegistrationLimited:
		return exitUnavailable
	}
	return command.Problem
}

// selectDirective returns the directive that the flags select. It returns a usage error if
// they select none or more than one.
func (t *tokenRun) selectDirective() (*dryrun.Directive, error) {
	if t.configFile != "" {
		if t.config != "" || t.adapter != "" || t.which != 0 || t.directive != "" {
			return nil, command.UsageError("--config-file is for itself: --config, --adapter, --directive and --which are for the config of a server")
		}
		options := map[string]any{"config_file": t.configFile}
		return &dryrun.Directive{Service: endpoint.Huma, Title: endpoint.Huma.Directive + " with " + t.configFile, Options: options}, nil
	}
	all, err := dryrun.Load(t.config, t.adapter)
	if err != nil {
		return nil, err
	}
	if t.directive != "" || slices.ContainsFunc(all, func(d dryrun.Directive) bool { return !d.Service.ByID }) {
		p, err := dryrun.ServiceByName(t.directive)
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(d dryrun.Directive) bool { return d.Service != p })
	}
	switch {
	case len(all) == 0:
		return nil, command.UsageError("the config has no %s", t.directive)
	case t.which < 0 || t.which > len(all), t.which == 0 && len(all) > 1:
		return nil, command.UsageError("choose one of the directives with --which: %s", listDirectives(all))
	}
	return &all[max(t.which, 1)-1], nil
}

// listDirectives returns the titles of the directives, numbered from 1.
func listDirectives(all []dryrun.Directive) string {
	var lines []string
	for i, d := range all {
		lines = append(lines, fmt.Sprintf("%d is %s", i+1, d.Title))
	}
	return strings.Join(lines, ", ")
}

// validate returns a usage error if a flag is missing or not allowed for the directive. It
// sets the option deployment_id from its flag.
func (t *tokenRun) validate(d *dryrun.Directive) error {
	switch {
	case d.Service.ByID && t.who.UserID == "":
		return command.UsageError("--user-id is missing: %s tells users apart by it", d.Service.Directive)
	case !d.Service.ByID && t.who.Email == "":
		return command.UsageError("--email is missing: %s tells users apart by it", d.Service.Directive)
	case d.Service.ByID && (t.deploymentID != "" || t.who.ClientType != ""):
		return command.UsageError("--deployment-id and --client-type are for %s", endpoint.Huma.Directive)
	}
	if t.deploymentID != "" {
		d.Options["deployment_id"] = t.deploymentID
	}
	return nil
}
