package endpoint

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/metrics"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
)

// respond responds with a token, or with the error of its exchange.
func (q *Request) respond(w http.ResponseWriter, r exchange.Result) error {
	switch {
	case q.clientGone():
		// A cache in front may give what is written now to another client.
		return q.canceled(w)
	case r.Err == nil:
		now := q.finish(r.Outcome, "")
		buf := buffers.Get().(*[]byte)
		*buf = r.Grant.AppendJSON((*buf)[:0], now)
		write(w, http.StatusOK, "application/json", *buf)
		buffers.Put(buf)
		return nil
	}
	q.endpoint.logNoExchange(q.User, r.Err)
	return q.fail(w, problem.Of(r.Err))
}

// evict drops the user's tokens at all replicas, also if the client does not wait
// for it, and responds without a body.
func (q *Request) evict(w http.ResponseWriter) error {
	e := q.endpoint
	err := e.Account.Engine.Evict(context.WithoutCancel(q.http.Context()), q.key, q.creds.Policy.Shared, false)
	if err != nil {
		e.logSampled(zapcore.WarnLevel, "", exchangeLogInterval, evictedHere, zap.Error(err))
	}
	q.finish(problem.OutcomeEvicted, "")
	return noContent(w)
}

// evictedHere is what logs say when the others do not know it.
const evictedHere = "a user was evicted here only: the shared store could not be told, other replicas may hand out their token until its ttl"

// reject responds to a request whose user is not known.
func (q *Request) reject(w http.ResponseWriter, err error) error {
	if q.clientGone() { // while the application was asked, say
		return q.canceled(w)
	}
	metrics.CountRejection(err)
	return q.fail(w, problem.Of(err))
}

// fail responds with an error, or leaves it to handle_errors.
func (q *Request) fail(w http.ResponseWriter, f problem.Error) error {
	e := q.endpoint
	f.Kind = problem.Lookup(f.Code, e.Service.Details)
	q.finish(f.Outcome, f.Code)
	if f.Outcome == problem.OutcomeRejected {
		e.logRejection(f)
	}
	NoStore(w.Header())
	f.SetHeaders(w.Header())
	if e.delegateErrors {
		return caddyhttp.Error(f.Status, f)
	}
	write(w, f.Status, "application/problem+json", f.JSON())
	return nil
}

// panicked makes one failed answer of a panic, which is a mistake of ours. The
// server would log its value, which may hold anything.
func (q *Request) panicked(w http.ResponseWriter, v any) error {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		if !q.responded() {
			q.finish(problem.OutcomeCanceled, "")
		}
		panic(v) // how a handler lets go of a connection
	}
	q.endpoint.logPanic("a request ended in a panic", &exchange.PanicError{Stack: debug.Stack()})
	if q.responded() { // half of an answer is none
		panic(http.ErrAbortHandler)
	}
	return q.fail(w, problem.Error{Code: problem.Internal})
}

// canceled ends a request whose client has left.
func (q *Request) canceled(w http.ResponseWriter) error {
	q.finish(problem.OutcomeCanceled, "")
	NoStore(w.Header())
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

// NoStore keeps everybody from storing or sniffing the answer.
func NoStore(h http.Header) {
	h.Set("Cache-Control", cacheControl)
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
}

// noContent answers without a body.
func noContent(w http.ResponseWriter) error {
	NoStore(w.Header())
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// headerMark is the name of a request header that no client sends. The handler
// sets it on each request to a random value, and names it in Vary (RFC 9110,
// section 12.5.5). The value is another one for each request, because an error
// route may pass it on to an upstream.
//
// A cache may let one of several concurrent requests through and answer the
// others with its response, if they have the same headers of those that Vary
// names. Souin compares them after the first request was handled: requests that
// have not been handled lack this value, so each of them is handled by itself,
// whatever its identity is made of. This protects only as long as the cache keeps
// the headers of a response: Souin 1.7.8 and older lose those of a request whose
// client leaves. So the documentation tells operators to keep such a cache away
// from the endpoint.
const headerMark = "Huma-Request"

// requestHeaderPrefix begins the placeholders of request headers.
const requestHeaderPrefix = "http.request.header."

// varyOf returns the value of Vary for responses that depend on the given
// request headers and on what the option vary names.
func varyOf(headers, placeholders []string) string {
	names := []string{"Authorization", "Cookie"}
	add := func(name string) {
		if name = http.CanonicalHeaderKey(name); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range headers {
		add(name)
	}
	for _, placeholder := range placeholders {
		if name, ok := strings.CutPrefix(placeholder, requestHeaderPrefix); ok {
			add(name)
		}
	}
	slices.Sort(names[2:])
	return strings.Join(append(names, headerMark), ", ")
}

// setVary adds Vary to a response and sets headerMark on its request.
func (e *Endpoint) setVary(response http.Header, request http.Header) {
	values := [...]string{e.varyHeader, strconv.FormatUint(rand.Uint64(), 36)} // one allocation for both
	request[headerMark] = values[1:2:2]
	switch set := response["Vary"]; {
	case len(set) == 0:
		response["Vary"] = values[0:1:1]
	case !slices.Contains(set, e.varyHeader): // another of these handlers may have failed before, and left it to an error route
		response["Vary"] = append(slices.Clip(set), e.varyHeader)
	}
}
