package endpoint

import (
	"cmp"
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/routes"
)

// logResult logs the result of an exchange. It is called once per exchange, even if several
// requests waited for it. It also passes the result to the dry run, if this is one, and
// sets succeeded if there is a token.
func (e *Endpoint) logResult(user identity.User, r exchange.Result) {
	e.DryRun.setResult(r)
	if r.CacheErr != nil {
		e.logPanic("token not cached", r.CacheErr)
	}
	if r.Err == nil {
		e.succeeded.Store(true)
		level := zapcore.DebugLevel
		if r.Outcome == exchange.OutcomeRegistered {
			level = zapcore.InfoLevel
		}
		if e.logger.Core().Enabled(level) {
			e.Log(level, "token issued", zap.String("outcome", string(r.Outcome)), e.userField(user))
		}
		return
	}
	code := problem.Of(r.Err).Code
	level, fields := e.severity(code, r.Err), []zap.Field{
		zap.String("code", string(code)), e.userField(user), zap.Error(r.Err),
	}
	explanation, known := problem.Explain(r.Err)
	if known {
		fields = append(fields, zap.String("meaning", explanation.Meaning()))
	}
	if !e.succeeded.Load() && explanation.Fix == "" && (code == exchange.CodeRefused || code == exchange.CodeConfig) {
		level = zapcore.ErrorLevel
		fields = append(fields, zap.String("hint", e.Service.RefusalHint))
	}
	if stack := stackOf(r.Err); stack != nil {
		e.Log(zapcore.ErrorLevel, messageExchangeFailed, append(fields, zap.ByteString("stack", stack))...)
		return
	}
	e.logSampled(level, string(code), exchangeLogInterval, messageExchangeFailed, fields...)
}

// messageExchangeFailed is the log message of a failed exchange.
const messageExchangeFailed = "token exchange failed"

// The intervals of logSampled: at most one message of a kind is logged per interval.
const (
	exchangeLogInterval  = time.Second
	rejectionLogInterval = 10 * time.Second
)

// logSampled logs a message that any request can trigger. The first message of a kind
// within the interval every is logged at its level, with the number of messages
// suppressed since the previous one (field suppressed). The others are logged at debug
// level. Messages are counted per message and kind.
func (e *Endpoint) logSampled(level zapcore.Level, kind string, every time.Duration, message string, fields ...zap.Field) {
	if level > zapcore.DebugLevel {
		suppressed, ok := e.samples.Allow(message+" "+kind, every)
		switch {
		case !ok:
			level = zapcore.DebugLevel
		case suppressed > 0:
			fields = append(fields, zap.Int("suppressed", suppressed))
		}
	}
	e.Log(level, message, fields...)
}

// Log logs a message with the name of the directive in the field handler.
func (e *Endpoint) Log(level zapcore.Level, message string, fields ...zap.Field) {
	if c := e.logger.Check(level, message); c != nil {
		c.Write(append(fields, zap.String("handler", e.Name()))...)
	}
}

// Name returns the name of the directive by host and path, such as
// "huma_token app.example.com/private/huma-token". The commands name it the same. It is
// computed at its first use after the config has started. Before that, and if the
// directive is in the routes of a third-party module, Name returns the name of the
// directive alone.
func (e *Endpoint) Name() string {
	if name := e.name.Load(); name != nil {
		return *name
	}
	name, app := e.Service.Directive, e.app.Load()
	if app == nil {
		return name
	}
	names := make(routes.Names)
	routes.Walk(app, func(p routes.Place, h caddyhttp.MiddlewareHandler) {
		switch m, ok := h.(caddy.Module); {
		case !ok || m.CaddyModule().ID.Name() != e.Service.Directive:
		case any(h) == e.handler:
			name = names.Unique(p.Name(e.Service.Directive))
		default:
			names.Unique(p.Name(e.Service.Directive))
		}
	})
	e.name.Store(&name)
	return name
}

// logPanic logs a panic, which is a bug, with its stack. It does not log the value of
// the panic, which may hold a secret.
func (e *Endpoint) logPanic(message string, err error) {
	e.Log(zapcore.ErrorLevel, message, zap.Error(err), zap.ByteString("stack", stackOf(err)))
}

// stackOf returns the stack of the panic that err wraps, or nil if err wraps no
// *exchange.PanicError.
func stackOf(err error) []byte {
	var panicked *exchange.PanicError
	if errors.As(err, &panicked) {
		return panicked.Stack
	}
	return nil
}

// severity returns the log level of a failed exchange: error if the operator has to fix
// something, warning if the failure is temporary, info if the service decided it.
func (e *Endpoint) severity(code exchange.Code, err error) zapcore.Level {
	var open *exchange.BreakerOpenError
	switch {
	case errors.As(err, &open):
		return zapcore.DebugLevel // the breaker has logged that it opened
	case code == exchange.CodeRefused, code == exchange.CodeNotRegistered, code == exchange.CodeConnectUnavailable:
		return zapcore.InfoLevel
	case code == exchange.CodeConfig || code == exchange.CodeRejected || code == exchange.CodeBadResponse:
		return zapcore.ErrorLevel
	}
	return zapcore.WarnLevel
}

// logNoExchange logs that a request failed without the result of an exchange: the limits
// rejected it, or its timeout passed. It ignores all other errors, which
// logResult logs.
func (e *Endpoint) logNoExchange(user identity.User, err error) {
	switch {
	case errors.Is(err, exchange.ErrUserOverloaded):
		e.logSampled(zapcore.WarnLevel, "user", exchangeLogInterval, "request rejected: too many concurrent exchanges for one user", zap.Error(err), e.userField(user))
	case errors.Is(err, exchange.ErrWaitedTooLong):
		e.logSampled(zapcore.WarnLevel, "timeout", exchangeLogInterval, "request timed out before the token exchange finished", zap.Error(err), e.userField(user))
	case problem.Of(err).Code == exchange.CodeOverloaded:
		e.logSampled(zapcore.WarnLevel, "", exchangeLogInterval, "request rejected: too many concurrent exchanges", zap.Error(err))
	}
}

// logRejection logs that a request was rejected. The log has details for the operator
// that the response does not have.
func (e *Endpoint) logRejection(failure problem.Error) {
	e.logSampled(zapcore.WarnLevel, string(failure.Code), rejectionLogInterval, "request rejected",
		zap.String("reason", string(failure.Code)), zap.String("detail", cmp.Or(failure.Hint, failure.Detail)))
}

// logUserinfoError logs why the application could not identify the user.
func (e *Endpoint) logUserinfoError(err error) {
	e.logSampled(zapcore.WarnLevel, "", exchangeLogInterval, "userinfo request failed", zap.Error(err))
}

// logAuthServerError logs why the auth server could not identify the user.
func (e *Endpoint) logAuthServerError(err error) {
	e.logSampled(zapcore.WarnLevel, "", exchangeLogInterval, "auth server request failed", zap.Error(err))
}

// LogRefreshTokenError logs that a refresh token was not saved.
func (e *Endpoint) LogRefreshTokenError(err error) {
	e.logSampled(zapcore.WarnLevel, "", exchangeLogInterval, "cannot save refresh token", zap.Error(err))
}

// userField returns a log field that identifies the user by a keyed hash.
func (e *Endpoint) userField(user identity.User) zap.Field {
	return zap.String("user", e.LogHasher.LogName(user))
}
