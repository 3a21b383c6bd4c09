// Package dryrun loads the directives of a config and runs them without a server, for
// the caddy huma commands.
package dryrun

import (
	"bytes"
	"cmp"
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

// Last returns the last call to the service, or the zero Call if there was none.
func (r *Result) Last() record.Call {
	if len(r.Calls) == 0 {
		return record.Call{}
	}
	return r.Calls[len(r.Calls)-1]
}

// ConfigExplanation returns the explanation of the service's error code. ok is true if
// the code means that the config must be corrected.
func (r *Result) ConfigExplanation() (e problem.Explanation, ok bool) {
	e, ok = problem.Explain(r.Err)
	return e, ok && e.Fix != ""
}

// Rejected reports whether the request itself was invalid, so that no exchange was
// started.
func (r *Result) Rejected() bool {
	row, known := problem.Table[r.Code]
	return known && row.Outcome == problem.OutcomeRejected
}

// Cause returns the error text of the call to the service, without the error code of the
// response to the client. It returns "" if there is none.
func (r *Result) Cause() string {
	var failed *exchange.Error
	if errors.As(r.Err, &failed) && failed.Err != nil {
		return failed.Err.Error()
	}
	return ""
}

// Handler is a directive that a command can run.
type Handler interface {
	caddy.Provisioner
	caddy.CleanerUpper
	caddyhttp.MiddlewareHandler

	// SetDryRun configures the directive for a dry run. Call it before Provision.
	SetDryRun(*endpoint.DryRun)
}

// common returns the options that all directives share.
func common(h Handler) *config.Common {
	if human, ok := h.(*humanapitoken.HumanAPIToken); ok {
		return &human.Common
	}
	return &h.(*humatoken.HumaToken).Common
}

// newHandler returns a directive of the service, without options.
func newHandler(s *endpoint.Service) Handler {
	if s == endpoint.HumanAPI {
		return new(humanapitoken.HumanAPIToken)
	}
	return new(humatoken.HumaToken)
}

// Context returns a context in which a command provisions directives. Its apps are
// never started. cancel cleans up the modules that were loaded in it.
func Context() (ctx caddy.Context, cancel context.CancelFunc, err error) {
	base, err := caddy.ProvisionContext(new(caddy.Config))
	if err != nil {
		return base, func() {}, err
	}
	ctx, cancel = caddy.NewContext(base)
	return ctx, cancel, nil
}

// User is the user for whom a command requests a token.
type User struct{ Email, UserID, ClientType string }

// The placeholders that hold the user of a dry run.
const (
	EmailPlaceholder  = "huma_command_email"
	UserIDPlaceholder = "huma_command_user_id"
)

// PlaceholderIdentity returns an identity option that reads only EmailPlaceholder and
// UserIDPlaceholder.
func PlaceholderIdentity() *config.Identity {
	return &config.Identity{Email: "{" + EmailPlaceholder + "}", UserID: "{" + UserIDPlaceholder + "}"}
}

// Run provisions a directive, sends one request for user through it, and cleans
// up. h must not be provisioned yet. If register is false, no user is created at the
// service. Run returns an error if the directive cannot be provisioned.
func Run(ctx context.Context, h Handler, register bool, user User) (*Result, error) {
	provisioning, cancel, err := Context()
	if err != nil {
		return nil, err
	}
	defer cancel()
	defer func() { _ = h.Cleanup() }()
	dryRun, err := Provision(provisioning, h, register)
	if err != nil {
		return nil, err
	}
	return Request(ctx, h, dryRun, user)
}

// Provision provisions a directive with its config, except that the identity comes from
// PlaceholderIdentity, and that cache, store and breaker are disabled. So each request
// runs one exchange. If register is false, no user is created at the service.
func Provision(ctx caddy.Context, h Handler, register bool) (*endpoint.DryRun, error) {
	c := common(h)
	c.Identity = PlaceholderIdentity()
	c.Userinfo, c.Trust, c.HashKey, c.CrossSite, c.Errors = nil, nil, "", "", ""
	c.Cache, c.Breaker = &config.Cache{Disabled: true}, &config.Breaker{Disabled: true}
	dryRun := &endpoint.DryRun{Register: register, Result: make(chan exchange.Result, 1)}
	h.SetDryRun(dryRun)
	return dryRun, h.Provision(ctx)
}

// Result is the result of one dry run.
type Result struct {
	status   int
	Response masked.String // body of the endpoint's response: a token, or problem+json
	Code     exchange.Code // error code; empty with a token
	Detail   string        // detail of the error, for the operator
	Err      error         // error of the exchange; nil without an exchange or with a token
	Calls    []record.Call // the calls to the service

	Duration time.Duration
	Outcome  exchange.Outcome // outcome of the exchange; empty without a token
}

// Request sends one request for user to a directive that Provision has provisioned. run
// is the *endpoint.DryRun from Provision. Do not call it concurrently for
// the same directive.
func Request(ctx context.Context, h Handler, run *endpoint.DryRun, user User) (*Result, error) {
	query := make(url.Values)
	if user.ClientType != "" {
		query.Set("client_type", user.ClientType)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	repl := caddy.NewReplacer()
	for name, value := range map[string]string{EmailPlaceholder: user.Email, UserIDPlaceholder: user.UserID} {
		if value != "" {
			repl.Set(name, value)
		}
	}
	w := &responseRecorder{header: make(http.Header)}
	// There is no connection, so no client address is sent to the service.
	req = caddyhttp.PrepareRequest(req, repl, w, new(caddyhttp.Server))
	before, start := len(run.Calls.Calls()), time.Now()
	if err := h.ServeHTTP(w, req, nil); err != nil {
		return nil, err
	}
	result := &Result{status: w.status, Response: masked.New(w.body.String()), Calls: run.Calls.Calls()[before:], Duration: time.Since(start)}
	if result.status != http.StatusOK {
		var problem struct {
			Code   exchange.Code `json:"code"`
			Detail string        `json:"detail"`
		}
		_ = json.Unmarshal(w.body.Bytes(), &problem) // the body is empty after a timeout
		result.Code, result.Detail = problem.Code, cmp.Or(flagDetails[problem.Code], problem.Detail)
	}
	select {
	case r := <-run.Result:
		result.Outcome, result.Err = r.Outcome, r.Err
	default:
	}
	return result, nil
}

// responseRecorder records the response of a handler.
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
