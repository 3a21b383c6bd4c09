package caddymodule

import (
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// trail is what a request leaves behind for placeholders and access logs, which
// are asked once it has been handled, if at all.
type trail struct {
	*endpoint
	user identity.User
	end  *ending
}

// errorsLeft says that a failure was left to error routes, of whatever config: in
// such a request placeholders may be set when the next handler answers it.
var errorsLeft atomic.Bool

// leave leaves it behind. A failed request's placeholders are set, because error
// routes may make another one of it. Those of the others, which are most, are found
// when somebody asks for them: the first placeholder that is set makes a map of eight.
func (t trail) leave(q *request, code exchange.Code) {
	if code == "" {
		if errorsLeft.Load() { // what is set would win
			q.repl.Delete(t.outcomeKey)
			q.repl.Delete(t.userKey)
		}
		q.repl.Map(t.placeholder)
	} else {
		if t.common.leavesErrors() {
			errorsLeft.Store(true)
		}
		q.repl.Set(t.codeKey, string(code))
		q.repl.Set(t.outcomeKey, t.end.placeholder)
		if user, ok := t.placeholder(t.userKey); ok {
			q.repl.Set(t.userKey, user)
		}
	}
	if !q.logged {
		return
	}
	if extra, ok := q.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Inline(accessFields(t)))
	}
}

// placeholder is a caddy.ReplacerFunc.
func (t trail) placeholder(name string) (any, bool) {
	switch name {
	case t.outcomeKey:
		return t.end.placeholder, true
	case t.userKey:
		return shortName(t), t.user != (identity.User{})
	}
	return nil, false
}

// shortName is a request's user by the name that logs have. It is only made if
// somebody asks for it.
type shortName trail

// String implements fmt.Stringer, which placeholders and access logs ask.
func (n shortName) String() string { return n.names.short(n.user) }

// MarshalText implements encoding.TextMarshaler, for encoders.
func (n shortName) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// accessFields are what access logs are told of a request besides what they
// tell of all.
type accessFields trail

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (f accessFields) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("outcome", string(f.end.outcome))
	if f.user != (identity.User{}) {
		enc.AddString("user", f.names.short(f.user))
	}
	return nil
}
