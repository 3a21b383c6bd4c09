package endpoint

import (
	"cmp"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
)

// logEnd logs how an exchange ended, once for all who waited for it.
func (e *Endpoint) logEnd(user identity.User, r exchange.Result) {
	e.DryRun.setResult(r)
	if r.NotKept != nil {
		e.logPanic("a token was not kept", r.NotKept)
	}
	if r.Err == nil {
		e.succeeded.Store(true)
		level := zapcore.DebugLevel
		if r.Outcome == exchange.OutcomeRegistered {
			level = zapcore.InfoLevel
		}
		if c := e.Logger.Check(level, "token granted"); c != nil {
			c.Write(zap.String("outcome", string(r.Outcome)), e.userField(user))
		}
		return
	}
	code := problem.Of(r.Err).Code
	level, fields := e.severity(code, r.Err), []zap.Field{
		zap.String("code", string(code)), e.userField(user), zap.Error(r.Err),
	}
	if m, known := problem.Explain(r.Err); known {
		fields = append(fields, zap.String("meaning", m.Text))
	}
	if !e.succeeded.Load() && (code == exchange.CodeRefused || code == exchange.CodeConfig) {
		level = zapcore.ErrorLevel
		fields = append(fields, zap.String("hint", e.Service.RefusalHint))
	}
	if stack := stackOf(r.Err); stack != nil {
		e.Logger.Error(messageNoToken, append(fields, zap.ByteString("stack", stack))...)
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
func (e *Endpoint) logSampled(level zapcore.Level, kind string, every time.Duration, message string, fields ...zap.Field) {
	if level > zapcore.DebugLevel {
		suppressed, ok := e.samples.allow(message+" "+kind, every)
		switch {
		case !ok:
			level = zapcore.DebugLevel
		case suppressed > 0:
			fields = append(fields, zap.Int("suppressed", suppressed))
		}
	}
	if c := e.Logger.Check(level, message); c != nil {
		c.Write(fields...)
	}
}

// logPanic logs a mistake of ours, without the panic's value: it may hold
// anything.
func (e *Endpoint) logPanic(message string, err error) {
	e.Logger.Error(message, zap.Error(err), zap.ByteString("stack", stackOf(err)))
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
func (e *Endpoint) severity(code exchange.Code, err error) zapcore.Level {
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
func (e *Endpoint) logNoExchange(user identity.User, err error) {
	switch {
	case errors.Is(err, exchange.ErrUserOverloaded):
		e.logSampled(zapcore.WarnLevel, "user", exchangeLogInterval, "request refused: too many exchanges of one user", zap.Error(err), e.userField(user))
	case errors.Is(err, exchange.ErrWaitedTooLong):
		e.logSampled(zapcore.WarnLevel, "timeout", exchangeLogInterval, "request ended before its exchange", zap.Error(err), e.userField(user))
	case problem.Of(err).Code == exchange.CodeOverloaded:
		e.logSampled(zapcore.WarnLevel, "", exchangeLogInterval, "request refused: too many exchanges", zap.Error(err))
	}
}

// logRejection logs a request that was rejected: what the operator may have to
// change is not told to the caller.
func (e *Endpoint) logRejection(f problem.Error) {
	e.logSampled(zapcore.WarnLevel, string(f.Code), rejectionLogInterval, "request rejected",
		zap.String("reason", string(f.Code)), zap.String("detail", cmp.Or(f.Hint, f.Detail)))
}

// logUserinfoError logs why the application could not say who is asking.
func (e *Endpoint) logUserinfoError(err error) {
	e.logSampled(zapcore.WarnLevel, "", exchangeLogInterval, "the application could not say who is asking", zap.Error(err))
}

// userField names a user by a keyed hash.
func (e *Endpoint) userField(user identity.User) zap.Field {
	return zap.String("user", e.LogHasher.LogName(user))
}

// logLimiter limits log messages that any request can trigger: of each kind it
// lets one through in an interval, and counts the others. The zero value is
// ready for use. The kinds come from closed sets, so there are few.
type logLimiter struct {
	mu    sync.Mutex
	kinds map[string]*sample
}

type sample struct {
	next       time.Time // when the next message may be logged
	suppressed int       // messages since the last one that was
}

// allow reports whether a message of a kind is to be logged, and how many were
// not since the last one that was.
func (s *logLimiter) allow(kind string, every time.Duration) (suppressed int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kinds[kind]
	if k == nil {
		if s.kinds == nil {
			s.kinds = make(map[string]*sample)
		}
		k = new(sample)
		s.kinds[kind] = k
	}
	now := time.Now()
	if now.Before(k.next) {
		k.suppressed++
		return 0, false
	}
	suppressed, k.suppressed = k.suppressed, 0
	k.next = now.Add(every)
	return suppressed, true
}
