package caddymodule

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// maxBody is how long the body of a request may be.
const maxBody = 4 << 10

// request is one request and what has been found out about it. It stays on the
// stack unless there is an exchange.
type request struct {
	http       *http.Request
	endpoint   *endpoint
	creds      *credentials
	repl       *caddy.Replacer
	asked      identity.Request // what the identity is read from
	start      time.Time        // of our part
	user       identity.User
	key        exchange.UserKey    // names the user in caches
	kind       exchange.Kind       // of token, once it is known
	clientType exchange.ClientType // Huma's
	end        *ending             // how it ended, once it has
	logged     bool                // the server has access logs
}

func newRequest(e *endpoint, r *http.Request) request {
	ctx := r.Context()
	repl := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	srv, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	q := request{
		http: r, endpoint: e, creds: e.current.Load(),
		repl: repl, start: time.Now(), logged: srv != nil && srv.Logs != nil,
		asked: identity.Request{
			Host:         r.Host,
			Header:       r.Header,
			Placeholders: repl,
			RemoteAddr:   r.RemoteAddr,
			TLS:          r.TLS,
		},
	}
	if e.identity.AsksServer() {
		q.asked.TrustedProxy = q.byTrustedProxy()
	}
	return q
}

// ended leaves behind how the request ended, and counts it. Every request ends
// once, before it is answered. It returns when that was: a hit pays for no
// further look at the clock.
func (q *request) ended(outcome exchange.Outcome, code exchange.Code) time.Time {
	now := time.Now()
	q.end = q.endpoint.meters.ending(outcome)
	q.end.ended(now.Sub(q.start))
	trail{q.endpoint, q.user, q.end}.leave(q, code)
	return now
}

// answered reports whether the answer has begun.
func (q *request) answered() bool { return q.end != nil }

// left reports whether the caller has left.
func (q *request) left() bool { return q.http.Context().Err() != nil }

// names returns the user's first and last name.
func (q *request) names() (first, last masked.String) {
	return q.endpoint.identity.Names(q.http.Context(), &q.asked)
}

// clientIP returns the client's address as Caddy's server knows it.
func (q *request) clientIP() string {
	ip, _ := caddyhttp.GetVar(q.http.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

// byTrustedProxy reports whether the direct peer is one of the server's
// trusted_proxies.
func (q *request) byTrustedProxy() bool {
	trusted, _ := caddyhttp.GetVar(q.http.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}

// fresh reports whether a token past the cache is asked for, and may be.
func (q *request) fresh() bool { return q.endpoint.common.NoCache != "ignore" && q.wantsFresh() }

// wantsFresh reports whether the request asks for a token past the cache:
// Cache-Control: no-cache (RFC 9111, 5.2.1.4).
func (q *request) wantsFresh() bool {
	for _, line := range q.http.Header["Cache-Control"] {
		for directive := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(directive), "no-cache") {
				return true
			}
		}
	}
	return false
}

// errClientTypes stands for two client types in one request.
var (
	errClientTypes = errors.New("two client types")
	errBody        = errors.New("unusable body")
)

// namedClientType finds the client type that the request names: in the query,
// and with POST in the body. It is empty if there is none.
func namedClientType(r *http.Request) (exchange.ClientType, error) {
	var named namedType
	if err := named.query(r.URL.RawQuery); err != nil {
		return "", err
	}
	if r.Method == http.MethodPost {
		if err := named.body(r); err != nil {
			return "", err
		}
	}
	return named.value, nil
}

// namedType collects the client type from the places where it may stand. All
// of them have to agree.
type namedType struct{ value exchange.ClientType }

// isClientType reports whether a parameter is the client type.
func isClientType(name string) bool { return name == "client_type" || name == "clientType" }

func (n *namedType) add(v string) error {
	if v == "" {
		return nil
	}
	kind := knownType(v)
	if kind == "" || n.value != "" && n.value != kind {
		return errClientTypes
	}
	n.value = kind
	return nil
}

// knownType finds a client type whatever its case; empty if there is none.
func knownType(v string) exchange.ClientType {
	for _, kind := range clientTypes {
		if len(kind) == len(v) && strings.EqualFold(kind, v) {
			return exchange.ClientType(kind)
		}
	}
	return ""
}

// query looks through a query or form without making a map of it: this is on
// the way of every request.
func (n *namedType) query(raw string) error {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		if strings.IndexByte(pair, '%') >= 0 || strings.IndexByte(pair, '+') >= 0 {
			var err1, err2 error
			name, err1 = url.QueryUnescape(name)
			value, err2 = url.QueryUnescape(value)
			switch {
			case err1 != nil:
				continue // as net/url does
			case isClientType(name) && err2 != nil:
				return errClientTypes
			}
		}
		if !isClientType(name) {
			continue
		}
		if err := n.add(value); err != nil {
			return err
		}
	}
	return nil
}

// body reads a form or a JSON object.
func (n *namedType) body(r *http.Request) error {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil || len(b) > maxBody:
		return errBody
	case len(b) == 0:
		return nil
	}
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case contentType == "application/x-www-form-urlencoded":
		return n.query(string(b))
	case contentType == "application/json" || strings.HasSuffix(contentType, "+json"):
		return n.json(b)
	}
	return errBody
}

// json reads a JSON object member by member: a map would keep the last of two
// that have one name.
func (n *namedType) json(b []byte) error {
	if !json.Valid(b) { // and nothing behind it
		return errBody
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if open, _ := dec.Token(); open != json.Delim('{') {
		return errBody
	}
	for dec.More() {
		name, _ := dec.Token() // the text is valid: there are no errors any more
		var raw json.RawMessage
		_ = dec.Decode(&raw)
		if name, _ := name.(string); !isClientType(name) {
			continue
		}
		var v *string
		switch {
		case json.Unmarshal(raw, &v) != nil:
			return errBody
		case v == nil:
			continue
		}
		if err := n.add(*v); err != nil {
			return err
		}
	}
	return nil
}

// registrationOf is a registration whose sign-ups are told as the user's.
func (q *request) registrationOf(r exchange.Registration) exchange.Registration {
	e, user, ended := q.endpoint, q.user, r.Ended
	r.Refused = q.creds.policy.NegativeTTL
	r.Ended = func(result exchange.SignUpResult) {
		ended(result)
		if result == exchange.SignUpCreated {
			e.emitRegistered(user)
		}
	}
	return r
}

// variant is a kind of token, told apart by what the option vary names.
func (q *request) variant(kind string) exchange.Kind {
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
