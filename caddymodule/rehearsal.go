package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/record"
)

// rehearsal is what is different about a directive that a command runs, without
// a server around it. Whatever is not here is as it would be in one.
type rehearsal struct {
	arrives  func(name string) bool // see surroundings; nil: as without a server
	register bool                   // a user may be made of one whom the service does not know
	calls    record.Recorder
	result   chan exchange.Result // what came of an exchange; has room for it. Nil: there is none
}

// rehearsed is a directive that can be run by a command.
type rehearsed interface {
	caddy.Provisioner
	caddy.CleanerUpper
	caddyhttp.MiddlewareHandler

	// shared are the options that all directives have.
	shared() *Common

	// rehearse prepares the directive for one, before it is provisioned.
	rehearse(*rehearsal)
}

func (h *HumaToken) shared() *Common     { return &h.Common }
func (h *HumanAPIToken) shared() *Common { return &h.Common }

func (h *HumanAPIToken) rehearse(r *rehearsal) { h.endpoint.rehearsal = r }

func (h *HumaToken) rehearse(r *rehearsal) {
	h.endpoint.rehearsal = r
	if !r.register {
		options := Registration{}
		if h.Registration != nil {
			options = *h.Registration
		}
		options.Disabled = true
		h.Registration = &options
	}
}

// newHandler is a directive without options.
func (p *provider) newHandler() rehearsed {
	if p == humanProvider {
		return new(HumanAPIToken)
	}
	return new(HumaToken)
}

// onlyKnown reports whether no user may be made.
func (r *rehearsal) onlyKnown() bool { return r != nil && !r.register }

// stage names the state of an account: a performance shares none with another, so
// that each has an exchange of its own.
func (r *rehearsal) stage() string {
	if r == nil || r.result == nil {
		return ""
	}
	return fmt.Sprintf("%p", r)
}

// headerArrives is what a directive takes for true of request headers.
func (r *rehearsal) headerArrives(ctx caddy.Context) func(name string) bool {
	if r == nil || r.arrives == nil {
		return headerArrives(ctx)
	}
	return r.arrives
}

// watch is a way to the service on which calls are noted.
func (r *rehearsal) watch(transport *http.Transport) http.RoundTripper {
	if r == nil {
		return transport
	}
	return r.calls.Watch(transport)
}

// end notes what came of an exchange.
func (r *rehearsal) end(result exchange.Result) {
	if r == nil {
		return
	}
	select {
	case r.result <- result:
	default: // nobody is going to look
	}
}

// commandContext is what directives are provisioned in by a command. Nothing of
// it is ever started. cancel cleans up what was loaded in it.
func commandContext() (ctx caddy.Context, cancel context.CancelFunc, err error) {
	base, err := caddy.ProvisionContext(new(caddy.Config))
	if err != nil {
		return base, func() {}, err
	}
	ctx, cancel = caddy.NewContext(base)
	return ctx, cancel, nil
}

// person is for whom a token is asked for.
type person struct{ email, userID, clientType string }

// The placeholders that say so.
const (
	emailGiven  = "huma_email_given"
	userIDGiven = "huma_user_id_given"
)

// givenIdentity reads them, and nothing of a request.
func givenIdentity() *Identity {
	return &Identity{Email: "{" + emailGiven + "}", UserID: "{" + userIDGiven + "}"}
}

// rehearse runs one request through a directive. The directive has been read and
// is not provisioned. The error is why it does not load.
func rehearse(ctx context.Context, h rehearsed, register bool, who person) (*performance, error) {
	provisioning, cancel, err := commandContext()
	if err != nil {
		return nil, err
	}
	defer cancel()
	defer func() { _ = h.Cleanup() }()
	r, err := prepare(provisioning, h, register)
	if err != nil {
		return nil, err
	}
	return perform(ctx, h, r, who)
}

// prepare provisions a directive as its config has it, but for who is asking, and
// without cache, store and breaker: for each request there is one exchange.
func prepare(ctx caddy.Context, h rehearsed, register bool) (*rehearsal, error) {
	c := h.shared()
	c.Identity = givenIdentity()
	c.Userinfo, c.Trust, c.HashKey, c.CrossSite, c.Errors = nil, nil, "", "", ""
	c.Cache, c.Breaker = &Cache{Disabled: true}, &Breaker{Disabled: true}
	r := &rehearsal{register: register, result: make(chan exchange.Result, 1)}
	h.rehearse(r)
	return r, h.Provision(ctx)
}

// performance is what came of a rehearsal.
type performance struct {
	status int
	answer masked.String // of the endpoint: a token, or a problem
	code   exchange.Code // why there is no token
	detail string        // what there is to do
	err    error         // what the service said; nil if it was not asked
	calls  []record.Call

	took    time.Duration
	outcome exchange.Outcome // of the exchange, if there is a token
}

// perform makes one request of a directive that was prepared. There is one at a
// time.
func perform(ctx context.Context, h rehearsed, r *rehearsal, who person) (*performance, error) {
	query := make(url.Values)
	if who.clientType != "" {
		query.Set("client_type", who.clientType)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	repl := caddy.NewReplacer()
	for name, value := range map[string]string{emailGiven: who.email, userIDGiven: who.userID} {
		if value != "" {
			repl.Set(name, value)
		}
	}
	w := &received{header: make(http.Header)}
	// There is no connection, so the service is told of no client's address.
	req = caddyhttp.PrepareRequest(req, repl, w, new(caddyhttp.Server))
	before, began := len(r.calls.Calls()), time.Now()
	if err := h.ServeHTTP(w, req, nil); err != nil {
		return nil, err
	}
	p := &performance{status: w.status, answer: masked.New(w.body.String()), calls: r.calls.Calls()[before:], took: time.Since(began)}
	if p.status != http.StatusOK {
		var problem struct {
			Code   exchange.Code `json:"code"`
			Detail string        `json:"detail"`
		}
		_ = json.Unmarshal(w.body.Bytes(), &problem) // there is none if the time was over
		p.code, p.detail = problem.Code, problem.Detail
	}
	select {
	case result := <-r.result:
		p.outcome, p.err = result.Outcome, result.Err
	default:
	}
	return p, nil
}

// received is an answer.
type received struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (w *received) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *received) WriteHeader(status int) { w.status = status }

// Write implements http.ResponseWriter.
func (w *received) Write(b []byte) (int, error) { return w.body.Write(b) }

// Interface guards
var (
	_ rehearsed           = (*HumaToken)(nil)
	_ rehearsed           = (*HumanAPIToken)(nil)
	_ http.ResponseWriter = (*received)(nil)
)
