// Package dryrun loads the directives of a config, and runs one outside a server for a
// command.
package dryrun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/humanapitoken"
	"github.com/caddy-huma/caddy-huma/caddymodule/humatoken"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/record"
)

// Last is the last call of a performance, which is what it ended with.
func (p *Result) Last() record.Call {
	if len(p.Calls) == 0 {
		return record.Call{}
	}
	return p.Calls[len(p.Calls)-1]
}

// BlamesConfig is what the service's own code says of the config.
func (p *Result) BlamesConfig() (m problem.Explanation, ok bool) {
	m, ok = problem.Explain(p.Err)
	return m, ok && m.Fix != ""
}

// Rejected reports whether the request itself was wrong: no exchange was made.
func (p *Result) Rejected() bool {
	row, known := problem.Table[p.Code]
	return known && row.Outcome == problem.OutcomeRejected
}

// Cause is what happened at the service, without the code that it is answered
// with.
func (p *Result) Cause() string {
	var failed *exchange.Error
	if errors.As(p.Err, &failed) && failed.Err != nil {
		return failed.Err.Error()
	}
	return ""
}

// Handler is a directive that can be run by a command.
type Handler interface {
	caddy.Provisioner
	caddy.CleanerUpper
	caddyhttp.MiddlewareHandler

	// rehearse prepares the directive for one, before it is provisioned.
	SetDryRun(*endpoint.DryRun)
}

// common returns the options that all directives have.
func common(h Handler) *config.Common {
	if human, ok := h.(*humanapitoken.HumanAPIToken); ok {
		return &human.Common
	}
	return &h.(*humatoken.HumaToken).Common
}

// newHandler is a directive without options.
func newHandler(p *endpoint.Service) Handler {
	if p == endpoint.HumanAPI {
		return new(humanapitoken.HumanAPIToken)
	}
	return new(humatoken.HumaToken)
}

// Context is what directives are provisioned in by a command. Nothing of
// it is ever started. cancel cleans up what was loaded in it.
func Context() (ctx caddy.Context, cancel context.CancelFunc, err error) {
	base, err := caddy.ProvisionContext(new(caddy.Config))
	if err != nil {
		return base, func() {}, err
	}
	ctx, cancel = caddy.NewContext(base)
	return ctx, cancel, nil
}

// User is for whom a token is asked for.
type User struct{ Email, UserID, ClientType string }

// The placeholders that say so.
const (
	EmailPlaceholder  = "huma_email_given"
	UserIDPlaceholder = "huma_user_id_given"
)

// PlaceholderIdentity reads them, and nothing of a request.
func PlaceholderIdentity() *config.Identity {
	return &config.Identity{Email: "{" + EmailPlaceholder + "}", UserID: "{" + UserIDPlaceholder + "}"}
}

// Run runs one request through a directive. The directive has been read and
// is not provisioned. The error is why it does not load.
func Run(ctx context.Context, h Handler, register bool, who User) (*Result, error) {
	provisioning, cancel, err := Context()
	if err != nil {
		return nil, err
	}
	defer cancel()
	defer func() { _ = h.Cleanup() }()
	r, err := Provision(provisioning, h, register)
	if err != nil {
		return nil, err
	}
	return Request(ctx, h, r, who)
}

// Provision provisions a directive as its config has it, but for who is asking, and
// without cache, store and breaker: for each request there is one exchange.
func Provision(ctx caddy.Context, h Handler, register bool) (*endpoint.DryRun, error) {
	c := common(h)
	c.Identity = PlaceholderIdentity()
	c.Userinfo, c.Trust, c.HashKey, c.CrossSite, c.Errors = nil, nil, "", "", ""
	c.Cache, c.Breaker = &config.Cache{Disabled: true}, &config.Breaker{Disabled: true}
	r := &endpoint.DryRun{Register: register, Result: make(chan exchange.Result, 1)}
	h.SetDryRun(r)
	return r, h.Provision(ctx)
}

// Result is what came of a rehearsal.
type Result struct {
	status   int
	Response masked.String // of the endpoint: a token, or a problem
	Code     exchange.Code // why there is no token
	Detail   string        // what there is to do
	Err      error         // what the service said; nil if it was not asked
	Calls    []record.Call

	Took    time.Duration
	Outcome exchange.Outcome // of the exchange, if there is a token
}

// Request makes one request of a directive that was prepared. There is one at a
// time.
func Request(ctx context.Context, h Handler, r *endpoint.DryRun, who User) (*Result, error) {
	query := make(url.Values)
	if who.ClientType != "" {
		query.Set("client_type", who.ClientType)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	repl := caddy.NewReplacer()
	for name, value := range map[string]string{EmailPlaceholder: who.Email, UserIDPlaceholder: who.UserID} {
		if value != "" {
			repl.Set(name, value)
		}
	}
	w := &responseRecorder{header: make(http.Header)}
	// There is no connection, so the service is told of no client's address.
	req = caddyhttp.PrepareRequest(req, repl, w, new(caddyhttp.Server))
	before, began := len(r.Calls.Calls()), time.Now()
	if err := h.ServeHTTP(w, req, nil); err != nil {
		return nil, err
	}
	p := &Result{status: w.status, Response: masked.New(w.body.String()), Calls: r.Calls.Calls()[before:], Took: time.Since(began)}
	if p.status != http.StatusOK {
		var problem struct {
			Code   exchange.Code `json:"code"`
			Detail string        `json:"detail"`
		}
		_ = json.Unmarshal(w.body.Bytes(), &problem) // there is none if the time was over
		p.Code, p.Detail = problem.Code, problem.Detail
	}
	select {
	case result := <-r.Result:
		p.Outcome, p.Err = result.Outcome, result.Err
	default:
	}
	return p, nil
}

// responseRecorder is an answer.
type responseRecorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (w *responseRecorder) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *responseRecorder) WriteHeader(status int) { w.status = status }

// Write implements http.ResponseWriter.
func (w *responseRecorder) Write(b []byte) (int, error) { return w.body.Write(b) }

// Interface guards
var (
	_ Handler             = (*humatoken.HumaToken)(nil)
	_ Handler             = (*humanapitoken.HumanAPIToken)(nil)
	_ http.ResponseWriter = (*responseRecorder)(nil)
)
