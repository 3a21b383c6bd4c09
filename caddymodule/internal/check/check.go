// Package check implements the command `caddy huma check`, which checks the config, the
// credentials and the network of each token directive.
package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/dryrun"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

// defaultTimeout is the default of the flag --timeout, which limits the whole command.
const defaultTimeout = 30 * time.Second

// The default user of the checks. The domain .invalid is reserved (RFC 2606), so this
// user does not exist.
const (
	unknownEmail  = "caddy-huma-check@example.invalid"
	unknownUserID = "caddy-huma-check.example.invalid"
)

// Command returns the command caddy huma check.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [--config <file>] [--adapter <name>] [--offline] [--json]",
		Short: "Checks the config, the credentials and the network of the token directives",
		Long: `
Checks the config, the credentials and the network of every huma_token and
human_api_token directive in a config, without a running server.

The command runs these checks for each directive:

  config       the options are valid, and the files that they name can be read
  identity     no option lets one user pass as another
  routes       requests reach the directive, after authentication: the command sends
               them through the routes of the config, without a network
  dns          the host name of the service resolves, or that of the proxy
               (HTTPS_PROXY)
  connection   the service, or the proxy, accepts connections
  tls          the certificate of the service is trusted
  clock        this machine's clock is correct, compared with the Date header of
               the service's response
  credentials  the service accepts the credentials
  client_ip    Huma gets the right IP address (ipAddress) of new users
  redis        the shared store can be used

Each result is ok, warning (it works, but should be reviewed), problem (it does not
work) or skipped (it does not apply, or another problem prevents it). Warnings and
problems come with a fix.

For each client ID, the command makes one call to the service with the credentials
of the directive. No user is created: by default the call signs in the user
` + unknownEmail + `, who does not exist, and the service is
expected to refuse it. For human_api_token, the call requests an id token of such a
user. A refusal does not always prove that the service has checked the credentials.
To be sure, set --email or --user-id to an existing user.

With --offline, the command makes no calls and no DNS lookups.

Run the command as the user that Caddy runs as, who may have other permissions than
you, and with the environment variables of the server: {env.NAME} is read from the
environment of this command. With systemd:
  systemd-run --pipe --wait -p User=caddy -p EnvironmentFile=/etc/caddy/env caddy huma check …

To check the rest of the config, use caddy validate.

Exit codes:
  0  no problems; there may be warnings
  1  at least one problem
  2  wrong usage`,
		Example: `  caddy huma check --config /etc/caddy/Caddyfile
  caddy huma check --config /etc/caddy/Caddyfile --email alice@clinic.example
  caddy huma check --offline --json | jq '.[] | select(.result == "problem")'`,
	}
	var c checkRun
	f := cmd.Flags()
	c.source.AddFlags(f)
	f.BoolVar(&c.offline, "offline", false, "Make no calls and no DNS lookups")
	f.StringVar(&c.user.Email, "email", unknownEmail, "Email address of the user to sign in at Huma")
	f.StringVar(&c.user.UserID, "user-id", unknownUserID, "ID of the user at Human API")
	f.DurationVar(&c.timeout, "timeout", defaultTimeout, "Timeout of the whole command")
	f.BoolVar(&c.json, "json", false, "Print JSON")
	command.Runs(cmd, c.run)
	return cmd
}

// checkRun is one run of the command, with the values of its flags.
type checkRun struct {
	source        dryrun.Source
	offline, json bool
	user          dryrun.User
	timeout       time.Duration
}

// result is the result of a check.
type result string

// The results of a check.
const (
	resultOK      result = "ok"
	resultWarning result = "warning" // it works, but the operator should review it
	resultProblem result = "problem" // it does not work
	resultSkipped result = "skipped" // it does not apply, or another problem prevents it
)

