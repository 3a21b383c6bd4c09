package endpoint

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identify"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/record"
)

// DryRun overrides what a directive takes from its server, so that a command can run
// the directive without one. Everything else works as in a server. A nil *DryRun
// overrides nothing.
type DryRun struct {
	// ForwardsHeader replaces identify.HeaderFilter. Nil: identify.HeaderFilter.
	ForwardsHeader func(name string) bool

	// Register allows the exchange to sign up a user whom the service does not know.
	Register bool

	// Calls records the calls at the service.
	Calls record.Recorder

	// Result receives the result of an exchange. It needs a buffer: a result that
	// does not fit is dropped. Nil: results are dropped, and the directive shares the
	// state of its account with other handlers.
	Result chan exchange.Result
}

// onlyKnownUsers reports whether signing up unknown users is forbidden.
func (d *DryRun) onlyKnownUsers() bool { return d != nil && !d.Register }

// isolationKey returns the part of an account's pool key that separates dry runs. Each
// dry run with a Result has its own, so that it runs its own exchange.
func (d *DryRun) isolationKey() string {
	if d == nil || d.Result == nil {
		return ""
	}
	return fmt.Sprintf("%p", d)
}

// forwardsHeader returns the function that reports whether the server passes a request
// header on to the directive.
func (d *DryRun) forwardsHeader(ctx caddy.Context) func(name string) bool {
	if d == nil || d.ForwardsHeader == nil {
		return identify.HeaderFilter(ctx)
	}
	return d.ForwardsHeader
}

// record returns a transport that records its calls in Calls, or transport itself if r
// is nil.
func (d *DryRun) record(transport *http.Transport) http.RoundTripper {
	if d == nil {
		return transport
	}
	return d.Calls.Watch(transport)
}

// setResult sends the result of an exchange to Result, if there is room. It does not
// block.
func (d *DryRun) setResult(result exchange.Result) {
	if d == nil {
		return
	}
	select {
	case d.Result <- result:
	default: // no receiver, or a second result
	}
}
