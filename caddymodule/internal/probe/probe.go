// Package probe implements the command `caddy huma probe`, which checks a running token
// endpoint from outside, as the apps, browsers and caches that use it would see it.
package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

// defaultTimeout is the default of the flag --timeout, which limits the whole command.
const defaultTimeout = 30 * time.Second

// Command returns the command caddy huma probe.
func Command() *cobra.Command { return NewCommand(defaultPause) }

// NewCommand returns Command with another pause between the first token and the second
// request for it, for tests. If the pause is shorter than a second, the command does not
// check whether lifetimes count down.
func NewCommand(pause time.Duration) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "probe <url> [--cookie <cookie> | --bearer <token> | --user <name>:<password> | --header '<name>: <value>'...] [--client-type <type>] [--origin <origin>] [--delete] [--json]",
		Short: "Checks a running token endpoint from outside",
		Long: `
Checks a running token endpoint from outside, as the apps, browsers and caches that
use it see it. The endpoint can be one of this plugin, or any other that responds
with tokens of Huma or of Human API, such as the one of Huma's quick start.

If the URL has no path, the command checks /private/huma-token, or, with
--service human_api, /private/human-api-token.

Without credentials, the command checks what an unauthenticated request gets: it must
be 401, and not a login page, a redirect or a token. With credentials, it checks:

  token             the credentials get a token
  fields            the response has the fields that the SDKs read
  lifetimes         they are plausible numbers of seconds
  content_type, cache_control, vary
                    headers of the response
  client_type       which client types get a token; unknown ones are refused
  options, put, head
                    other methods get no token
  fetch_metadata, origin
                    requests of pages of other sites are refused
  cache             a second request gets the same token, with the lifetimes left
  no_cache          an app can request a new token (Cache-Control: no-cache)
  delete            an app can evict its tokens when the user signs out; only with
                    --delete, because the method may do something else at an endpoint
                    that is not of this plugin
  cors_preflight, cors_token, cors_401, cors_other_origin
                    a web app of the origin --origin can use the endpoint, and one of
                    another origin cannot

Each result is ok, warning (it works, but should be reviewed), problem (it does not
work, or is not safe) or skipped (it does not apply, or another problem prevents it).
Warnings and problems come with a fix.

The requests with credentials sign in the user at the service, and sign up the user
if the service does not know the user, as an app would do. There are up to 20 of them.

Do not write secrets into the command: other users of this machine can see its
arguments. In --cookie, --bearer, --user and --header, {env.NAME} is the value of an
environment variable, and {file./path} the content of a file. The command prints
neither credentials nor tokens. Of a response it prints only what is harmless, such
as the status, the names of known fields and the lifetimes.

Redirects are not followed, and the credentials are sent to the URL only. If there is
a proxy in the environment (HTTPS_PROXY), it is used.

Exit codes:
  0  no problems; there may be warnings
  1  at least one problem
  2  wrong usage`,
		Example: `  caddy huma probe https://app.example.com
  caddy huma probe https://app.example.com --cookie 'session={env.SESSION}'
  caddy huma probe https://app.example.com/private/huma-token --bearer '{file./run/secrets/token}' --client-type ios
  caddy huma probe https://api.example.com --bearer '{env.TOKEN}' --origin https://app.example.com
  caddy huma probe http://localhost:8080 --user 'alice:{env.PASSWORD}'`,
		Args: oneURL,
	}
	var o options
	f := cmd.Flags()
	f.StringArrayVar(&o.cookies, "cookie", nil, "Cookie of a signed-in user, as '<name>=<value>'; repeatable; may contain {env.NAME} and {file./path}")
	f.StringVar(&o.bearer, "bearer", "", "Bearer token of a signed-in user; may be {env.NAME} or {file./path}")
	f.StringVarP(&o.user, "user", "u", "", "User name and password for basic authentication, as '<name>:<password>'; may contain {env.NAME} and {file./path}")
	f.StringArrayVarP(&o.headers, "header", "H", nil, "Request header that authenticates, as '<name>: <value>'; repeatable; may contain {env.NAME} and {file./path}")
	f.StringVar(&o.clientType, "client-type", "", "ios, android or web: check this client type only (default: all)")
	f.StringVar(&o.service, "service", "", "huma or human_api: the service whose tokens the endpoint issues (default: recognized from the response)")
	f.StringVar(&o.origin, "origin", "", "Origin of a web app on another site, such as https://app.example.com: check CORS, too")
	f.BoolVar(&o.delete, "delete", false, "Check the method DELETE, which evicts the user's tokens from the cache of the endpoint")
	f.StringVar(&o.ca, "ca", "", "PEM file with the certificate authorities to trust, instead of those of the system")
	f.DurationVar(&o.timeout, "timeout", defaultTimeout, "Timeout of the whole command")
	f.BoolVar(&o.json, "json", false, "Print JSON")
	command.Runs(cmd, func(ctx context.Context, out io.Writer) (int, error) {
		p, err := newProbe(cmd.Flags().Arg(0), &o, pause)
		if err != nil {
			return command.Usage, err
		}
		p.progress = report.ProgressFor(cmd.ErrOrStderr())
		return p.run(ctx, out)
	})
	return cmd
}