// checkResult is the result of one check of one directive, as it is printed.
type checkResult struct {
	Directive string `json:"directive,omitempty"` // its name; empty for the whole config
	File      string `json:"file,omitempty"`      // path of the Caddyfile with the directive, if it is known
	Line      int    `json:"line,omitempty"`      // of the directive in File
	Check     string `json:"check"`
	Result    result `json:"result"`
	Detail    string `json:"detail"`
	Fix       string `json:"fix,omitempty"` // what to do, such as a line of the config; may be empty

	title string // the directive with its file and line, as text
}

func okResult(format string, args ...any) checkResult {
	return checkResult{Result: resultOK, Detail: fmt.Sprintf(format, args...)}
}

func warningResult(fix, format string, args ...any) checkResult {
	return checkResult{Result: resultWarning, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

func problemResult(fix, format string, args ...any) checkResult {
	return checkResult{Result: resultProblem, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

func skippedResult(format string, args ...any) checkResult {
	return checkResult{Result: resultSkipped, Detail: fmt.Sprintf(format, args...)}
}

// checks lists the checks of a directive, in the order of the output.
var checks = []struct {
	name string
	run  func(*target) []checkResult
}{
	{"config", checkConfig},
	{"identity", checkIdentity},
	{"identity", checkTrustedProxies},
	{"routes", checkRoutes},
	{"dns", single(checkDNS)},
	{"connection", single(checkConnection)},
	{"tls", single(checkTLS)},
	{"clock", single(checkClock)},
	{"credentials", checkCredentials},
	{"client_ip", single(checkClientIP)},
	{"redis", single(checkRedis)},
}

func (c *checkRun) run(ctx context.Context, out io.Writer) (int, error) {
	if c.timeout <= 0 {
		return command.Usage, command.UsageError("--timeout must be positive")
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	all, err := c.check(ctx)
	switch {
	case command.IsUsage(err):
		return command.Usage, err
	case err != nil: // there is no directive to check
		all = []checkResult{{Check: "config", Result: resultProblem, Detail: err.Error(), Fix: loadErrorFix(err)}}
	}
	if c.json {
		err = command.WriteJSON(out, all)
	} else {
		err = printChecks(out, all)
	}
	if err != nil {
		return command.Problem, err
	}
	if n := count(all, resultProblem); n > 0 {
		return command.Problem, errors.New(command.Plural(n, "problem"))
	}
	return command.OK, nil
}

func (c *checkRun) check(ctx context.Context) ([]checkResult, error) {
	config, err := dryrun.Load(c.source)
	if err != nil {
		return nil, err
	}
	targets, err := c.loadTargets(ctx, config.Directives)
	if err != nil {
		return nil, err
	}
	siteRoutes, cancel := loadRoutes(config)
	defer cancel()
	var all []checkResult
	for i, t := range targets {
		t.number, t.routes = i, siteRoutes
		for _, check := range checks {
			for _, r := range check.run(t) {
				d := t.directive
				r.Directive, r.File, r.Line, r.Check, r.title = d.Name, d.File, d.Line, check.name, d.Title()
				all = append(all, r)
			}
		}
	}
	return all, nil
}

func count(all []checkResult, r result) (n int) {
	for _, c := range all {
		if c.Result == r {
			n++
		}
	}
	return n
}

func printChecks(w io.Writer, all []checkResult) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for i, c := range all {
		if i == 0 || c.Directive != all[i-1].Directive {
			if err := t.Flush(); err != nil {
				return err
			}
			if c.Directive != "" {
				_, _ = fmt.Fprintln(w, c.title)
			}
		}
		_, _ = fmt.Fprintf(t, "  %s\t%s\t%s\n", c.Check, c.Result, strings.ReplaceAll(c.Detail, "\n", "; "))
		if c.Fix != "" {
			_, _ = fmt.Fprintf(t, "  \t\t→ %s\n", c.Fix)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s, %s\n", command.Plural(count(all, resultProblem), "problem"), command.Plural(count(all, resultWarning), "warning"))
	return err
}
