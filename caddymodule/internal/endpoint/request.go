package endpoint

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/metrics"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userhash"
)

// Request is one request and what has been found out about it. It stays on the
// stack unless there is an exchange.
type Request struct {
	http            *http.Request
	endpoint        *Endpoint
	creds           *credentials
	repl            *caddy.Replacer
	identityRequest identity.Request // what the identity is read from
	start           time.Time        // of our part
	User            identity.User
	key             exchange.UserKey        // names the user in caches
	kind            exchange.Kind           // of token, once it is known
	ClientType      login.ClientType        // Huma's
	end             *metrics.OutcomeMetrics // how it ended, once it has
	logged          bool                    // the server has access logs
}

func newRequest(e *Endpoint, r *http.Request) Request {
	ctx := r.Context()
	repl := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	srv, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	q := Request{
		http: r, endpoint: e, creds: e.current.Load(),
		repl: repl, start: time.Now(), logged: srv != nil && srv.Logs != nil,
		identityRequest: identity.Request{
			Host:         r.Host,
			Header:       r.Header,
			Placeholders: repl,
			RemoteAddr:   r.RemoteAddr,
			TLS:          r.TLS,
		},
	}
	if e.identity.AsksServer() {
		q.identityRequest.TrustedProxy = q.byTrustedProxy()
	}
	return q
}

// finish leaves behind how the request ended, and counts it. Every request ends
// once, before it is answered. It returns when that was: a hit pays for no
// further look at the clock.
func (q *Request) finish(outcome exchange.Outcome, code exchange.Code) time.Time {
	now := time.Now()
	q.end = q.endpoint.metrics.Outcome(outcome)
	q.end.Observe(now.Sub(q.start))
	accessLog{q.endpoint, q.User, q.end}.record(q, code)
	return now
}

// responded reports whether the answer has begun.
func (q *Request) responded() bool { return q.end != nil }

// clientGone reports whether the caller has left.
func (q *Request) clientGone() bool { return q.http.Context().Err() != nil }

// Names returns the user's first and last name.
func (q *Request) Names() (first, last masked.String) {
	return q.endpoint.identity.Names(q.http.Context(), &q.identityRequest)
}

// OnlyKnownUsers reports whether no user may be created at the service: it is a command
// that asks.
func (q *Request) OnlyKnownUsers() bool { return q.endpoint.DryRun.onlyKnown() }

// ClientIP returns the client's address as Caddy's server knows it.
func (q *Request) ClientIP() string {
	ip, _ := caddyhttp.GetVar(q.http.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

// byTrustedProxy reports whether the direct peer is one of the server's
// trusted_proxies.
func (q *Request) byTrustedProxy() bool {
	trusted, _ := caddyhttp.GetVar(q.http.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}

// wantsFreshToken reports whether a token past the cache is asked for, and may be.
func (q *Request) wantsFreshToken() bool {
	return q.endpoint.common.NoCache != "ignore" && q.hasNoCache()
}

// hasNoCache reports whether the request asks for a token past the cache:
// Cache-Control: no-cache (RFC 9111, 5.2.1.4).
func (q *Request) hasNoCache() bool {
	for _, line := range q.http.Header["Cache-Control"] {
		for directive := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(directive), "no-cache") {
				return true
			}
		}
	}
	return false
}

// Registration is a registration whose sign-ups are told as the user's.
func (q *Request) Registration(r login.Registration) login.Registration {
	e, user, ended := q.endpoint, q.User, r.Ended
	r.Refused = q.creds.Policy.NegativeTTL
	r.Ended = func(result login.SignUpResult) {
		ended(result)
		if result == login.SignUpCreated {
			e.events.Registered(e.Service.Name, e.LogHasher.LogName(user))
		}
	}
	return r
}

// variant is a kind of token, told apart by what the option vary names.
func (q *Request) variant(kind string) exchange.Kind {
	if len(q.endpoint.vary) == 0 {
		return exchange.Kind(kind)
	}
	// What varies is hashed: a client may send values of any length.
	hash := sha256.New()
	for _, name := range q.endpoint.vary {
		v, _ := q.repl.GetString(name)
		hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(v))))
		hash.Write([]byte(v))
	}
	return exchange.Kind(kind + " " + string(hash.Sum(nil)[:16]))
}

// loadStore loads the store that replicas share, if there is one.
func (e *Endpoint) loadStore(ctx caddy.Context, p *option.Errors) {
	k := e.common.Cache
	if k != nil && k.StoreRaw != nil && k.Disabled {
		p.Addf("redis", "it stands beside `cache off`: leave one of them out")
		return
	}
	store, err := k.LoadStore(ctx)
	if err != nil {
		p.Add("redis", err)
		return
	}
	e.store = store
}

// RootKey keys the hashes that name users in caches. Without replicas it is this
// process's own. With them it is the same in all, and not made of the keys that
// seal the store's values: those are changed one replica after the other.
func (e *Endpoint) RootKey(secret masked.String) []byte {
	switch {
	case e.store == nil:
		return userhash.ProcessKey
	case secret.IsZero():
		return userhash.DeriveKey([]byte(e.store.LogKey().Reveal()), "store")
	}
	return userhash.DeriveKey([]byte(secret.Reveal()), "store")
}

// Coordinator is what an exchange needs to leave its sign-up to another replica;
// nil if there are no others. user names the user in sign-ups.
func (q *Request) Coordinator(user exchange.UserKey) *login.Coordinator {
	c := q.creds
	if c.locks == nil {
		return nil
	}
	tokens, kind := c.hasher.CacheKey(q.User), q.kind
	stored := func(ctx context.Context) *exchange.Grant {
		return q.endpoint.Account.Engine.Stored(ctx, tokens, kind, &c.Policy)
	}
	if q.wantsFreshToken() { // what is stored may be what the caller wants no more
		stored = func(context.Context) *exchange.Grant { return nil }
	}
	return &login.Coordinator{Locks: c.locks, User: user, Timeout: c.Policy.Timeout, Stored: stored}
}
