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

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// endpoint is what all token directives are: who is asking, and then the token
// that is kept for them or a new one. Whose tokens these are is its service's
// matter.
type endpoint struct {
	*provider
	source credentialSource
	files  []string // that its options name
	common *Common

	logger   *zap.Logger
	events   *emitter
	meters   *meters
	releases releases

	identity *identity.Identifier
	names    *userHasher     // names users in logs
	vary     []string        // placeholders of the option vary
	varyOn   string          // the value of Vary
	policy   exchange.Policy // what it is for all credentials

	account  *account
	upstream *upstream
	store    sharedStore // what replicas share; nil: there are no others

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

// ServeHTTP implements caddyhttp.MiddlewareHandler. It never calls next:
// whatever is asked of this path, this handler answers.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) (err error) {
	e.setVary(w.Header(), r.Header)
	q := newRequest(e, r)
	defer func() {
		if v := recover(); v != nil {
			err = e.panicked(w, &q, v)
		}
	}()
	return e.serve(w, &q)
}

// serve is the way of a request: who is asking, for which kind of token, and
// then the token that is kept or a new one.
func (e *endpoint) serve(w http.ResponseWriter, q *request) error {
	switch q.Method {
	case http.MethodGet, http.MethodPost, http.MethodDelete:
	case http.MethodOptions:
		w.Header().Set("Allow", allow)
		return noContent(w)
	default:
		w.Header().Set("Allow", allow)
		return e.fail(w, q, failure{code: codeMethodNotAllowed})
	}
	if e.common.CrossSite != "allow" && isCrossSite(q.Host, q.Header, q.byTrustedProxy) {
		return e.fail(w, q, failure{code: codeCrossSite})
	}

	user, err := e.identity.Identify(q.Context(), &q.asked)
	if err != nil {
		return e.reject(w, q, err)
	}
	q.user = user
	key := q.users.key(user)
	if q.Method == http.MethodDelete {
		q.evict(key)
		q.ended(outcomeEvicted, "")
		return noContent(w)
	}

	kind, clientType, bad := q.credentials.kind(q.Request)
	if bad != "" {
		return e.fail(w, q, failure{code: bad})
	}
	q.kind, q.clientType = q.variant(kind), clientType
	ask := exchange.Request{User: key, Kind: q.kind, Fresh: q.fresh(), Since: q.start, Policy: &q.credentials.policy}
	result, kept := ask.Kept(time.Now())
	if !kept {
		result = e.exchange(q, ask)
	}
	e.countLook(result)
	return e.answer(w, q, result)
}

// exchange gets a token that is not kept. From here on the request outlives its
// handler, perhaps, so it is copied: all others, which are most, take no memory
// that would have to be collected.
func (e *endpoint) exchange(q *request, ask exchange.Request) exchange.Result {
	source := *q
	ask.Source = &source
	return e.account.engine.Exchange(q.Context(), &ask)
}

// Minter implements exchange.Source.
func (q *request) Minter() exchange.Minter {
	return &minter{q.mint(q), q.endpoint, q.credentials, q.user}
}

// minter is the exchange of one user, and what is told of its end.
type minter struct {
	mint
	e           *endpoint
	credentials *credentials
	user        identity.User
}

// Mint implements exchange.Minter. If the service refuses our credentials there
// may be new ones.
func (m *minter) Mint(ctx context.Context) (*exchange.Grant, exchange.Outcome, error) {
	grant, outcome, err := m.mint.Mint(ctx)
	if err == nil || failureOf(err).code != exchange.CodeConfig {
		return grant, outcome, err
	}
	c := m.e.newer(ctx, m.credentials)
	if c == nil {
		return grant, outcome, err
	}
	m.mint = c.again(m.mint)
	return m.mint.Mint(ctx)
}

// Ended implements exchange.Minter.
func (m *minter) Ended(r exchange.Result) { m.e.logEnd(m.user, r) }

// answer answers with what came of the request.
func (e *endpoint) answer(w http.ResponseWriter, q *request, r exchange.Result) error {
	switch {
	case q.left():
		// A cache in front may give what is written now to another client.
		return canceled(w, q)
	case r.Err == nil:
		now := q.ended(r.Outcome, "")
		buf := buffers.Get().(*[]byte)
		*buf = r.Grant.AppendJSON((*buf)[:0], now)
		write(w, http.StatusOK, "application/json", *buf)
		buffers.Put(buf)
		return nil
	}
	e.logNoExchange(q.user, r.Err)
	return e.fail(w, q, failureOf(r.Err))
}

// reject answers a request that was not attributed to a user.
func (e *endpoint) reject(w http.ResponseWriter, q *request, err error) error {
	if q.left() { // while the application was asked, say
		return canceled(w, q)
	}
	countRejection(err)
	return e.fail(w, q, failureOf(err))
}

// panicked makes one failed answer of a panic, which is a mistake of ours. The
// server would log its value, which may hold anything.
func (e *endpoint) panicked(w http.ResponseWriter, q *request, v any) error {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		if !q.answered() {
			q.ended(outcomeCanceled, "")
		}
		panic(v) // how a handler lets go of a connection
	}
	e.logPanic("a request ended in a panic", &exchange.PanicError{Stack: debug.Stack()})
	if q.answered() { // half of an answer is none
		panic(http.ErrAbortHandler)
	}
	return e.fail(w, q, failure{code: codeInternal})
}

// canceled ends a request whose caller has left.
func canceled(w http.ResponseWriter, q *request) error {
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
