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

// respond writes the response for the result of an exchange or cache lookup: a token or
// an error.
func (q *Request) respond(w http.ResponseWriter, r exchange.Result) error {
	switch {
	case q.clientGone():
		// Do not write the token: a cache in front may send it to another client.
		return q.canceled(w)
	case r.Err == nil:
		now := q.finish(r.Outcome, "")
		buf := buffers.Get().(*[]byte)
		*buf = r.Token.AppendJSON((*buf)[:0], now)
		write(w, http.StatusOK, "application/json", *buf)
		buffers.Put(buf)
		return nil
	}
	q.endpoint.logNoExchange(q.User, r.Err)
	return q.fail(w, problem.Of(r.Err))
}

// evict evicts the user's tokens at all replicas, also if the client closes the
// connection meanwhile, and responds with 204. Cached refusals stay: a client must not
// be able to make the service be called again and again. If the shared store cannot be
// reached, evict logs it and responds with 204 as well.
func (q *Request) evict(w http.ResponseWriter) error {
	e := q.endpoint
	err := e.Account.Engine.EvictEverywhere(context.WithoutCancel(q.http.Context()), q.key, q.creds.Policy.Shared, false)
	if err != nil {
		e.logSampled(zapcore.WarnLevel, "", exchangeLogInterval, evictedHere, zap.Error(err))
	}
	q.finish(problem.OutcomeEvicted, "")
	return noContent(w)
}

// evictedHere is the log message of an eviction that did not reach the other replicas.
const evictedHere = "a user was evicted here only: the shared store could not be told, other replicas may hand out their token until its ttl"

// reject responds to a request whose user could not be identified.
func (q *Request) reject(w http.ResponseWriter, err error) error {
	if q.clientGone() { // for example during the call of the application (userinfo)
		return q.canceled(w)
	}
	metrics.CountRejection(err)
	return q.fail(w, problem.Of(err))
}

// fail responds with an error (RFC 9457). With the option errors caddy it returns the
// error instead, so that Caddy runs handle_errors.
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

// panicked responds to a panic with the error internal_error. v is the value of the
// panic. A panic is a bug. It must not reach the server, which would log v, and v may
// hold a secret. If v is http.ErrAbortHandler, or if the response may have been started,
// panicked panics with http.ErrAbortHandler, which aborts the response.
func (q *Request) panicked(w http.ResponseWriter, v any) error {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		if !q.responded() {
			q.finish(problem.OutcomeCanceled, "")
		}
		panic(v) // a handler aborts a response like this (net/http)
	}
	q.endpoint.logPanic("a request ended in a panic", &exchange.PanicError{Stack: debug.Stack()})
	if q.responded() { // part of the response may be sent: abort it
		panic(http.ErrAbortHandler)
	}
	return q.fail(w, problem.Error{Code: problem.Internal})
}

// canceled finishes a request whose client has closed the connection. It writes no body.
func (q *Request) canceled(w http.ResponseWriter) error {
	q.finish(problem.OutcomeCanceled, "")
	NoStore(w.Header())
	w.WriteHeader(statusClientClosedRequest) // for access logs: no client reads it
	return nil
}

// buffers is a pool of *[]byte, in which respond formats tokens.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// serverBuffer is the number of bytes of a response that Go's HTTP servers buffer. If
// the whole body fits, the server sets Content-Length, at a lower cost than a handler
// that sets it.
const serverBuffer = 2 << 10

// cacheControl is the value of Cache-Control in every response (RFC 9111, sections
// 5.2.2.5 and 5.2.2.7).
const cacheControl = "private, no-store"

// write writes a response with a body. The header values share one allocation. They are
// not shared between responses, because other handlers may change them.
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
	_, _ = w.Write(body) // ignore the error: the client closed the connection
}

// NoStore sets the headers that forbid caches to store the response, and clients to
// sniff its media type.
func NoStore(h http.Header) {
	h.Set("Cache-Control", cacheControl)
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
}

// noContent responds with 204 and no body.
func noContent(w http.ResponseWriter) error {
	NoStore(w.Header())
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// headerMark is the name of a request header that no client sends. The handler sets it on
// each request to a random value, and lists it in Vary (RFC 9110, section 12.5.5). The
// value is different for each request, because an error route may forward it to an
// upstream.
//
// It protects users from each other if a cache in front of the endpoint coalesces
// requests: such a cache forwards one of several concurrent requests and sends its
// response to the others, if they agree in the headers that Vary lists. Souin compares
// these headers after the first request was handled. The waiting requests do not have
// headerMark yet, so they do not match, and each of them is handled on its own, whichever
// part of the request its identity comes from. This works only if the cache stores the
// headers of a response: Souin 1.7.8 and older lose them if the client of the request
// closes the connection. So the documentation tells operators not to put such a cache in
// front of the endpoint.
const headerMark = "Huma-Request"

// requestHeaderPrefix is the prefix of Caddy's placeholders for request headers.
const requestHeaderPrefix = "http.request.header."

// varyOf returns the value of Vary for responses that depend on the given request headers
// and on the placeholders of the option vary. It always lists Authorization and Cookie
// first, and headerMark last. Placeholders that are not request headers are ignored.
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
	case !slices.Contains(set, e.varyHeader): // it is there if an Endpoint failed before, and this one runs in its error route
		response["Vary"] = append(slices.Clip(set), e.varyHeader)
	}
}
