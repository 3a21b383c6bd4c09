package caddymodule

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/record"
)

// subject is a directive that is checked, and what is known of it.
type subject struct {
	directive *directive
	problems  []error // why its config does not load

	probes  []probe // the calls that were made
	without string  // why there are none

	store    sharedStore // what replicas share; nil: nothing
	storeErr error       // why it cannot be used
}

// probe is a call that was made to see what comes of it.
type probe struct {
	who         person
	performance *performance
}

// subjects loads directives and makes the calls that there are to make.
func (c *checkRun) subjects(ctx context.Context, directives []directive) ([]*subject, error) {
	base, cancel, err := commandContext()
	if err != nil {
		return nil, err
	}
	defer cancel()
	var cleanups releases
	defer cleanups.run()
	subjects := make([]*subject, len(directives))
	for i := range directives {
		subjects[i] = &subject{directive: &directives[i]}
		cleanups.push(subjects[i].load(base))
	}
	var calls sync.WaitGroup
	for _, s := range subjects {
		if s.without = "with --offline nobody is called"; c.offline {
			continue
		}
		s.without = "the config does not load"
		run, cleanup := s.prepare(base, c.who)
		cleanups.push(cleanup)
		calls.Go(func() { run(ctx) })
	}
	calls.Wait()
	return subjects, nil
}

// load provisions the directive as its config has it, beside the others of the
// config, and notes why it does not load. The function takes it back.
func (s *subject) load(base caddy.Context) (cleanup func()) {
	h, err := s.directive.newHandler()
	if err == nil {
		h.rehearse(&rehearsal{arrives: s.directive.arrives, register: true})
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
func (s *subject) prepare(base caddy.Context, who person) (run func(context.Context), cleanup func()) {
	ctx, cancel := caddy.NewContext(base) // other limits than the config's are no conflict with it there
	h, r, err := s.rehearsed(ctx)
	calls := who.each(h)
	s.store, _ = s.directive.common.Cache.loadStore(ctx) // an error is one of the config, which has been told
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
			s.without = "the time was over"
			p, err := perform(ctx, h, r, who)
			if err != nil {
				return
			}
			s.probes = append(s.probes, probe{who, p})
			if p.last().Status == 0 {
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
func (s *subject) rehearsed(ctx caddy.Context) (rehearsed, *rehearsal, error) {
	h, err := s.directive.newHandler()
	if err != nil {
		return h, nil, err
	}
	r, err := prepare(ctx, h, false)
	return h, r, err
}

// each is the person with each client type that has a client id of its own: one
// of them may be wrong.
func (w person) each(h rehearsed) []person {
	huma, isHuma := h.(*HumaToken)
	if !isHuma {
		return []person{w}
	}
	var (
		p    option.Problems // which have been told
		all  []person
		seen = make(map[string]bool)
	)
	ids := huma.readService(&p).clientIDs
	for _, kind := range clientTypes {
		if id := ids[knownType(kind)]; id != "" && !seen[id] {
			seen[id] = true
			w.clientType = kind
			all = append(all, w)
		}
	}
	return all
}

// last is the last call of a performance, which is what it ended with.
func (p *performance) last() record.Call {
	if len(p.calls) == 0 {
		return record.Call{}
	}
	return p.calls[len(p.calls)-1]
}

// call is the call by which the way to the service is judged. Without one it
// says why.
func (s *subject) call() (call record.Call, without string) {
	for _, p := range s.probes {
		if len(p.performance.calls) > 0 {
			return p.performance.last(), ""
		}
	}
	return call, s.without
}

// one makes a check with one result of many.
func one(check func(*subject) checked) func(*subject) []checked {
	return func(s *subject) []checked { return []checked{check(s)} }
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
func checkConfig(s *subject) []checked {
	if len(s.problems) == 0 {
		return []checked{ok("it loads")}
	}
	var all []checked
	for _, err := range s.problems {
		all = append(all, problemFound(loadHint(err), "%v", err))
	}
	return all
}

// checkRedis tells whether the store that replicas share can be used.
func checkRedis(s *subject) checked {
	switch {
	case s.directive.common.Cache == nil || s.directive.common.Cache.StoreRaw == nil:
		return skipped("the replicas share nothing")
	case s.store == nil:
		return skipped("%s", s.without)
	case s.storeErr == nil:
		return ok("it can be used")
	}
	return problemFound("in the option cache { redis { … } }: address, tls_enabled, username, password; or start it. Tokens come all the same: each replica works for itself",
		"%v", s.storeErr)
}
