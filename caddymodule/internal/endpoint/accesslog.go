package endpoint

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/metrics"
)

// accessLog holds the outcome and the user of one request, for placeholders and for
// Caddy's access logs. Both read it after the request was handled, if at all.
type accessLog struct {
	endpoint *Endpoint
	user     identity.User // zero: not identified
	outcome  *metrics.OutcomeMetrics
	code     exchange.Code // empty if the request did not fail
}

// record sets the placeholders of the request, and adds fields to its access log
// entry if the server has access logs.
func (l accessLog) record(req *Request) {
	// An Endpoint may have handled the same request before: this call may be in an
	// error route, or after a handler such as intercept. The values of the last call
	// count.
	_, again := req.repl.Get(l.endpoint.Service.outcomeKey)
	if l.code != "" || again {
		l.set(req.repl, again)
	} else {
		// Most requests compute their placeholders only when one is read: the first
		// call of Set would allocate a map of eight entries.
		req.repl.Map(l.placeholder)
	}
	if !req.logged {
		return
	}
	if extra, ok := req.http.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Inline(accessFields(l)))
	}
}

// set sets the placeholders. They take precedence over those of Map. again means that an
// Endpoint has handled the request before: then set also clears the user if there is none
// now.
func (l accessLog) set(repl *caddy.Replacer, again bool) {
	repl.Set(l.endpoint.Service.outcomeKey, l.outcome.Placeholder)
	if l.code != "" {
		repl.Set(l.endpoint.Service.codeKey, string(l.code))
	}
	if user, ok := l.placeholder(l.endpoint.Service.userKey); ok {
		repl.Set(l.endpoint.Service.userKey, user)
	} else if again {
		repl.Set(l.endpoint.Service.userKey, "")
	}
}

// placeholder implements caddy.ReplacerFunc.
func (l accessLog) placeholder(name string) (any, bool) {
	switch name {
	case l.endpoint.Service.outcomeKey:
		return l.outcome.Placeholder, true
	case l.endpoint.Service.userKey:
		return logName(l), l.user != (identity.User{})
	}
	return nil, false
}

// logName is the user of a request, formatted as the hash that identifies the user
// in logs. The hash is computed only if a placeholder or an access log needs it.
type logName accessLog

// String implements fmt.Stringer, which placeholders and access logs call.
func (n logName) String() string { return n.endpoint.LogHasher.LogName(n.user) }

// MarshalText implements encoding.TextMarshaler, which encoders call.
func (n logName) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// accessFields are the fields that the endpoint adds to the access log entry of a
// request: outcome, code if the request failed, and user if the user was identified.
type accessFields accessLog

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (f accessFields) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("outcome", string(f.outcome.Outcome))
	if f.code != "" {
		enc.AddString("code", string(f.code))
	}
	if f.user != (identity.User{}) {
		enc.AddString("user", f.endpoint.LogHasher.LogName(f.user))
	}
	return nil
}
