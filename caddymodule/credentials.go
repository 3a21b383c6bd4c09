package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/redis"
)

// lookEvery is how often files with credentials are looked at: by what is in
// them, because a file may be replaced, or a link to it, or its content. Tests
// look more often.
var lookEvery = 2 * time.Second

// credentialSource is one service's part of a token directive.
type credentialSource interface {
	// settings evaluates the options that say whose service is called and as
	// whom, and notes what is wrong with them. It changes nothing: it is asked
	// again whenever a file that they name may have changed.
	settings(p *option.Problems) settings

	// named is what names the account.
	named() accountNames
}

// settings are those options with values in place of placeholders.
type settings interface {
	// sum is a hash of all of them.
	sum() string

	// account keys the hash that names users in caches, the same in all
	// replicas: tokens of other credentials have other names, so they are never
	// handed out. service names, for replicas, whose sign-ups these are.
	account() []byte
	service() []byte

	// tokens are the service's, as they are fetched with these settings.
	tokens(*credentials) tokenService
}

// tokenService is one service's tokens, as they are fetched with certain
// credentials.
type tokenService interface {
	// kind says which kind of token a request is for, and for which client type
	// if the service knows such, or what is wrong with it.
	kind(r *http.Request) (kind string, of exchange.ClientType, bad exchange.Code)

	// mint makes the exchange of a request. It runs without the request.
	mint(q *request) mint

	// again is the same exchange with these credentials.
	again(m mint) mint
}

// credentials are what calls are made with, and what depends on it. They never
// change: others come in their place, and a request has the same from its
// beginning to its end.
type credentials struct {
	tokenService
	sum    string
	loaded time.Time

	users   *userHasher // names users in caches
	policy  exchange.Policy
	signUps exchange.SignUps // of all replicas; nil if there are no others
	storeUp func() bool      // whether what replicas share can be used; nil: there are no others
	leave   func()           // what replicas share, when no exchange with these runs any more
}

// rotation puts new credentials in place of the old ones.
type rotation struct {
	mu      sync.Mutex
	read    time.Time   // when the last look began
	problem string      // what was wrong with the files at the last look; empty: nothing
	told    atomic.Bool // and the log has it
	ended   bool        // the config is gone
}

// use begins with the credentials that the config was loaded with.
func (e *endpoint) use(ctx caddy.Context, s settings) error {
	c, member, err := e.newCredentials(s)
	if err != nil {
		return err
	}
	e.current.Store(c)
	e.releases.push(e.endRotation)
	e.releases.push(func() { handlers.Delete(e) })
	if err := whenStarted(ctx, func() { handlers.Store(e, nil) }); err != nil {
		return err
	}
	if member.Start != nil {
		if err := whenStarted(ctx, member.Start); err != nil {
			return err
		}
	}
	if !e.readsFiles {
		return nil
	}
	return whenStarted(ctx, func() { go e.watch(ctx) })
}

func (e *endpoint) newCredentials(s settings) (*credentials, redis.Member, error) {
	account := s.account()
	c := &credentials{
		sum:    s.sum(),
		loaded: time.Now(),
		users:  newUserHasher(account),
		policy: e.policy,
		leave:  func() {},
	}
	var member redis.Member
	if e.store != nil {
		var err error
		if member, c.leave, err = e.store.Join(string(account), string(s.service()), e.account.engine, countUnreadable); err != nil {
			return nil, member, err
		}
		c.policy.Shared, c.signUps, c.storeUp = countedStore{member.Shared}, member.SignUps, member.Up
	}
	c.tokenService = s.tokens(c)
	return c, member, nil
}

// endRotation leaves the last credentials in place, for requests that still run.
func (e *endpoint) endRotation() {
	e.rotation.mu.Lock()
	defer e.rotation.mu.Unlock()
	e.rotation.ended = true
	e.account.whenEnded(e.current.Load().leave)
}

// watch looks at the files until the config is gone.
func (e *endpoint) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			e.rotate(time.Now())
		}
	}
}

// newer returns other credentials than those that the service has refused, or
// nil if there are none: the files are read once more, unless somebody else has
// done it since.
func (e *endpoint) newer(refused *credentials) *credentials {
	if e.readsFiles {
		e.rotate(time.Now())
	}
	if c := e.current.Load(); c.sum != refused.sum {
		return c
	}
	return nil
}

// rotate reads the files, unless somebody has begun to since a moment, and puts
// what is in them in place of the credentials if it is something else. What
// cannot be used changes nothing.
func (e *endpoint) rotate(since time.Time) {
	r := &e.rotation
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || r.read.After(since) {
		return
	}
	r.read = time.Now()
	s, err := e.reread()
	if err != nil {
		e.logUnusable(err)
		return
	}
	e.logUsable()
	old := e.current.Load()
	if s.sum() == old.sum {
		return
	}
	c, _, err := e.newCredentials(s)
	if err != nil {
		e.logUnusable(err)
		return
	}
	e.current.Store(c)
	e.account.whenEnded(old.leave)
	e.logger.Info("the credentials have changed: the new ones are used from now on")
}

// A file may be being written: it must stay as it is for so long, and is looked
// at so often.
const (
	settleFor   = 20 * time.Millisecond
	settleTries = 10
)

var errUnsettled = errors.New("the files change all the time")

// reread evaluates the settings once more. If they have changed it waits until
// they stay as they are.
func (e *endpoint) reread() (settings, error) {
	sum := e.current.Load().sum
	for range settleTries {
		var p option.Problems
		s := e.source.settings(&p)
		if err := p.Err(); err != nil {
			return nil, err
		}
		now := s.sum()
		if now == sum {
			return s, nil
		}
		sum = now
		time.Sleep(settleFor)
	}
	return nil, errUnsettled
}

// logUnusable tells once what is wrong, and not before it is there at a second
// look: a file may be being written.
func (e *endpoint) logUnusable(err error) {
	r := &e.rotation
	if problem := err.Error(); problem != r.problem {
		r.problem = problem
		r.told.Store(false)
		return
	}
	if !r.told.Swap(true) {
		e.logger.Warn("the credentials cannot be read again: those of before are used", zap.Error(err))
	}
}

func (e *endpoint) logUsable() {
	r := &e.rotation
	r.problem = ""
	if r.told.Swap(false) {
		e.logger.Info("the credentials can be read again")
	}
}

// namesFiles reports whether options name files, which may change.
func namesFiles(options credentialSource) bool {
	text, err := json.Marshal(options)
	return err != nil || bytes.Contains(text, []byte(`{file.`)) || bytes.Contains(text, []byte(`"config_file":`))
}
