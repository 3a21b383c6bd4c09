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

// defaultCheckTime is the default of the flag --timeout, which limits the whole command.
const defaultCheckTime = 30 * time.Second

// The default user of the checks. The domain .invalid is reserved (RFC 2606), so this user
// does not exist.
const (
	inventedEmail  = "caddy-huma-check@example.invalid"
	inventedUserID = "caddy-huma-check.example.invalid"
)

// Command returns the command caddy huma check.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [--config <file>] [--adapter <name>] [--offline] [--json]",
		Short: "Checks a config, its credentials, and the way to the service",
		Long: `
Looks at every huma_token and human_api_token of a config for what could keep users
from their tokens, and says what to write. All is looked at in one run:

  config       the options and the files that they name, as when the server loads
               them. Run it as the user that Caddy runs as: others may read more
  dns          the name of the service, or of the proxy (HTTPS_PROXY) in between
  connection   whether somebody listens there
  tls          the service's certificate, by the authorities that the config trusts
  clock        this machine's clock, by the Date of the service's answer
  credentials  whether the service accepts them
  client_ip    what Huma is sent as a user's ipAddress at sign-up
  redis        whether the store that replicas share can be used

For that it makes a call with each directive's own credentials, one for each client
id, which makes no user: a sign-in as ` + inventedEmail + `,
an address that nobody has, or at Human API a call for an id token of such a user. A
refusal that says so is what it hopes for. As long as the service knows no such user it
cannot be told from every answer whether it has looked at the credentials first:
give a user that there is, with --email or --user-id, to be sure.

With --offline nobody is called, and no name is looked up. The rest of the config is
what caddy validate is for.

Each check is ok, a warning (it works, and should be looked at), a problem (it does
not), or skipped, because it does not apply or something else is in the way.

Secrets written as {env.NAME} are read from the environment of this command, which
is not that of the service: with systemd, run
  systemd-run --pipe --wait -p User=caddy -p EnvironmentFile=/etc/caddy/env caddy huma check …

Exit codes:
  0  no problem; there may be warnings
  1  at least one problem
  2  wrong usage`,
		Example: `  caddy huma check --config /etc/caddy/Caddyfile
  caddy huma check --config /etc/caddy/Caddyfile --email alice@clinic.example
  caddy huma check --offline --json | jq '.[] | select(.result == "problem")'`,
	}
	var c checkRun
	f := cmd.Flags()
	f.StringVarP(&c.config, "config", "c", "", "The config (default the Caddyfile of this directory)")
	f.StringVarP(&c.adapter, "adapter", "a", "", "The adapter of the config, if it is not a Caddyfile or JSON by its name")
	f.BoolVar(&c.offline, "offline", false, "Call nobody")
	f.StringVar(&c.who.Email, "email", inventedEmail, "The address to sign in as")
	f.StringVar(&c.who.UserID, "user-id", inventedUserID, "The user's id at Human API to ask for")
	f.DurationVar(&c.timeout, "timeout", defaultCheckTime, "How long it may take at most")
	f.BoolVar(&c.json, "json", false, "Print JSON")
	command.Runs(cmd, c.run)
	return cmd
}

// checkRun is one run of the command, with the values of its flags.
type checkRun struct {
	config, adapter string
	offline, json   bool
	who             dryrun.User
	timeout         time.Duration
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
	Directive string `json:"directive,omitempty"` // empty for the whole config
	Check     string `json:"check"`
	Result    result `json:"result"`
	Detail    string `json:"found"`
	Fix       string `json:"write,omitempty"` // what to write in the config, or to do; may be empty
}

func okResult(format string, args ...any) checkResult {
	return checkResult{Result: resultOK, Detail: fmt.Sprintf(format, args...)}
}

func warningResult(write, format string, args ...any) checkResult {
	return checkResult{Result: resultWarning, Detail: fmt.Sprintf(format, args...), Fix: write}
}

func problemResult(write, format string, args ...any) checkResult {
	return checkResult{Result: resultProblem, Detail: fmt.Sprintf(format, args...), Fix: write}
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
		return command.Usage, command.UsageError("--timeout: it must be positive")
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	all, err := c.check(ctx)
	switch {
	case command.IsUsage(err):
		return command.Usage, err
	case err != nil: // there is no directive to check
		all = []checkResult{{Check: "config", Result: resultProblem, Detail: err.Error(), Fix: loadHint(err)}}
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
	directives, err := dryrun.Load(c.config, c.adapter)
	if err != nil {
		return nil, err
	}
	subjects, err := c.subjects(ctx, directives)
	if err != nil {
		return nil, err
	}
	var all []checkResult
	for _, s := range subjects {
		for _, check := range checks {
			for _, found := range check.run(s) {
				found.Directive, found.Check = s.directive.Title, check.name
				all = append(all, found)
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
				_, _ = fmt.Fprintln(w, c.Directive)
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
