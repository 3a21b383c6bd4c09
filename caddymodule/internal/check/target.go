package check

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/humatoken"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/dryrun"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/lifecycle"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/record"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
)

// target is a directive to check, with the results of its provisioning and its calls.
type target struct {
	directive *dryrun.Directive
	number    int     // of the directive in the config
	problems  []error // errors of its config
	account   *account
	routes    *siteRoutes
	source    *identitySource // nil: the directive calls no service to identify users

	// The calls of the account. Only its first directive makes them.
	attempts   []attempt // the dry runs so far
	skipReason string    // why attempts is empty or incomplete

	store    config.Store // nil: replicas share nothing, or the store does not load
	storeErr error        // the error of store.Try
}

// attempt is one dry run of the directive, with the user and the result.
type attempt struct {
	user   dryrun.User
	result *dryrun.Result
}

// loadTargets loads the directives and runs their calls concurrently: those of each
// account and of each service that identifies users once. With --offline it makes no
// calls.
func (c *checkRun) loadTargets(ctx context.Context, directives []dryrun.Directive) ([]*target, error) {
	base, cancel, err := dryrun.Context()
	if err != nil {
		return nil, err
	}
	defer cancel()
	var cleanups lifecycle.Cleanups
	defer cleanups.Run()
	targets := make([]*target, len(directives))
	for i := range directives {
		targets[i] = &target{directive: &directives[i], skipReason: noCalls}
		cleanups.Add(targets[i].load(base))
	}
	accounts, sources := groupAccounts(targets), groupSources(targets)
	if c.offline {
		return targets, nil
	}
	var calls sync.WaitGroup
	for _, s := range sources {
		calls.Go(func() { s.try(ctx) })
	}
	for _, a := range accounts {
		a.first().skipReason = "the config is not valid"
		run, cleanup := a.first().prepare(base, c.user)
		cleanups.Add(cleanup)
		calls.Go(func() { run(ctx) })
	}
	c.progress.Step("waiting for the services")
	calls.Wait()
	return targets, nil
}

// noCalls is the reason for skipped checks with --offline.
const noCalls = "no calls with --offline"

// load provisions the directive with its config, in one context with the other
// directives, and stores its errors in t.problems. cleanup releases the directive.
func (t *target) load(base caddy.Context) (cleanup func()) {
	h, err := t.directive.NewHandler()
	if err == nil {
		h.SetDryRun(&endpoint.DryRun{ForwardsHeader: t.directive.ForwardsHeader, Register: true})
		err = h.Provision(base)
	}
	var joined interface{ Unwrap() []error }
	switch {
	case err == nil:
	case errors.As(err, &joined):
		t.problems = joined.Unwrap()
	default:
		t.problems = []error{err}
	}
	return func() { _ = h.Cleanup() }
}

// prepare returns the function that makes the calls of the directive. It may run
// concurrently with those of other directives. cleanup releases the directive.
func (t *target) prepare(base caddy.Context, user dryrun.User) (run func(context.Context), cleanup func()) {
	ctx, cancel := caddy.NewContext(base) // separate, because the dry run's limits differ from the config's
	h, r, err := t.provisionDryRun(ctx)
	calls := usersPerClientType(user, h)
	t.store, _ = t.directive.Common.Cache.LoadStore(ctx) // load has reported the error
	if err != nil {
		calls = nil
	}
	run = func(ctx context.Context) {
		var store sync.WaitGroup
		defer store.Wait()
		if t.store != nil {
			store.Go(func() { t.storeErr = t.store.Try(ctx) })
		}
		for _, user := range calls {
			t.skipReason = "timed out (see --timeout)"
			p, err := dryrun.Request(ctx, h, r, user)
			if err != nil {
				return
			}
			t.attempts = append(t.attempts, attempt{user, p})
			if p.Last().Status == 0 {
				return // no response: the next client types would fail too
			}
		}
	}
	return run, func() {
		_ = h.Cleanup()
		cancel()
	}
}

// provisionDryRun returns the directive, provisioned for a dry run that creates no user.
func (t *target) provisionDryRun(ctx caddy.Context) (dryrun.Handler, *endpoint.DryRun, error) {
	h, err := t.directive.NewHandler()
	if err != nil {
		return h, nil, err
	}
	r, err := dryrun.Provision(ctx, h, false)
	return h, r, err
}

// usersPerClientType returns the user once for each client ID, with its client type,
// because only one of the client IDs may be wrong.
func usersPerClientType(user dryrun.User, h dryrun.Handler) []dryrun.User {
	huma, isHuma := h.(*humatoken.HumaToken)
	if !isHuma {
		return []dryrun.User{user}
	}
	var all []dryrun.User
	for _, clientType := range huma.DistinctClientTypes() {
		user.ClientType = clientType
		all = append(all, user)
	}
	return all
}

// firstCall returns the call that the network checks examine. If there is none, it
// returns the reason in skip.
func (t *target) firstCall() (call record.Call, skip string) {
	for _, a := range t.attempts {
		if len(a.result.Calls) > 0 {
			return a.result.Last(), ""
		}
	}
	return call, t.skipReason
}

// single adapts a check that returns one result.
func single(check func(*target) report.Entry) func(*target) []report.Entry {
	return func(t *target) []report.Entry { return []report.Entry{check(t)} }
}

// loadErrorFix returns the fix for an error of loading a config, or "" if the error text
// is sufficient.
func loadErrorFix(err error) string {
	var variable *option.VariableError
	switch {
	case errors.As(err, new(*dryrun.AdminError)):
		return "correct --address: it is the option admin of the server, which must be running; the default is localhost:2019"
	case errors.As(err, &variable):
		return "set " + variable.Name + " in the environment of Caddy (EnvironmentFile= of the systemd unit, environment: of the container) and of this command"
	case errors.Is(err, fs.ErrPermission):
		return "let the user that Caddy runs as read the file, and run this command as that user: sudo -u caddy caddy huma check"
	case errors.Is(err, fs.ErrNotExist):
		return "correct the path; a relative path starts at the working directory of Caddy"
	case errors.As(err, new(*fs.PathError)):
		return "correct the path: it must be a readable file"
	}
	return ""
}

// checkConfig checks whether the config loads.
func checkConfig(t *target) []report.Entry {
	if len(t.problems) == 0 {
		return []report.Entry{report.NewOK("the options are valid")}
	}
	var all []report.Entry
	for _, err := range t.problems {
		all = append(all, report.NewProblem(loadErrorFix(err), "%v", err))
	}
	return all
}

// checkRedis checks whether the store that replicas share can be used.
func checkRedis(t *target) report.Entry {
	switch {
	case t.directive.Common.Cache == nil || t.directive.Common.Cache.StoreRaw == nil:
		return report.NewSkipped("no shared store is configured")
	case t.store == nil:
		return report.NewSkipped("%s", t.skipReason)
	case t.storeErr == nil:
		return report.NewOK("the shared store can be used")
	}
	return report.NewProblem("start Redis, or correct address, tls_enabled, username or password in cache { redis { … } }. Meanwhile each replica issues tokens without sharing them",
		"%v", t.storeErr)
}
