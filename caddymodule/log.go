package caddymodule

import (
	"cmp"
	"errors"
	"time"

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
	if m, known := meaningOf(r.Err); known {
		fields = append(fields, zap.String("meaning", m.says))
	}
	if !e.succeeded.Load() && (code == exchange.CodeRefused || code == exchange.CodeConfig) {
		level = zapcore.ErrorLevel
		fields = append(fields, zap.String("hint", e.service.refusalHint))
	}
	if stack := stackOf(r.Err); stack != nil {
		e.logger.Error(messageNoToken, append(fields, zap.ByteString("stack", stack))...)
		return
	}
	e.logSampled(level, string(code), exchangeLogInterval, messageNoToken, fields...)
}

const messageNoToken = "no token granted"

// How often a message that one user can trigger is logged, by kind.
const (
	exchangeLogInterval  = time.Second
	rejectionLogInterval = 10 * time.Second
)

// logSampled logs a message that any request can trigger. Within an interval
// the first one of a kind is logged at its level, with how many were not since
// the one before; the others are logged at debug level.
func (e *endpoint) logSampled(level zapcore.Level, kind string, every time.Duration, message string, fields ...zap.Field) {
	if level > zapcore.DebugLevel {
		suppressed, ok := e.samples.take(message+" "+kind, every)
		switch {
		case !ok:
			level = zapcore.DebugLevel
		case suppressed > 0:
			fields = append(fields, zap.Int("suppressed", suppressed))
		}
	}
	if c := e.logger.Check(level, message); c != nil {
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
	}
	return zapcore.WarnLevel
}

// logNoExchange logs that a request was answered without the end of an exchange,
// which logs by itself.
func (e *endpoint) logNoExchange(user identity.User, err error) {
	switch {
	case errors.Is(err, exchange.ErrUserOverloaded):
		e.logSampled(zapcore.WarnLevel, "user", exchangeLogInterval, "request refused: too many exchanges of one user", zap.Error(err), e.userField(user))
	case errors.Is(err, exchange.ErrWaitedTooLong):
		e.logSampled(zapcore.WarnLevel, "timeout", exchangeLogInterval, "request ended before its exchange", zap.Error(err), e.userField(user))
	case failureOf(err).code == exchange.CodeOverloaded:
		e.logSampled(zapcore.WarnLevel, "", exchangeLogInterval, "request refused: too many exchanges", zap.Error(err))
	}
}

// logRejection logs a request that was rejected: what the operator may have to
// change is not told to the caller.
func (e *endpoint) logRejection(f failure) {
	e.logSampled(zapcore.WarnLevel, string(f.code), rejectionLogInterval, "request rejected",
		zap.String("reason", string(f.code)), zap.String("detail", cmp.Or(f.hint, f.detail)))
}

// logNotAnswered logs why the application could not say who is asking.
func (e *endpoint) logNotAnswered(err error) {
	e.logSampled(zapcore.WarnLevel, "", exchangeLogInterval, "the application could not say who is asking", zap.Error(err))
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
