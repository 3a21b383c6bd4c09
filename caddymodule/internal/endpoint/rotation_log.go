package endpoint

import (
	"slices"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// The log messages of a rotation. One handler per account and set of files logs them.
const (
	messageReloaded     = "credentials reloaded"
	messageReloadFailed = "cannot reload credentials; keeping the previous ones"
	messageReadable     = "credentials can be read again"
)

// changeKey returns the kind of account.Changes for a message about the files of the
// handler.
func (e *Endpoint) changeKey(message string) string {
	return message + "\x00" + strings.Join(slices.Sorted(slices.Values(e.files)), "\x00")
}

// startChanges makes the handler count from the changes that the handlers of the account
// have logged so far. It is called before the first reload.
func (e *Endpoint) startChanges() {
	e.rotation.changes = make(map[string]uint64)
	for _, message := range []string{messageReloaded, messageReloadFailed, messageReadable} {
		e.rotation.changes[message] = e.Account.Changes.Count(e.changeKey(message))
	}
}

// logChange logs a message, unless another handler of the account with the same files
// has logged it for the same change. The message has the account and not the handler.
func (e *Endpoint) logChange(level zapcore.Level, message string, fields ...zap.Field) {
	e.rotation.changes[message]++
	if e.Account.Changes.IsNew(e.changeKey(message), e.rotation.changes[message]) {
		e.logger.Log(level, message, append(fields, zap.Any("account", e.AccountNames()))...)
	}
}

// logReloadFailed records that a reload failed. It logs the error once, when two reloads
// in a row have failed with the same error: after the first one a file may be only partly
// written.
func (e *Endpoint) logReloadFailed(err error) {
	r := &e.rotation
	r.failed.Store(true)
	if problem := err.Error(); problem != r.lastErr {
		r.lastErr, r.logged = problem, false
		return
	}
	r.unreadable.Store(true)
	if !r.logged {
		r.logged = true
		e.logChange(zapcore.WarnLevel, messageReloadFailed, zap.Error(err))
	}
}

// logReloadSucceeded records that a reload succeeded. It logs that if logReloadFailed has
// logged an error before.
func (e *Endpoint) logReloadSucceeded() {
	r := &e.rotation
	r.failed.Store(false)
	r.lastErr = ""
	if r.unreadable.Swap(false) {
		e.logChange(zapcore.InfoLevel, messageReadable)
	}
}
