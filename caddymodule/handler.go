// Package caddymodule is the Caddy plugin: the directive huma_token, which
// answers signed-in users with tokens of Huma.
package caddymodule

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

func init() { caddy.RegisterModule((*HumaToken)(nil)) }

// CaddyModule returns the Caddy module information.
func (*HumaToken) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.huma_token",
		New: func() caddy.Module { return new(HumaToken) },
	}
}

// allow lists the methods that the endpoint knows. HEAD is none of them: it
// would sign people in.
const allow = "GET, POST, DELETE, OPTIONS"

// statusClientClosedRequest is what access logs show of a caller who left.
const statusClientClosedRequest = 499

// ServeHTTP is the way of a request: who is asking, for which client type, and
// then the token that is kept or a new one. It never calls next: whatever is
// asked of this path, this handler answers.
func (h *HumaToken) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	q := newRequest(h, r)
	switch r.Method {
	case http.MethodGet, http.MethodPost, http.MethodDelete:
	case http.MethodOptions:
		w.Header().Set("Allow", allow)
		return noContent(w)
	default:
		w.Header().Set("Allow", allow)
		return h.fail(w, q, failure{code: codeMethodNotAllowed})
	}
	if h.CrossSite != "allow" && q.crossSite() {
		return h.fail(w, q, failure{code: codeCrossSite})
	}

	user, err := h.identity.Identify(r.Context(), &q.asked)
	if err != nil {
		return h.reject(w, q, err)
	}
	q.signedIn(user)
	key := h.users.key(user)
	if r.Method == http.MethodDelete {
		h.account.engine.Forget(key)
		q.ended(outcomeEvicted, "")
		return noContent(w)
	}

	bad := h.clientType(q)
	if bad != "" {
		return h.fail(w, q, failure{code: bad})
	}
	result := h.account.engine.Get(r.Context(), &exchange.Request{
		User:   key,
		Kind:   h.kind(q),
		Fresh:  h.NoCache != "ignore" && q.wantsFresh(),
		Source: q,
		Policy: &h.policy,
	})
	return h.answer(w, q, result)
}

// clientType decides for which client type the request is. It returns the code
// of what is wrong with it, if anything.
func (h *HumaToken) clientType(q *request) exchange.Code {
	kind, err := q.namedClientType()
	switch {
	case errors.Is(err, errBody):
		return codeBodyInvalid
	case err != nil:
		return codeClientTypeUnknown
	}
	if kind == "" {
		if kind = h.fallback; kind == "" {
			return codeClientTypeRequired
		}
	}
	if h.clients[kind] == "" {
		return codeClientTypeUnknown
	}
	q.clientType = kind
	return ""
}

// Minter implements exchange.Source: it makes the exchange while the request
// is there, and the exchange runs without it.
func (q *request) Minter() exchange.Minter {
	h := q.h
	first, last := h.identity.Names(q.Context(), &q.asked)
	ip, _ := caddyhttp.GetVar(q.Context(), caddyhttp.ClientIPVarKey).(string)
	return &minter{
		h:    h,
		user: q.user,
		Login: exchange.Login{
			Huma:          h.client,
			Registrations: registrations,
			Registration:  h.registration,
			User:          h.signUps.key(q.user),
			Person: exchange.Person{
				Email:      q.user.Email,
				FirstName:  first,
				LastName:   last,
				ClientIP:   ip,
				ClientType: q.clientType,
			},
		},
	}
}

// minter is the exchange of one user, and the log line about its end.
type minter struct {
	exchange.Login
	h    *HumaToken
	user identity.User
}

// Ended implements exchange.Minter.
func (m *minter) Ended(r exchange.Result) { m.h.logEnd(m.user, r) }

// answer answers with what came of the request.
func (h *HumaToken) answer(w http.ResponseWriter, q *request, r exchange.Result) error {
	switch {
	case r.Err == nil:
		q.ended(r.Outcome, "")
		buf := buffers.Get().(*[]byte)
		*buf = r.Grant.AppendJSON((*buf)[:0], time.Now())
		write(w, http.StatusOK, "application/json", *buf)
		buffers.Put(buf)
		return nil
	case q.left():
		return canceled(w, q)
	}
	h.logOverload(r.Err)
	return h.fail(w, q, failureOf(r.Err))
}

// reject answers a request that was not attributed to a user.
func (h *HumaToken) reject(w http.ResponseWriter, q *request, err error) error {
	if q.left() { // while the application was asked, say
		return canceled(w, q)
	}
	h.logRejection(err)
	return h.fail(w, q, failureOf(err))
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

// write answers with a body. The values of its headers share one allocation;
// they are not shared between answers, because other handlers may change them.
func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	values := [...]string{"no-store", "no-cache", "nosniff", contentType, strconv.Itoa(len(body))}
	h := w.Header()
	h["Cache-Control"] = values[0:1:1]
	h["Pragma"] = values[1:2:2]
	h["X-Content-Type-Options"] = values[2:3:3]
	h["Content-Type"] = values[3:4:4]
	h["Content-Length"] = values[4:5:5]
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller who has left is no error of ours
}

// noStore keeps everybody from storing or sniffing the answer.
func noStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
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
	_ caddy.Module                = (*HumaToken)(nil)
	_ caddy.Provisioner           = (*HumaToken)(nil)
	_ caddy.CleanerUpper          = (*HumaToken)(nil)
	_ caddyfile.Unmarshaler       = (*HumaToken)(nil)
	_ caddyhttp.MiddlewareHandler = (*HumaToken)(nil)
	_ exchange.Minter             = (*minter)(nil)
	_ exchange.Source             = (*request)(nil)
)
