// Package caddymodule is the Caddy plugin: the directive huma_token, which
// answers signed-in users with tokens of Huma, and human_api_token, which
// answers them with tokens of Human API Connect.
package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// endpoint is what all token directives are: who is asking, and then the token
// that is kept for them or a new one. Whose tokens these are is its service's
// matter.
type endpoint struct {
	service *provider
	source  credentialSource
	files   []string // that its options name
	common  *Common

	logger   *zap.Logger
	events   *emitter
	meters   *meters
	releases releases

	identity       *identity.Identifier
	denyCrossSite  bool
	delegateErrors bool            // to error routes
	names          *userHasher     // names users in logs
	vary           []string        // placeholders of the option vary
	varyOn         string          // the value of Vary
	policy         exchange.Policy // what it is for all credentials

	account   *account
	upstream  *upstream
	onBreaker func(open bool)
	store     sharedStore // what replicas share; nil: there are no others

	current  atomic.Pointer[credentials]
	rotation rotation

	rehearsal *rehearsal // nil in a server

	succeeded atomic.Bool // this config has had a token
	samples   sampler     // limits messages that any request can trigger
}

// mint is an exchange: exchange.Minter without the report.
type mint interface {
	Mint(ctx context.Context) (*exchange.Grant, exchange.Outcome, error)
}

// allow lists the methods that the endpoint knows. HEAD is none of them: it
// would sign people in.
const allow = "GET, POST, DELETE, OPTIONS"

// statusClientClosedRequest is what access logs show of a caller who left.
const statusClientClosedRequest = 499

// ServeHTTP implements caddyhttp.MiddlewareHandler. It never calls next: the
// endpoint responds to every request that the directive's matcher lets in.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) (err error) {
	e.setVary(w.Header(), r.Header)
	req := newRequest(e, r)
	defer func() {
		if v := recover(); v != nil {
			err = req.panicked(w, v)
		}
	}()
	return e.serve(w, &req)
}

// serve identifies the user of a request, gets a token for them from the cache or
// from the service, and responds with it.
func (e *endpoint) serve(w http.ResponseWriter, req *request) error {
	switch req.http.Method {
	case http.MethodGet, http.MethodPost, http.MethodDelete:
	case http.MethodOptions:
		w.Header().Set("Allow", allow)
		return noContent(w)
	default:
		w.Header().Set("Allow", allow)
		return req.fail(w, failure{code: codeMethodNotAllowed})
	}
	if e.denyCrossSite && isCrossSite(req.http.Host, req.http.Header, req.byTrustedProxy) {
		return req.fail(w, failure{code: codeCrossSite})
	}

	user, err := e.identity.Identify(req.http.Context(), &req.asked)
	if err != nil {
		return req.reject(w, err)
	}
	req.user, req.key = user, req.creds.users.key(user)
	if req.http.Method == http.MethodDelete {
		return req.evict(w)
	}

	variant, clientType, bad := req.creds.tokens.kind(req.http)
	if bad != "" {
		return req.fail(w, failure{code: bad})
	}
	req.kind, req.clientType = req.variant(variant), clientType
	result := req.token()
	if e.policy.Cache != nil {
		countLook(result)
	}
	return req.respond(w, result)
}

// token returns a token from the cache, from a running exchange, or from a new one.
// Most requests end here without one, and then the request does not escape to the
// heap: only an exchange, which may outlive the request, copies it.
func (q *request) token() exchange.Result {
	lookup := exchange.Request{User: q.key, Kind: q.kind, Fresh: q.fresh(), Since: q.start, Policy: &q.creds.policy}
	if result, ok := lookup.Kept(time.Now()); ok {
		return result
	}
	source := *q
	lookup.Source = &source
	return q.endpoint.account.engine.Exchange(q.http.Context(), &lookup)
}

// Minter implements exchange.Source.
func (q *request) Minter() exchange.Minter {
	return &minter{q.creds.tokens.mint(q), q.endpoint, q.creds, q.user}
}

// minter is the exchange of one user, and what is told of its end.
type minter struct {
	exchange    mint
	e           *endpoint
	credentials *credentials
	user        identity.User
}

// Mint implements exchange.Minter. If the service refuses our credentials there
// may be new ones.
func (m *minter) Mint(ctx context.Context) (*exchange.Grant, exchange.Outcome, error) {
	grant, outcome, err := m.exchange.Mint(ctx)
	if err == nil || failureOf(err).code != exchange.CodeConfig {
		return grant, outcome, err
	}
	c := m.e.newer(ctx, m.credentials)
	if c == nil {
		return grant, outcome, err
	}
	m.exchange = c.tokens.again(m.exchange)
	return m.exchange.Mint(ctx)
}

