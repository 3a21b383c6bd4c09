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
)

// target is a directive to check, with the results of its provisioning and its calls.
type target struct {
	directive *dryrun.Directive
	problems  []error // errors of its config

	attempts   []attempt // the sign-ins that were tried
	skipReason string    // why attempts is empty or incomplete

	store    config.Store // nil: replicas share nothing, or the store does not load
	storeErr error        // the error of store.Try
}

// attempt is one dry run of the directive, with the user and the result.
type attempt struct {
	who         dryrun.User
	performance *dryrun.Result
}

// subjects loads the directives and runs their calls concurrently. With --offline it makes
// no calls.
func (c *checkRun) subjects(ctx context.Context, directives []dryrun.Directive) ([]*target, error) {
	base, cancel, err := dryrun.Context()
	if err != nil {
		return nil, err
	}
	defer cancel()
	var cleanups lifecycle.Cleanups
	defer cleanups.Run()
	subjects := make([]*target, len(directives))
	for i := range directives {
		subjects[i] = &target{directive: &directives[i]}
		cleanups.Add(subjects[i].load(base))
	}
	var calls sync.WaitGroup
	for _, s := range subjects {
		if s.skipReason = "with --offline nobody is called"; c.offline {
			continue
		}
		s.skipReason = "the config does not load"
		run, cleanup := s.prepare(base, c.who)
		cleanups.Add(cleanup)
		calls.Go(func() { run(ctx) })
	}
	calls.Wait()
	return subjects, nil
}

// load provisions the directive with its config, in one context with the other directives,
// and stores its errors in s.problems. cleanup releases the directive.
func (s *target) load(base caddy.Context) (cleanup func()) {
	h, err := s.directive.NewHandler()
	if err == nil {
		h.SetDryRun(&endpoint.DryRun{ForwardsHeader: s.directive.ForwardsHeader, Register: true})
		err = h.Provision(base)
	}
	var several interface{ Unwrap() []error }
	switch {
	case err == nil:
	case errors.As(err, &several):
		s.problems = several.Unwrap()
	default:
		s.problems = []error{err}
	}
	return func() { _ = h.Cleanup() }
}

// prepare returns the function that makes the calls of the directive. It may run
// concurrently with those of other directives. cleanup releases the directive.
func (s *target) prepare(base caddy.Context, who dryrun.User) (run func(context.Context), cleanup func()) {
	ctx, cancel := caddy.NewContext(base) // separate, because the dry run's limits differ from the config's
	h, r, err := s.rehearsed(ctx)
	calls := usersPerClientType(who, h)
	s.store, _ = s.directive.Common.Cache.LoadStore(ctx) // load has reported the error
	if err != nil {
		calls = nil
	}
	run = func(ctx context.Context) {
		var store sync.WaitGroup
		defer store.Wait()
		if s.store != nil {
			store.Go(func() { s.storeErr = s.store.Try(ctx) })
		}
		for _, who := range calls {
			s.skipReason = "the time was over"
			p, err := dryrun.Request(ctx, h, r, who)
			if err != nil {
				return
			}
			s.attempts = append(s.attempts, attempt{who, p})
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

// rehearsed returns the directive, provisioned for a dry run that creates no user.
func (s *target) rehearsed(ctx caddy.Context) (dryrun.Handler, *endpoint.DryRun, error) {
	h, err := s.directive.NewHandler()
	if err != nil {
		return h, nil, err
	}
	r, err := dryrun.Provision(ctx, h, false)
	return h, r, err
}

// usersPerClientType returns the user w once for each client id, with its client type,
// because only one of the client ids may be wrong.
func usersPerClientType(w dryrun.User, h dryrun.Handler) []dryrun.User {
	huma, isHuma := h.(*humatoken.HumaToken)
	if !isHuma {
		return []dryrun.User{w}
	}
	var all []dryrun.User
	for _, kind := range huma.DistinctClientTypes() {
		w.ClientType = kind
		all = append(all, w)
	}
	return all
}

// firstCall returns the call that the network checks examine. If there is none, it returns
// the reason in without.
func (s *target) firstCall() (call record.Call, without string) {
	for _, p := range s.attempts {
		if len(p.performance.Calls) > 0 {
			return p.performance.Last(), ""
		}
	}
	return call, s.skipReason
}

// single adapts a check that returns one result.
func single(check func(*target) checkResult) func(*target) []checkResult {
	return func(s *target) []checkResult { return []checkResult{check(s)} }
}

// loadHint returns the fix for an error of loading a config, or "" if the error text is
// sufficient.
func loadHint(err error) string {
	var variable *option.VariableError
	switch {
	case errors.As(err, &variable):
		return variable.Name + "=… in the environment that Caddy is started with (EnvironmentFile= of its systemd unit, environment: of its container), and in that of this command"
	case errors.Is(err, fs.ErrPermission):
		return "let the user read it that Caddy runs as, and run this as that user: sudo -u caddy caddy huma check"
	case errors.Is(err, fs.ErrNotExist):
		return "correct the path; a relative one begins where Caddy is started"
	case errors.As(err, new(*fs.PathError)):
		return "correct the path: it has to be a file that can be read"
	}
	return ""
}

// checkConfig checks whether the config loads.
func checkConfig(s *target) []checkResult {
	if len(s.problems) == 0 {
		return []checkResult{okResult("it loads")}
	}
	var all []checkResult
	for _, err := range s.problems {
		all = append(all, problemResult(loadHint(err), "%v", err))
	}
	return all
}

// checkRedis checks whether the store that replicas share can be used.
func checkRedis(s *target) checkResult {
	switch {
	case s.directive.Common.Cache == nil || s.directive.Common.Cache.StoreRaw == nil:
		return skippedResult("the replicas share nothing")
	case s.store == nil:
		return skippedResult("%s", s.skipReason)
	case s.storeErr == nil:
		return okResult("it can be used")
	}
	return problemResult("in the option cache { redis { … } }: address, tls_enabled, username, password; or start it. Tokens come all the same: each replica works for itself",
		"%v", s.storeErr)
}
