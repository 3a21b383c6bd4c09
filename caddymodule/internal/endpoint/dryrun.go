package endpoint

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identify"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/record"
)

// DryRun is what is different about a directive that a command runs, without
// a server around it. Whatever is not here is as it would be in one.
type DryRun struct {
	ForwardsHeader func(name string) bool // see surroundings; nil: as without a server
	Register       bool                   // a user may be made of one whom the service does not know
	Calls          record.Recorder
	Result         chan exchange.Result // what came of an exchange; has room for it. Nil: there is none
}

// onlyKnown reports whether no user may be made.
func (r *DryRun) onlyKnown() bool { return r != nil && !r.Register }

// isolationKey names the state of an account: a performance shares none with another, so
// that each has an exchange of its own.
func (r *DryRun) isolationKey() string {
	if r == nil || r.Result == nil {
		return ""
	}
	return fmt.Sprintf("%p", r)
}

// headerArrives is what a directive takes for true of request headers.
func (r *DryRun) headerArrives(ctx caddy.Context) func(name string) bool {
	if r == nil || r.ForwardsHeader == nil {
		return identify.HeaderFilter(ctx)
	}
	return r.ForwardsHeader
}

// record is a way to the service on which calls are noted.
func (r *DryRun) record(transport *http.Transport) http.RoundTripper {
	if r == nil {
		return transport
	}
	return r.Calls.Watch(transport)
}

// setResult notes what came of an exchange.
func (r *DryRun) setResult(result exchange.Result) {
	if r == nil {
		return
	}
	select {
	case r.Result <- result:
	default: // nobody is going to look
	}
}
