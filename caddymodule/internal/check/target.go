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

// target is a directive that is checked, and what is known of it.
type target struct {
	directive *dryrun.Directive
	problems  []error // why its config does not load

	attempts   []attempt // the calls that were made
	skipReason string    // why there are none

	store    config.Store // what replicas share; nil: nothing
	storeErr error        // why it cannot be used
}

// attempt is a call that was made to see what comes of it.
type attempt struct {
	who         dryrun.User
	performance *dryrun.Result
}

// subjects loads directives and makes the calls that there are to make.
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

// load provisions the directive as its config has it, beside the others of the
// config, and notes why it does not load. The function takes it back.
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

// prepare returns what makes the calls, which may run beside others.
func (s *target) prepare(base caddy.Context, who dryrun.User) (run func(context.Context), cleanup func()) {
	ctx, cancel := caddy.NewContext(base) // other limits than the config's are no conflict with it there
	h, r, err := s.rehearsed(ctx)
	calls := usersPerClientType(who, h)
	s.store, _ = s.directive.Common.Cache.LoadStore(ctx) // an error is one of the config, which has been told
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
				return // the others would fare no better
			}
		}
	}
	return run, func() {
		_ = h.Cleanup()
		cancel()
	}
}

// rehearsed is the directive, ready for calls that make no user.
func (s *target) rehearsed(ctx caddy.Context) (dryrun.Handler, *endpoint.DryRun, error) {
	h, err := s.directive.NewHandler()
	if err != nil {
		return h, nil, err
	}
	r, err := dryrun.Provision(ctx, h, false)
	return h, r, err
}

// usersPerClientType is the person with each client type that has a client id of its own: one
// of them may be wrong.
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

// firstCall is the call by which the way to the service is judged. Without one it
// says why.
func (s *target) firstCall() (call record.Call, without string) {
	for _, p := range s.attempts {
		if len(p.performance.Calls) > 0 {
			return p.performance.Last(), ""
		}
	}
	return call, s.skipReason
}

// single makes a check with one result of many.
func single(check func(*target) checkResult) func(*target) []checkResult {
	return func(s *target) []checkResult { return []checkResult{check(s)} }
}

// loadHint is what to do about what keeps a config from loading, as far as the
// error does not say it.
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

// checkConfig tells why the config does not load.
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

// checkRedis tells whether the store that replicas share can be used.
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
