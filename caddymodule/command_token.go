package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

// Further exit codes of caddy huma token.
const (
	exitUnknownUser = 3 // whom nobody signed up
	exitUnavailable = 4 // the service, so that it is worth trying again
)

// tokenCommand is caddy huma token.
func tokenCommand() *cobra.Command {
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
	f.StringVar(&t.who.email, "email", "", "The user's address")
	f.StringVar(&t.who.userID, "user-id", "", "The user's id, for human_api_token")
	f.StringVar(&t.who.clientType, "client-type", "", "ios, android or web, as of a request (default as of the directive)")
	f.StringVar(&t.deploymentID, "deployment-id", "", "The option deployment_id, which wins over the config's")
	f.BoolVar(&t.register, "register", false, "Sign the user up if the service does not know them")
	f.BoolVar(&t.trace, "trace", false, "Show the calls")
	f.BoolVar(&t.json, "json", false, "Print JSON, with the token")
	command.Runs(cmd, t.run)
	return cmd
}

// tokenRun is one run of the command.
type tokenRun struct {
	configFile, config, adapter, directive string
	which                                  int
	who                                    person
	deploymentID                           string
	register, trace, json                  bool
}

func (t *tokenRun) run(ctx context.Context, out io.Writer) (int, error) {
	d, err := t.pick()
	if err != nil {
		return command.Problem, err
	}
	if err := t.fits(d); err != nil {
		return command.Usage, err
	}
	h, err := d.newHandler()
	if err != nil {
		return command.Problem, err
	}
	p, err := rehearse(ctx, h, t.register, t.who)
	if err != nil {
		return command.Problem, fmt.Errorf("%s does not load:\n%w", d.title, err)
	}
	if p.rejected() {
		return command.Usage, fmt.Errorf("%s: %s", p.code, p.detail)
	}
	r := tokenReport{Directive: d.title, Calls: reportCalls(p.calls, t.trace), Milliseconds: milliseconds(p.took), provider: d.service}
	r.fill(p, t.register, d.registers())
	if huma, ok := h.(*HumaToken); ok && t.trace {
		r.Signed = huma.signedHow()
	}
	if t.json {
		err = writeJSON(out, r)
	} else {
		err = r.print(out)
	}
	if err != nil {
		return command.Problem, err
	}
	if p.code != "" {
		err = fmt.Errorf("no token: %s", p.code)
	}
	return exitCodeOf(p), err
}

// exitCodeOf is the exit code for the end of an exchange.
func exitCodeOf(p *performance) int {
	switch p.code {
	case "":
		return command.OK
	case exchange.CodeNotRegistered:
		if _, blamed := p.blamed(); blamed {
			return command.Problem
		}
		return exitUnknownUser
	case exchange.CodeUnavailable, exchange.CodeTimeout, exchange.CodeOverloaded, exchange.CodeRegistrationLimited:
		return exitUnavailable
	}
	return command.Problem
}

// pick returns the directive that is meant.
func (t *tokenRun) pick() (*directive, error) {
	if t.configFile != "" {
		if t.config != "" || t.adapter != "" || t.which != 0 || t.directive != "" {
			return nil, command.UsageError("--config-file is for itself: --config, --adapter, --directive and --which are for the config of a server")
		}
		options := map[string]any{"config_file": t.configFile}
		return &directive{service: humaProvider, title: humaProvider.directive + " with " + t.configFile, options: options}, nil
	}
	all, err := loadDirectives(t.config, t.adapter)
	if err != nil {
		return nil, err
	}
	if t.directive != "" || slices.ContainsFunc(all, func(d directive) bool { return !d.service.byID }) {
		p, err := namedProvider(t.directive)
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(d directive) bool { return d.service != p })
	}
	switch {
	case len(all) == 0:
		return nil, command.UsageError("the config has no %s", t.directive)
	case t.which < 0 || t.which > len(all), t.which == 0 && len(all) > 1:
		return nil, command.UsageError("choose one of the directives with --which: %s", numbered(all))
	}
	return &all[max(t.which, 1)-1], nil
}

// numbered numbers directives, from 1.
func numbered(all []directive) string {
	var lines []string
	for i, d := range all {
		lines = append(lines, fmt.Sprintf("%d is %s", i+1, d.title))
	}
	return strings.Join(lines, ", ")
}

// fits returns what is missing or too much for a directive, and takes over what
// is not.
func (t *tokenRun) fits(d *directive) error {
	switch {
	case d.service.byID && t.who.userID == "":
		return command.UsageError("--user-id is missing: %s tells users apart by it", d.service.directive)
	case !d.service.byID && t.who.email == "":
		return command.UsageError("--email is missing: %s tells users apart by it", d.service.directive)
	case d.service.byID && (t.deploymentID != "" || t.who.clientType != ""):
		return command.UsageError("--deployment-id and --client-type are for %s", humaProvider.directive)
	}
	if t.deploymentID != "" {
		d.options["deployment_id"] = t.deploymentID
	}
	return nil
}

// registers reports whether the directive signs users up.
func (d *directive) registers() bool {
	registration, _ := d.options["registration"].(map[string]any)
	return registration["disabled"] != true
}

// rejected reports whether the request itself was wrong: no exchange was made.
func (p *performance) rejected() bool {
	row, known := problemTable[p.code]
	return known && row.outcome == outcomeRejected
}

// cause is what happened at the service, without the code that it is answered
// with.
func (p *performance) cause() string {
	var failed *exchange.Error
	if errors.As(p.err, &failed) && failed.Err != nil {
		return failed.Err.Error()
	}
	return ""
}
