// Package admin implements the plugin's part of Caddy's admin API, below /huma/: status,
// health, and eviction of cached tokens.
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

// API is the module admin.api.huma, the plugin's part of Caddy's admin API. It has no
// config and no state: Caddy creates one for each config, before the config is known to
// be valid, and does not notify it when the config is unloaded. So it reports on the
// handlers of the running config, whichever config it was created for.
//
// By default every process on the machine can call the admin API. So no response contains
// a secret or anything about a user, and requests that change state must use POST.
type API struct{}

// CaddyModule returns the Caddy module information.
func (*API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.huma",
		New: func() caddy.Module { return new(API) },
	}
}

// Provision implements caddy.Provisioner. It registers the plugin's metrics, so that
// /metrics of the admin API has them. That page shows the registry of the config that was
// loaded last, even if the config was rejected before any of the plugin's handlers was
// provisioned.
func (*API) Provision(ctx caddy.Context) error {
	return endpoint.RegisterMetrics(ctx.GetMetricsRegistry())
}

// pathPrefix is the prefix of all paths of the plugin.
const pathPrefix = "/huma/"

// calls are the API's calls, by their path without pathPrefix.
var calls = map[string]call{
	"status":      {[]string{http.MethodGet}, getStatus},
	"health":      {[]string{http.MethodGet, http.MethodHead}, getHealth},
	"cache/flush": {[]string{http.MethodPost}, flush},
	"cache/evict": {[]string{http.MethodPost}, evict},
}

// call is one call of the API.
type call struct {
	methods []string // allowed methods
	// handle returns the response: the status and a document, which is encoded as
	// JSON. An error should come from apiError.
	handle func(r *http.Request) (status int, document any, err error)
}

// Routes implements caddy.AdminRouter. Caddy uses the patterns as a label in its own
// metrics. All unknown paths below pathPrefix share one pattern, so that requests for
// them do not create labels.
func (*API) Routes() []caddy.AdminRoute {
	routes := []caddy.AdminRoute{{Pattern: pathPrefix, Handler: caddy.AdminHandlerFunc(notFound)}}
	for path, call := range calls {
		routes = append(routes, caddy.AdminRoute{Pattern: pathPrefix + path, Handler: call})
	}
	return routes
}

// notFound responds to requests for unknown paths.
func notFound(http.ResponseWriter, *http.Request) error {
	return apiError(http.StatusNotFound, "not found: below "+pathPrefix+" there are status, health, cache/flush and cache/evict")
}

// apiError returns an error that Caddy's admin API logs and sends to the client. It must
// not contain anything from the body of a request.
func apiError(status int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: status, Err: fmt.Errorf(format, args...)}
}

// ServeHTTP implements caddy.AdminHandler.
func (c call) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	endpoint.NoStore(w.Header())
	if !slices.Contains(c.methods, r.Method) {
		w.Header().Set("Allow", strings.Join(c.methods, ", "))
		return apiError(http.StatusMethodNotAllowed, "method not allowed: use %s", strings.Join(c.methods, " or "))
	}
	status, document, err := c.handle(r)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // ignore the error: the client closed the connection
	return nil
}

// maxBody is the maximum size of a request body, in bytes.
const maxBody = 4 << 10

// readBody returns the body of a request without surrounding white space. It returns an
// error if the body is larger than maxBody.
func readBody(r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return nil, apiError(http.StatusRequestEntityTooLarge, "the request body is larger than %d bytes", tooLong.Limit)
	}
	if err != nil {
		return nil, apiError(http.StatusBadRequest, "cannot read the request body")
	}
	return bytes.TrimSpace(b), nil
}

// Interface guards
var (
	_ caddy.Provisioner  = (*API)(nil)
	_ caddy.AdminRouter  = (*API)(nil)
	_ caddy.AdminHandler = call{}
)
