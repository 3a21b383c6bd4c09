// Package admin is the plugin's part of Caddy's admin API, below /huma/: status, health,
// and eviction of cached tokens.
package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
)

func init() { caddy.RegisterModule(new(API)) }

// API is this plugin's part of Caddy's admin endpoint. It has no config and
// no state: Caddy makes one for each config, before that is known to be good,
// and tells it nothing when the config goes. So it tells of the handlers that
// run, whichever config it was made for.
//
// Every process of the machine may ask here. Nothing in an answer is a secret or
// of a user, and what changes something is a POST.
type API struct{}

// CaddyModule returns the Caddy module information.
func (*API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.huma",
		New: func() caddy.Module { return new(API) },
	}
}

// Provision makes the metrics part of what the endpoint's own /metrics tells.
// That is of the config which was loaded last, also if it was rejected before
// any of our handlers was set up.
func (*API) Provision(ctx caddy.Context) error {
	return endpoint.RegisterMetrics(ctx.GetMetricsRegistry())
}

// pathPrefix is what all paths of the plugin begin with.
const pathPrefix = "/huma/"

// calls are what can be asked, by the path behind adminPath.
var calls = map[string]call{
	"status":      {[]string{http.MethodGet}, getStatus},
	"health":      {[]string{http.MethodGet, http.MethodHead}, getHealth},
	"cache/flush": {[]string{http.MethodPost}, flush},
	"cache/evict": {[]string{http.MethodPost}, evict},
}

// call is one of them: its methods, and what is answered.
type call struct {
	methods []string
	answer  func(r *http.Request) (status int, document any, err error)
}

// Routes implements caddy.AdminRouter. The patterns are labels of Caddy's own
// metrics: what is asked of a path that there is not must not make one.
func (*API) Routes() []caddy.AdminRoute {
	routes := []caddy.AdminRoute{{Pattern: pathPrefix, Handler: caddy.AdminHandlerFunc(notFound)}}
	for path, call := range calls {
		routes = append(routes, caddy.AdminRoute{Pattern: pathPrefix + path, Handler: call})
	}
	return routes
}

func notFound(http.ResponseWriter, *http.Request) error {
	return apiError(http.StatusNotFound, "there is nothing here: see status, health, cache/flush and cache/evict below "+pathPrefix)
}

// apiError is an error as Caddy's admin endpoint answers and logs it. It must
// not hold anything of a request's body.
func apiError(status int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: status, Err: fmt.Errorf(format, args...)}
}

// ServeHTTP implements caddy.AdminHandler.
func (c call) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	endpoint.NoStore(w.Header())
	if !slices.Contains(c.methods, r.Method) {
		w.Header().Set("Allow", strings.Join(c.methods, ", "))
		return apiError(http.StatusMethodNotAllowed, "method not allowed: it is %s", strings.Join(c.methods, " or "))
	}
	status, document, err := c.answer(r)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a caller who has left is no error of ours
	return nil
}

// maxBody is how long the body of a request may be.
const maxBody = 4 << 10

// readBody reads what a request sends, up to what is enough for any of them.
func readBody(r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return nil, apiError(http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", tooLong.Limit)
	}
	if err != nil {
		return nil, apiError(http.StatusBadRequest, "the body cannot be read")
	}
	return bytes.TrimSpace(b), nil
}

// Interface guards
var (
	_ caddy.Provisioner  = (*API)(nil)
	_ caddy.AdminRouter  = (*API)(nil)
	_ caddy.AdminHandler = call{}
)
