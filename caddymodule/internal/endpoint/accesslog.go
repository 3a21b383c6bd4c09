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
	end      *metrics.OutcomeMetrics
}

// record sets the placeholders of the request, and adds fields to its access log
// entry if the server has access logs. code is empty if the request did not fail.
func (t accessLog) record(q *Request, code exchange.Code) {
	// An Endpoint may have handled the same request before: this call may be in an
	// error route, or after a handler such as intercept. The values of the last call
	// count.
	vars, _ := q.http.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	_, again := vars[t.endpoint.Service.outcomeKey]
	if vars != nil {
		vars[t.endpoint.Service.outcomeKey] = t.end.Placeholder
	}
	if code != "" || again {
		t.set(q.repl, code, again)
	} else {
		// Most requests compute their placeholders only when one is read: the first
		// call of Set would allocate a map of eight entries.
		q.repl.Map(t.placeholder)
	}
	if !q.logged {
		return
	}
	if extra, ok := q.http.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Inline(accessFields(t)))
	}
}

// set sets the placeholders. They take precedence over those of Map. again means that an
// Endpoint has handled the request before: then set also clears the user if there is none
// now.
func (t accessLog) set(repl *caddy.Replacer, code exchange.Code, again bool) {
	repl.Set(t.endpoint.Service.outcomeKey, t.end.Placeholder)
	if code != "" {
		repl.Set(t.endpoint.Service.codeKey, string(code))
	}
	if user, ok := t.placeholder(t.endpoint.Service.userKey); ok {
		repl.Set(t.endpoint.Service.userKey, user)
	} else if again {
		repl.Set(t.endpoint.Service.userKey, "")
	}
}

// placeholder implements caddy.ReplacerFunc.
func (t accessLog) placeholder(name string) (any, bool) {
	switch name {
	case t.endpoint.Service.outcomeKey:
		return t.end.Placeholder, true
	case t.endpoint.Service.userKey:
		return shortName(t), t.user != (identity.User{})
	}
	return nil, false
}

// shortName is the user of a request, formatted as the hash that identifies the user
// in logs. The hash is computed only if a placeholder or an access log needs it.
type shortName accessLog

// String implements fmt.Stringer, which placeholders and access logs call.
func (n shortName) String() string { return n.endpoint.LogHasher.LogName(n.user) }

// MarshalText implements encoding.TextMarshaler, which encoders call.
func (n shortName) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// accessFields are the fields that the endpoint adds to the access log entry of a
// request: outcome, and user if the user was identified.
type accessFields accessLog

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (f accessFields) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("outcome", string(f.end.Outcome))
	if f.user != (identity.User{}) {
		enc.AddString("user", f.endpoint.LogHasher.LogName(f.user))
	}
	return nil
}
