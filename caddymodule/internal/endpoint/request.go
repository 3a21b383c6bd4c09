package endpoint

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/url"
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

// Request is the state of one HTTP request. It does not escape to the heap unless an
// exchange is started, which gets a copy.
type Request struct {
	http            *http.Request
	endpoint        *Endpoint
	creds           *credentials
	repl            *caddy.Replacer
	identityRequest identity.Request        // the input of identity.Identifier
	start           time.Time               // when the endpoint got the request
	User            identity.User           // zero until the user is identified
	key             exchange.UserKey        // names the user in caches
	variantKey      exchange.Variant        // of the token; empty until it is known
	ClientType      login.ClientType        // empty for a service without client types
	outcome         *metrics.OutcomeMetrics // set by finish; nil before
	logged          bool                    // the server has access logs
}

// newRequest returns the state of r, whose user is not yet identified.
func newRequest(e *Endpoint, r *http.Request) Request {
	ctx := r.Context()
	repl := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	srv, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	req := Request{
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
	if e.identity.UsesTrustedProxies() {
		req.identityRequest.TrustedProxy = req.byTrustedProxy()
	}
	if e.identity.UsesAuthServer() {
		original, _ := ctx.Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
		req.identityRequest.Method, req.identityRequest.URI = original.Method, forwardedURI(&original)
	}
	return req
}

// forwardedURI returns the path and the query of a request for the auth server, without the
// scheme and the host that a request line may have. The path has the form that Caddy's
// path matcher compares, except for the case of its letters: decoded, without dot segments
// and repeated slashes. Otherwise a rule by path would not match each request that the matcher does.
func forwardedURI(r *http.Request) string {
	if r.URL == nil {
		return r.RequestURI
	}
	u := url.URL{Path: caddyhttp.CleanPath(r.URL.Path, true), RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}
	return u.RequestURI()
}

// finish records the outcome in metrics, placeholders and the access log. Call it
// exactly once, before writing the response. It returns the current time, so that a
// cache hit need not call time.Now again.
func (req *Request) finish(outcome exchange.Outcome, code exchange.Code) time.Time {
	now := time.Now()
	req.outcome = req.endpoint.metrics.Outcome(outcome)
	req.outcome.Observe(now.Sub(req.start))
	accessLog{req.endpoint, req.User, req.outcome, code}.record(req)
	return now
}

// responded reports whether finish was called: the response may have been started.
func (req *Request) responded() bool { return req.outcome != nil }

// clientGone reports whether the request was canceled, usually by the client closing
// the connection.
func (req *Request) clientGone() bool { return req.http.Context().Err() != nil }

// Names returns the user's first and last name, from the source that the config names.
func (req *Request) Names() (first, last masked.String) {
	return req.endpoint.identity.Names(req.http.Context(), &req.identityRequest)
}

// OnlyKnownUsers reports whether signing up unknown users is forbidden. It is true only
// in a dry run without DryRun.Register.
func (req *Request) OnlyKnownUsers() bool { return req.endpoint.DryRun.onlyKnownUsers() }

// ClientIP returns the client's IP address as Caddy's server determined it, or an empty
// string if it is not known.
func (req *Request) ClientIP() string {
	ip, _ := caddyhttp.GetVar(req.http.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

// byTrustedProxy reports whether the direct peer is one of the server's
// trusted_proxies.
func (req *Request) byTrustedProxy() bool {
	trusted, _ := caddyhttp.GetVar(req.http.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}

// wantsFreshToken reports whether the request bypasses the cache: it has Cache-Control:
// no-cache, and the option no_cache is not ignore.
func (req *Request) wantsFreshToken() bool {
	return req.endpoint.common.NoCache != "ignore" && req.hasNoCache()
}

// hasNoCache reports whether the request has Cache-Control: no-cache (RFC 9111, section
// 5.2.1.4).
func (req *Request) hasNoCache() bool {
	for _, line := range req.http.Header["Cache-Control"] {
		for directive := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(directive), "no-cache") {
				return true
			}
		}
	}
	return false
}

// Registration returns r for the exchange of this request: the refusal of a sign-up is
// repeated for the duration of the option negative_ttl, and a sign-up that creates the
// user also emits the event huma_registered.
func (req *Request) Registration(r login.Registration) login.Registration {
	e, user, onResult := req.endpoint, req.User, r.OnResult
	r.Refused = req.creds.Policy.NegativeTTL
	r.OnResult = func(result login.SignUpResult) {
		onResult(result)
		if result == login.SignUpCreated {
			e.events.Registered(e.Service.Name, e.LogHasher.LogName(user))
		}
	}
	return r
}

// withVary returns the kind of token for cache keys: kind and, if the option vary is set,
// a hash of the values of its placeholders.
func (req *Request) withVary(variant string) exchange.Variant {
	if len(req.endpoint.vary) == 0 {
		return exchange.Variant(variant)
	}
	// Hash the values, because a client may send values of any length.
	hash := sha256.New()
	for _, name := range req.endpoint.vary {
		v, _ := req.repl.GetString(name)
		hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(v))))
		hash.Write([]byte(v))
	}
	return exchange.Variant(variant + " " + string(hash.Sum(nil)[:16]))
}

// loadStore loads the store that replicas share, if one is configured, and adds errors
// to p.
func (e *Endpoint) loadStore(ctx caddy.Context, p *option.Errors) {
	k := e.common.Cache
	if k != nil && k.StoreRaw != nil && k.Disabled {
		p.Addf("redis", "cannot be combined with `cache off`; remove one of them")
		return
	}
	store, err := k.LoadStore(ctx)
	if err != nil {
		p.Add("redis", err)
		return
	}
	e.store = store
}

// RootKey returns the key from which a Source derives Settings.CacheKey. Without a shared
// store it is random and differs in each process. With a store it is the same in all
// replicas: it is derived from secret or, if secret is zero, from the store's LogKey. It
// does not depend on the keys that encrypt the store's values, because these are rotated
// one replica after the other.
func (e *Endpoint) RootKey(secret masked.String) []byte {
	switch {
	case e.store == nil:
		return userhash.ProcessKey
	case secret.IsZero():
		return userhash.DeriveKey([]byte(e.store.LogKey().Reveal()), "store")
	}
	return userhash.DeriveKey([]byte(secret.Reveal()), "store")
}

// Coordinator returns what an exchange needs to wait for the sign-up of another replica
// instead of signing up the user itself. It returns nil if there is no shared store. user
// names the user in the locks of sign-ups.
func (req *Request) Coordinator(user exchange.UserKey) *login.Coordinator {
	c := req.creds
	if c.locks == nil {
		return nil
	}
	tokens, variant := c.hasher.CacheKey(req.User), req.variantKey
	stored := func(ctx context.Context) *exchange.Token {
		return req.endpoint.Account.Engine.Stored(ctx, tokens, variant, &c.Policy)
	}
	if req.wantsFreshToken() { // the stored token may be the one that the client wants replaced
		stored = func(context.Context) *exchange.Token { return nil }
	}
	return &login.Coordinator{Locks: c.locks, User: user, Timeout: c.Policy.Timeout, Stored: stored}
}
