package endpoint

import (
	"context"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/lifecycle"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/metrics"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userhash"
)

// Source is one service's part of a token directive.
type Source interface {
	// settings evaluates the options that say whose service is called and as
	// whom, and notes what is wrong with them. It changes nothing: it is asked
	// again whenever a file that they name may have changed.
	Settings(p *option.Errors) Settings

	// named is what names the account.
	Names() AccountNames
}

// Settings are those options with values in place of placeholders.
type Settings interface {
	// sum is a hash of all of them.
	Fingerprint() string

	// account keys the hash that names users in caches, the same in all
	// replicas: tokens of other credentials have other names, so they are never
	// handed out. service names, for replicas, whose sign-ups these are.
	CacheKey() []byte
	SignUpKey() []byte

	// tokens are the service's, as they are fetched with these settings.
	Tokens(users *userhash.Hasher, locks exchange.SignUpLocks) TokenSource
}

// TokenSource is one service's tokens, as they are fetched with certain
// credentials.
type TokenSource interface {
	// Variant returns the kind of token that a request is for, or the code of the
	// error if the request does not name one.
	Variant(r *http.Request) (Variant, exchange.Code)

	// mint makes the exchange of a request. It runs without the request.
	Exchange(q *Request) Exchange

	// again is the same exchange with these credentials.
	RetryWith(m Exchange) Exchange

	// releaseHold ends the hold of a user whose last sign-up had an unclear end, at
	// all replicas, if there is one.
	ReleaseHold(ctx context.Context, user identity.User) error
}

// Variant is a kind of token of one user.
type Variant struct {
	Kind       string           // tells its tokens apart in caches
	ClientType login.ClientType // empty for a service without client types
}

// credentials are what calls are made with, and what depends on it. They never
// change: others come in their place, and a request has the same from its
// beginning to its end.
type credentials struct {
	tokens TokenSource
	sum    string
	loaded time.Time

	hasher *userhash.Hasher // names users in caches
	Policy exchange.Policy
	locks  exchange.SignUpLocks // of all replicas; nil if there are no others
	leave  func()               // what replicas share, when no exchange with these runs any more
}

// Start begins with the credentials that the config was loaded with.
func (e *Endpoint) Start(ctx caddy.Context, s Settings) error {
	c, member, err := e.newCredentials(s)
	if err != nil {
		return err
	}
	e.current.Store(c)
	e.cleanups.Add(e.stopRotation)
	e.cleanups.Add(func() { running.Delete(e) })
	if err := lifecycle.OnStarted(ctx, func() { running.Store(e, nil) }); err != nil {
		return err
	}
	if member.Start != nil {
		if err := lifecycle.OnStarted(ctx, member.Start); err != nil {
			return err
		}
	}
	if len(e.files) == 0 {
		return nil
	}
	e.cleanups.Add(func() { watcher.remove(e) })
	return lifecycle.OnStarted(ctx, func() { watcher.add(e) })
}

func (e *Endpoint) newCredentials(s Settings) (*credentials, exchange.Member, error) {
	account := s.CacheKey()
	c := &credentials{
		sum:    s.Fingerprint(),
		loaded: time.Now(),
		hasher: userhash.New(account),
		Policy: e.Policy,
		leave:  func() {},
	}
	var member exchange.Member
	if e.store != nil {
		var err error
		if member, c.leave, err = e.store.Join(string(account), string(s.SignUpKey()), e.Account.Engine, metrics.CountUnreadable); err != nil {
			return nil, member, err
		}
		c.Policy.Shared, c.locks = metrics.InstrumentedStore{SharedStore: member.Store}, member.Locks
	}
	c.tokens = s.Tokens(c.hasher, c.locks)
	return c, member, nil
}