// Ended implements exchange.Minter.
func (m *minter) Ended(r exchange.Result) { m.e.logEnd(m.user, r) }

// respond responds with a token, or with the error of its exchange.
func (q *request) respond(w http.ResponseWriter, r exchange.Result) error {
	switch {
	case q.left():
		// A cache in front may give what is written now to another client.
		return q.canceled(w)
	case r.Err == nil:
		now := q.ended(r.Outcome, "")
		buf := buffers.Get().(*[]byte)
		*buf = r.Grant.AppendJSON((*buf)[:0], now)
		write(w, http.StatusOK, "application/json", *buf)
		buffers.Put(buf)
		return nil
	}
	q.endpoint.logNoExchange(q.user, r.Err)
	return q.fail(w, failureOf(r.Err))
}

// evict drops the user's tokens at all replicas, also if the client does not wait
// for it, and responds without a body.
func (q *request) evict(w http.ResponseWriter) error {
	e := q.endpoint
	err := e.account.engine.Evict(context.WithoutCancel(q.http.Context()), q.key, q.creds.policy.Shared, false)
	if err != nil {
		e.logSampled(zapcore.WarnLevel, "", exchangeLogInterval, evictedHere, zap.Error(err))
	}
	q.ended(outcomeEvicted, "")
	return noContent(w)
}

// evictedHere is what logs say when the others do not know it.
const evictedHere = "a user was evicted here only: the shared store could not be told, other replicas may hand out their token until its ttl"

// reject responds to a request whose user is not known.
func (q *request) reject(w http.ResponseWriter, err error) error {
	if q.left() { // while the application was asked, say
		return q.canceled(w)
	}
	countRejection(err)
	return q.fail(w, failureOf(err))
}

// fail responds with an error, or leaves it to handle_errors.
func (q *request) fail(w http.ResponseWriter, f failure) error {
	e := q.endpoint
	f.problem = problemOf(f.code, e.service.details)
	q.ended(f.outcome, f.code)
	if f.outcome == outcomeRejected {
		e.logRejection(f)
	}
	noStore(w.Header())
	f.setHeaders(w.Header())
	if e.delegateErrors {
		return caddyhttp.Error(f.status, f)
	}
	write(w, f.status, "application/problem+json", f.body())
	return nil
}

// panicked makes one failed answer of a panic, which is a mistake of ours. The
// server would log its value, which may hold anything.
func (q *request) panicked(w http.ResponseWriter, v any) error {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		if !q.answered() {
			q.ended(outcomeCanceled, "")
		}
		panic(v) // how a handler lets go of a connection
	}
	q.endpoint.logPanic("a request ended in a panic", &exchange.PanicError{Stack: debug.Stack()})
	if q.answered() { // half of an answer is none
		panic(http.ErrAbortHandler)
	}
	return q.fail(w, failure{code: codeInternal})
}

// canceled ends a request whose client has left.
func (q *request) canceled(w http.ResponseWriter) error {
	q.ended(outcomeCanceled, "")
	noStore(w.Header())
	w.WriteHeader(statusClientClosedRequest) // nobody reads it
	return nil
}

// buffers hold answers while they are written.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// serverBuffer is how much of an answer Go's servers hold back. If that is all of it
// they write its length themselves, for less than it costs to tell them.
const serverBuffer = 2 << 10

// cacheControl is that of every response (RFC 9111, sections 5.2.2.5 and
// 5.2.2.7).
const cacheControl = "private, no-store"

// write answers with a body. The values of its headers share one allocation;
// they are not shared between answers, because other handlers may change them.
func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	values := [...]string{cacheControl, "no-cache", "nosniff", contentType}
	h := w.Header()
	h["Cache-Control"] = values[0:1:1]
	h["Pragma"] = values[1:2:2]
	h["X-Content-Type-Options"] = values[2:3:3]
	h["Content-Type"] = values[3:4:4]
	if len(body) > serverBuffer {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller who has left is no error of ours
}

// noStore keeps everybody from storing or sniffing the answer.
func noStore(h http.Header) {
	h.Set("Cache-Control", cacheControl)
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
}

// noContent answers without a body.
func noContent(w http.ResponseWriter) error {
	noStore(w.Header())
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Interface guards
var (
	_ caddyhttp.MiddlewareHandler = (*endpoint)(nil)
	_ exchange.Minter             = (*minter)(nil)
	_ exchange.Source             = (*request)(nil)
)
