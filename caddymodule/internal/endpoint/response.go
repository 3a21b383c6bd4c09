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
func (req *Request) respond(w http.ResponseWriter, r exchange.Result) error {
	switch {
	case req.clientGone():
		// Do not write the token: a cache in front may send it to another client.
		return req.canceled(w)
	case r.Err == nil:
		now := req.finish(r.Outcome, "")
		buf := buffers.Get().(*[]byte)
		*buf = r.Token.AppendJSON((*buf)[:0], now)
		write(w, http.StatusOK, "application/json", *buf)
		buffers.Put(buf)
		return nil
	}
	req.endpoint.logNoExchange(req.User, r.Err)
	return req.fail(w, problem.Of(r.Err))
}

// evict evicts the user's tokens at all replicas, also if the client closes the
// connection meanwhile, and responds with 204. Cached refusals stay: a client must not
// be able to make the service be called again and again. If the shared store cannot be
// reached, evict logs it and responds with 204 as well.
func (req *Request) evict(w http.ResponseWriter) error {
	e := req.endpoint
	err := e.Account.Engine.EvictEverywhere(context.WithoutCancel(req.http.Context()), req.key, req.creds.Policy.Shared, false)
	if err != nil {
		e.logSampled(zapcore.WarnLevel, "", exchangeLogInterval, messageEvictedLocally, zap.Error(err))
	}
	req.finish(problem.OutcomeEvicted, "")
	return noContent(w)
}

// messageEvictedLocally is the log message of an eviction that did not reach the other
// replicas.
const messageEvictedLocally = "user evicted in this process only: the shared store is unavailable, and other replicas may return the cached token until its ttl expires"

// reject responds to a request whose user could not be identified.
func (req *Request) reject(w http.ResponseWriter, err error) error {
	if req.clientGone() { // for example during the call of the application (userinfo)
		return req.canceled(w)
	}
	metrics.CountRejection(err)
	return req.fail(w, problem.Of(err))
}

// fail responds with an error (RFC 9457). With the option errors caddy it returns the
// error instead, so that Caddy runs handle_errors.
func (req *Request) fail(w http.ResponseWriter, failure problem.Error) error {
	e := req.endpoint
	failure.Kind = problem.Lookup(failure.Code, e.Service.Details)
	req.finish(failure.Outcome, failure.Code)
	if failure.Outcome == problem.OutcomeRejected {
		e.logRejection(failure)
	}
	NoStore(w.Header())
	failure.SetHeaders(w.Header())
	if e.delegateErrors {
		return caddyhttp.Error(failure.Status, failure)
	}
	write(w, failure.Status, "application/problem+json", failure.JSON())
	return nil
}

// panicked responds to a panic with the error internal_error. v is the value of the
// panic. A panic is a bug. It must not reach the server, which would log v, and v may
// hold a secret. If v is http.ErrAbortHandler, or if the response may have been started,
// panicked panics with http.ErrAbortHandler, which aborts the response.
func (req *Request) panicked(w http.ResponseWriter, v any) error {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		if !req.responded() {
			req.finish(problem.OutcomeCanceled, "")
		}
		panic(v) // a handler aborts a response like this (net/http)
	}
	req.endpoint.logPanic("panic while serving a request", &exchange.PanicError{Stack: debug.Stack()})
	if req.responded() { // part of the response may be sent: abort it
		panic(http.ErrAbortHandler)
	}
	return req.fail(w, problem.Error{Code: problem.Internal})
}

// canceled finishes a request whose client has closed the connection. It writes no body.
func (req *Request) canceled(w http.ResponseWriter) error {
	req.finish(problem.OutcomeCanceled, "")
	NoStore(w.Header())
	w.WriteHeader(statusClientClosedRequest) // for access logs: no client reads it
	return nil
}

// buffers is a pool of *[]byte, in which respond formats tokens. Without it, a server
// responds to 5 % fewer requests for cached tokens per second (cmd/bench).
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// serverBuffer is the number of bytes of a response that Go's HTTP servers buffer. If
// the whole body fits, the server sets Content-Length, at a lower cost than a handler
// that sets it.
const serverBuffer = 2 << 10

// cacheControl is the value of Cache-Control in every response (RFC 9111, sections
// 5.2.2.5 and 5.2.2.7).
const cacheControl = "private, no-store"

// write writes a response with a body. The header values share one allocation, so that a
// cache hit makes at most six. They are not shared between responses, because other
// handlers may change them.
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

// headersOf returns the canonical names of the request headers among the placeholders of
// the option vary.
func headersOf(placeholders []string) (headers []string) {
	for _, placeholder := range placeholders {
		if name, ok := strings.CutPrefix(placeholder, requestHeaderPrefix); ok {
			headers = append(headers, http.CanonicalHeaderKey(name))
		}
	}
	return headers
}

// varyOf returns the value of Vary for responses that depend on the given request
// headers. It always lists Authorization and Cookie first, and headerMark last.
func varyOf(headers []string) string {
	names := []string{"Authorization", "Cookie"}
	for _, name := range headers {
		if !slices.Contains(names, name) {
			names = append(names, name)
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
