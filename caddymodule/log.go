package caddymodule

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// logEnd logs how an exchange ended, once for all who waited for it.
func (e *endpoint) logEnd(user identity.User, r exchange.Result) {
	e.rehearsal.end(r)
	if r.NotKept != nil {
		e.logPanic("a token was not kept", r.NotKept)
	}
	if r.Err == nil {
		e.succeeded.Store(true)
		level := zapcore.DebugLevel
		if r.Outcome == exchange.OutcomeRegistered {
			level = zapcore.InfoLevel
		}
		if c := e.logger.Check(level, "token granted"); c != nil {
			c.Write(zap.String("outcome", string(r.Outcome)), e.userField(user))
		}
		return
	}
	code := failureOf(r.Err).code
	level, fields := e.severity(code, r.Err), []zap.Field{
		zap.String("code", string(code)), e.userField(user), zap.Error(r.Err),
	}
	if !e.succeeded.Load() && (code == exchange.CodeRefused || code == exchange.CodeConfig) {
		level = zapcore.ErrorLevel
		fields = append(fields, zap.String("hint", e.refusalHint))
	}
	if stack := stackOf(r.Err); stack != nil {
		level = zapcore.ErrorLevel
		fields = append(fields, zap.ByteString("stack", stack))
	}
	if c := e.logger.Check(level, "no token granted"); c != nil {
		c.Write(fields...)
	}
}

// logPanic logs a mistake of ours, without the panic's value: it may hold
// anything.
func (e *endpoint) logPanic(message string, err error) {
	e.logger.Error(message, zap.Error(err), zap.ByteString("stack", stackOf(err)))
}

// stackOf is where an error that was a panic comes from, nil if it was none.
func stackOf(err error) []byte {
	var panicked *exchange.PanicError
	if errors.As(err, &panicked) {
		return panicked.Stack
	}
	return nil
}

// severity is how loud a failed exchange is: what the operator must mend is an
// error, what passes is a warning, what the service decides is information.
func (e *endpoint) severity(code exchange.Code, err error) zapcore.Level {
	var open *exchange.OpenError
	switch {
	case errors.As(err, &open):
		return zapcore.DebugLevel // the breaker has said so
	case code == exchange.CodeRefused, code == exchange.CodeNotRegistered, code == exchange.CodeConnectUnavailable:
		return zapcore.InfoLevel
	case code == exchange.CodeConfig || code == exchange.CodeRejected || code == exchange.CodeBadResponse:
		return zapcore.ErrorLevel
	case code == exchange.CodeRegistrationLimited:
		return e.thinned()
	}
	return zapcore.WarnLevel
}

// thinned returns warning at most once a second, and debug in between, for
// lines that every request could write.
func (e *endpoint) thinned() zapcore.Level {
	got := zapcore.DebugLevel
	e.loud.Do(func() { got = zapcore.WarnLevel })
	return got
}

// logOverload logs that a request was turned away before there was an exchange.
func (e *endpoint) logOverload(err error) {
	if failureOf(err).code != exchange.CodeOverloaded {
		return
	}
	if c := e.logger.Check(e.thinned(), "requests turned away"); c != nil {
		c.Write(zap.Error(err))
	}
}

// logRejection logs a request without a usable identity. Mistakes of the
// config show as warnings, each once.
func (e *endpoint) logRejection(err error) {
	switch {
	case errors.Is(err, identity.ErrNoAuthentication), errors.Is(err, identity.ErrNoForwardAuth):
		e.warnings.noAuthentication.Do(func() {
			e.logger.Warn("no authentication ran before this handler: if it is inside a handle or route, "+e.directive+" belongs there too", zap.Error(err))
		})
	case errors.Is(err, identity.ErrNoTrustedProxies):
		e.warnings.noProxies.Do(func() {
			e.logger.Warn("no request can be believed", zap.Error(err))
		})
	}
	if c := e.logger.Check(zapcore.DebugLevel, "request without a usable identity"); c != nil {
		c.Write(zap.Error(err))
	}
}

// logNotAnswered logs why the application could not say who is asking.
func (e *endpoint) logNotAnswered(err error) {
	if c := e.logger.Check(e.thinned(), "the application could not say who is asking"); c != nil {
		c.Write(zap.Error(err))
	}
}

// logKeys logs that keys could not be fetched, with the logger of the moment:
// they are fetched for whatever config runs.
func logKeys(err error) {
	caddy.Log().Named("huma").Warn("the keys of assertions could not be fetched: known ones are kept", zap.Error(err))
}

// userField names a user by a keyed hash.
func (e *endpoint) userField(user identity.User) zap.Field {
	return zap.String("user", e.names.short(user))
}
