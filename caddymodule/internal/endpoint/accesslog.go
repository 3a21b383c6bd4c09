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

// accessLog is what a request leaves behind for placeholders and access logs, which
// are asked once it has been handled, if at all.
type accessLog struct {
	endpoint *Endpoint
	user     identity.User
	end      *metrics.OutcomeMetrics
}

// record leaves it behind.
func (t accessLog) record(q *Request, code exchange.Code) {
	// An error route or a handler like intercept may make the second of us that
	// answers a request: what the last one leaves behind counts.
	vars, _ := q.http.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	_, again := vars[t.endpoint.Service.outcomeKey]
	if vars != nil {
		vars[t.endpoint.Service.outcomeKey] = t.end.Placeholder
	}
	if code != "" || again {
		t.set(q.repl, code, again)
	} else {
		// Those of most requests are found when somebody asks for them: the first
		// placeholder that is set makes a map of eight.
		q.repl.Map(t.placeholder)
	}
	if !q.logged {
		return
	}
	if extra, ok := q.http.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Inline(accessFields(t)))
	}
}

// set sets the placeholders, which win over those that are mapped.
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

// placeholder is a caddy.ReplacerFunc.
func (t accessLog) placeholder(name string) (any, bool) {
	switch name {
	case t.endpoint.Service.outcomeKey:
		return t.end.Placeholder, true
	case t.endpoint.Service.userKey:
		return shortName(t), t.user != (identity.User{})
	}
	return nil, false
}

// shortName is a request's user by the name that logs have. It is only made if
// somebody asks for it.
type shortName accessLog

// String implements fmt.Stringer, which placeholders and access logs ask.
func (n shortName) String() string { return n.endpoint.LogHasher.LogName(n.user) }

// MarshalText implements encoding.TextMarshaler, for encoders.
func (n shortName) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// accessFields are what access logs are told of a request besides what they
// tell of all.
type accessFields accessLog

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (f accessFields) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("outcome", string(f.end.Outcome))
	if f.user != (identity.User{}) {
		enc.AddString("user", f.endpoint.LogHasher.LogName(f.user))
	}
	return nil
}
