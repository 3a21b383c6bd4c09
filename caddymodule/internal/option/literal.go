package option

import (
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
)

// Literal is a secret in a Caddyfile that is not a placeholder.
type Literal struct {
	Option string
	File   string
	Line   int
}

// onLiteral is set by OnLiteral.
var onLiteral atomic.Pointer[func(Literal)]

// OnLiteral makes WarnLiteral call report instead of writing to the log, until stop is
// called. It is for commands, which adapt a Caddyfile themselves.
func OnLiteral(report func(Literal)) (stop func()) {
	onLiteral.Store(&report)
	return func() { onLiteral.Store(nil) }
}

// WarnLiteral logs a warning if a secret is not a placeholder, because the JSON config
// will contain it in plain text. This includes secrets from {$VAR}. It writes to the
// log, because directives cannot add to the warnings of Caddy's Caddyfile adapter.
func WarnLiteral(d *caddyfile.Dispenser, name, value string) {
	if HasPlaceholder(value) || value == "{sig.timestamp}" || strings.HasPrefix(value, "{http.") {
		return // placeholders of the request are an error when the config loads
	}
	if report := onLiteral.Load(); report != nil {
		(*report)(Literal{Option: name, File: d.File(), Line: d.Line()})
		return
	}
	caddy.Log().Named("caddyfile").Warn("secret is written in plain text and will be in the JSON config; use {env.NAME} or {file./path} instead",
		zap.String("option", name), zap.String("file", d.File()), zap.Int("line", d.Line()))
}
