package endpoint

import (
	"context"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/filewatch"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/lifecycle"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/metrics"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userhash"
)

// Source is the part of a token directive that is specific to its service: the options
// of the account, and the exchanges for tokens.
type Source struct {
	// Settings evaluates the options that name the API, the account and its
	// credentials, and adds their errors to p. It has no side effects: Endpoint
	// calls it again whenever a file that these options name may have changed.
	Settings func(p *option.Errors) Settings

	// Names are the options that name the account, as they stand in the config.
	Names AccountNames
}

// Settings are the options of a Source with their placeholders replaced.
type Settings interface {
	// Fingerprint returns a hash of all settings. It changes if one of them does.
	Fingerprint() string

	// CacheKey returns the key of the hash that names users in caches. It is the
	// same in all replicas. Other credentials have another key, so the tokens that
	// were fetched with them are never found.
	CacheKey() []byte

	// SignUpKey names, for all replicas, the service at which users are signed up.
	// Replicas with the same key share the locks of their sign-ups. It is nil for a
	// service without sign-ups.
	SignUpKey() []byte

	// Tokens returns the TokenSource with these settings. users names users in
	// caches. locks is nil if there is no shared store.
	Tokens(users *userhash.Hasher, locks exchange.SignUpLocks) TokenSource
}

// TokenSource gets the tokens of one service with one set of credentials. Concurrent
// requests share it.
type TokenSource interface {
	// Variant returns the kind of token that a request asks for, or the error of a
	// request that does not name one.
	Variant(r *http.Request) (Variant, *problem.Error)

	// Exchange returns the exchange of a request. The exchange runs detached from
	// the HTTP request, and may outlive it.
	Exchange(req *Request) Exchange

	// RetryWith returns the exchange x with the credentials of this TokenSource.
	RetryWith(x Exchange) Exchange

	// ReleaseHold ends the hold of a user at all replicas; see Endpoint.ReleaseHold.
	ReleaseHold(ctx context.Context, user identity.User) error
}

// Variant is a kind of token. A user may have one token of each kind.
type Variant struct {
	Name       string           // the kind's name in cache keys
	ClientType login.ClientType // empty for a service without client types
}

// credentials are the credentials that calls are made with, and everything that depends
// on them. They are immutable: a rotation replaces them as a whole, and a request uses
// the same credentials from beginning to end. The exception is an exchange whose
// credentials the service refuses; see loggedExchange.
type credentials struct {
	tokens      TokenSource
	fingerprint string // Settings.Fingerprint
	loaded      time.Time

	hasher *userhash.Hasher // names users in caches
	Policy exchange.Policy
	locks  exchange.SignUpLocks // shared by all replicas; nil: no shared store
	leave  func()               // leaves the shared store; call it when no exchange uses these credentials any more
}

// Start sets the first credentials of the config. When the config has started, it also
// connects to the shared store and starts to watch the files that the options name.
// Call it once, in Provision, after AcquireState.
func (e *Endpoint) Start(ctx caddy.Context, s Settings) error {
	c, member, err := e.newCredentials(s)
	if err != nil {
		return err
	}
	e.current.Store(c)
	e.startChanges()
	e.cleanups.Add(e.stopRotation)
	e.cleanups.Add(func() { running.Delete(e) })
	if err := lifecycle.OnStarted(ctx, func() { e.started(ctx) }); err != nil {
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
	e.cleanups.Add(func() { filewatch.Remove(files{e}) })
	return lifecycle.OnStarted(ctx, func() { filewatch.Add(files{e}) })
}

// started is called when the config has started.
func (e *Endpoint) started(ctx caddy.Context) {
	if app, err := ctx.AppIfConfigured("http"); err == nil {
		e.app.Store(app.(*caddyhttp.App))
	}
	running.Store(e, nil)
}

// newCredentials returns the credentials of s, and joins the shared store if there is
// one. The Member is zero without a shared store.
func (e *Endpoint) newCredentials(s Settings) (*credentials, exchange.Member, error) {
	account := s.CacheKey()
	c := &credentials{
		fingerprint: s.Fingerprint(),
		loaded:      time.Now(),
		hasher:      userhash.New(account),
		Policy:      e.Policy,
		leave:       func() {},
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
