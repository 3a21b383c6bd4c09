// Package check implements the command `caddy huma check`, which checks the config, the
// credentials and the network of each token directive.
package check

import (
	"context"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/dryrun"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
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
		Use:   "check [--config <file> | --address <address>] [--adapter <name>] [--offline] [--quiet] [--json]",
		Short: "Checks the config, the credentials and the network of the token directives",
		Long: `
Checks the config, the credentials and the network of every huma_token and
human_api_token directive in a config, without a running server.

The command runs these checks for each directive:

  config       the options are valid, and the files that they name can be read
  identity     no option lets one user pass as another
  cors         the pages of the origins in allow_origins are loaded over TLS
  routes       requests reach the directive, after authentication: the command sends
               them through the routes of the config, without a network
  client_ip    Huma gets the right IP address (ipAddress) of new users
  discovery,   the public keys of verify can be fetched
  jwks
  auth_server, the service that identifies users responds, and rejects a session that
  userinfo     does not exist
  dns          the host name of the service resolves, or that of the proxy
               (HTTPS_PROXY)
  connection   the service, or the proxy, accepts connections
  tls          the certificate of the service is trusted
  clock        this machine's clock is correct, compared with the Date header of
               the service's response
  credentials  the service accepts the credentials
  redis        the shared store can be used

Each result is ok, warning (it works, but should be reviewed), problem (it does not
work) or skipped (it does not apply, cannot be checked, or another problem prevents
it). Warnings and problems come with a fix. Directives with equal results are printed
together.

For each client ID of an account, the command makes one call to the service with the
credentials of the directive. No user is created: by default the call signs in the user
` + unknownEmail + `, who does not exist, and the service is
expected to refuse it. For human_api_token, the call requests an id token of such a
user. A refusal does not always prove that the service has checked the credentials.
To be sure, set --email or --user-id to an existing user.

With --offline, the command makes no calls and no DNS lookups. With --quiet, it prints
warnings and problems only.

The config is a file, the standard input (--config -) or that of a running server
(--address). A Caddyfile is adapted with the environment of this command.

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
  caddy huma check --address localhost:2019 --quiet
  caddy huma check --offline --json | jq '.[] | select(.result == "problem")'`,
	}
	var c checkRun
	f := cmd.Flags()
	c.source.AddFlags(f)
	f.BoolVar(&c.offline, "offline", false, "Make no calls and no DNS lookups")
	f.StringVar(&c.user.Email, "email", unknownEmail, "Email address of the user to sign in at Huma")
	f.StringVar(&c.user.UserID, "user-id", unknownUserID, "ID of the user at Human API")
	f.DurationVar(&c.timeout, "timeout", defaultTimeout, "Timeout of the whole command")
	f.BoolVar(&c.quiet, "quiet", false, "Print warnings and problems only")
	f.BoolVar(&c.json, "json", false, "Print JSON")
	command.Runs(cmd, c.run)
	return cmd
}

// checkRun is one run of the command, with the values of its flags.
type checkRun struct {
	source        dryrun.Source
	offline, json bool
	quiet         bool
	user          dryrun.User
	timeout       time.Duration
	progress      *report.Progress
}

// directiveChecks lists the checks of a directive, in the order of the output.
var directiveChecks = []struct {
	name string
	run  func(*target) []report.Entry
}{
	{"config", checkConfig},
	{"identity", checkIdentity},
	{"identity", checkTrustedProxies},
	{"identity", checkLocalPeers},
	{"cors", checkOrigins},
	{"routes", checkRoutes},
	{"client_ip", single(checkClientIP)},
}

// accountChecks lists the checks that are the same for all directives of an account.
var accountChecks = []struct {
	name string
	run  func(*target) []report.Entry
}{
	{"dns", single(checkDNS)},
	{"connection", single(checkConnection)},
	{"tls", single(checkTLS)},
	{"clock", single(checkClock)},
	{"credentials", checkCredentials},
	{"redis", single(checkRedis)},
}

func (c *checkRun) run(ctx context.Context, out io.Writer) (int, error) {
	if c.timeout <= 0 {
		return command.Usage, command.UsageError("--timeout must be positive")
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	blocks, err := c.check(ctx)
	switch {
	case command.IsUsage(err):
		return command.Usage, err
	case err != nil:
		blocks = errorBlocks(err)
	}
	if c.quiet {
		for _, b := range blocks {
			b.entries = slices.DeleteFunc(b.entries, func(e report.Entry) bool { return e.Result != report.Problem && e.Result != report.Warning })
		}
	}
	return report.Write(out, entries(merge(blocks)), c.json, documents(blocks))
}

func (c *checkRun) check(ctx context.Context) ([]*block, error) {
	c.progress = report.ProgressFor(os.Stderr)
	defer c.progress.End()
	c.progress.Step("reading the config")
	config, err := dryrun.Load(c.source)
	if err != nil {
		return nil, err
	}
	targets, err := c.loadTargets(ctx, config.Directives)
	if err != nil {
		return nil, err
	}
	c.progress.Step("sending requests through the routes of the config")
	routes, cancel := loadRoutes(config)
	defer cancel()
	for i, t := range targets {
		t.number, t.routes = i, routes
	}
	return append(newBlocks(targets), findingBlocks(config.Warnings, report.NewWarning)...), nil
}