// oneURL returns an error unless there is exactly one argument.
func oneURL(_ *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return errors.New("the URL of a token endpoint is required, such as https://app.example.com; `caddy huma probe --help` shows examples")
	case len(args) > 1:
		return fmt.Errorf("unexpected argument %q: only one URL is allowed", args[1])
	}
	return nil
}

// probe is one run of the command against one endpoint.
type probe struct {
	target
	credentials []credential
	options     *options
	send        *http.Transport
	progress    *report.Progress
	pause       time.Duration // between the first token and the second request for it

	// The results of the checks so far.
	unauthenticated *response // the response to a request without credentials
	token           *response // the first response with a token; nil: there is none
	document        *document // the content of token, or of a later response with a token
	caches          bool      // a second request gets the same token
	clientType      string    // the client type of the token; empty: the request had none
	noToken         string    // why token is nil
	timedOut        bool      // a check has reported that --timeout is over
}

// defaultPause is the default of probe.pause. Lifetimes are whole seconds, so they must
// be lower after it.
const defaultPause = 1100 * time.Millisecond

// checks lists the checks, in the order of the output. The order matters: each check
// uses the results of those before.
var checks = []struct {
	name string
	run  func(*probe, context.Context) []report.Entry

	// skip returns why the check is skipped, or "". Nil: it is not.
	skip func(*probe) string
}{
	{"connection", (*probe).checkConnection, nil},
	{"unauthenticated", (*probe).checkUnauthenticated, nil},
	{"token", (*probe).checkToken, nil},
	{"fields", (*probe).checkFields, (*probe).withoutToken},
	{"lifetimes", (*probe).checkLifetimes, (*probe).withoutToken},
	{"content_type", (*probe).checkContentType, (*probe).withoutToken},
	{"cache_control", (*probe).checkCacheControl, (*probe).withoutToken},
	{"vary", (*probe).checkVary, (*probe).withoutToken},
	{"client_type", (*probe).checkClientType, (*probe).withoutToken},
	{"options", (*probe).checkOptions, (*probe).withoutToken},
	{"put", (*probe).checkPut, (*probe).withoutToken},
	{"head", (*probe).checkHead, (*probe).withoutToken},
	{"fetch_metadata", (*probe).checkFetchMetadata, (*probe).withoutToken},
	{"origin", (*probe).checkOrigin, (*probe).withoutToken},
	{"cache", (*probe).checkCache, (*probe).withoutToken},
	{"no_cache", (*probe).checkNoCache, (*probe).withoutToken},
	{"delete", (*probe).checkDelete, (*probe).withoutToken},
	{"cors_preflight", (*probe).checkPreflight, (*probe).withoutOrigin},
	{"cors_token", (*probe).checkCORSToken, (*probe).withoutOriginOrToken},
	{"cors_401", (*probe).checkCORSError, (*probe).withoutOrigin},
	{"cors_other_origin", (*probe).checkOtherOrigin, (*probe).withoutOrigin},
}

// withoutToken is the reason to skip a check unless the credentials get a token.
func (p *probe) withoutToken() string {
	if p.token == nil {
		return p.noToken
	}
	return ""
}

// withoutOrigin is the reason to skip a check of CORS, if there is one.
func (p *probe) withoutOrigin() string {
	switch {
	case p.options.origin == "":
		return "only with --origin"
	case p.unauthenticated.status == 0:
		return "no connection"
	}
	return ""
}

func (p *probe) withoutOriginOrToken() string { return cmp.Or(p.withoutOrigin(), p.withoutToken()) }

func (p *probe) run(ctx context.Context, out io.Writer) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, p.options.timeout)
	defer cancel()
	defer p.send.CloseIdleConnections()
	all := p.check(ctx)
	return report.Write(out, all, p.options.json, all)
}

// check runs all checks.
func (p *probe) check(ctx context.Context) (all []report.Entry) {
	for _, check := range checks {
		var entries []report.Entry
		switch {
		case p.timedOut && report.Count(all, report.Problem) == 0:
			entries = one(report.NewProblem("set a longer --timeout", "no time is left for the further checks"))
		case p.timedOut:
			entries = one(report.NewSkipped("timed out (see --timeout)"))
		case check.skip != nil && check.skip(p) != "":
			entries = one(report.NewSkipped("%s", check.skip(p)))
		default:
			entries = check.run(p, ctx)
		}
		p.timedOut = ctx.Err() != nil
		for _, e := range entries {
			e.Subject, e.Check = p.title(), check.name
			all = append(all, e)
		}
	}
	return all
}

// one returns entries with one entry.
func one(e report.Entry) []report.Entry { return []report.Entry{e} }
