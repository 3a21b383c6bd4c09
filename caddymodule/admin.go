package caddymodule

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
)

func init() { caddy.RegisterModule(new(adminAPI)) }

// adminAPI is this plugin's part of Caddy's admin endpoint. It has no config and
// no state: Caddy makes one for each config, before that is known to be good,
// and tells it nothing when the config goes. So it tells of the handlers that
// run, whichever config it was made for.
//
// Every process of the machine may ask here. Nothing in an answer is a secret or
// of a user, and what changes something is a POST.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.huma",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Provision makes the metrics part of what the endpoint's own /metrics tells.
// That is of the config which was loaded last, also if it was rejected before
// any of our handlers was set up.
func (*adminAPI) Provision(ctx caddy.Context) error {
	return registerMetrics(ctx.GetMetricsRegistry())
}

// adminPath is what all paths of the plugin begin with.
const adminPath = "/huma/"

// adminCalls are what can be asked, by the path behind adminPath.
var adminCalls = map[string]adminCall{
	"status":      {[]string{http.MethodGet}, adminStatus},
	"health":      {[]string{http.MethodGet, http.MethodHead}, adminHealth},
	"cache/flush": {[]string{http.MethodPost}, adminFlush},
	"cache/evict": {[]string{http.MethodPost}, adminEvict},
}

// adminCall is one of them: its methods, and what is answered.
type adminCall struct {
	methods []string
	answer  func(r *http.Request) (status int, document any, err error)
}

// Routes implements caddy.AdminRouter. The patterns are labels of Caddy's own
// metrics: what is asked of a path that there is not must not make one.
func (*adminAPI) Routes() []caddy.AdminRoute {
	routes := []caddy.AdminRoute{{Pattern: adminPath, Handler: caddy.AdminHandlerFunc(adminNotFound)}}
	for path, call := range adminCalls {
		routes = append(routes, caddy.AdminRoute{Pattern: adminPath + path, Handler: call})
	}
	return routes
}

func adminNotFound(http.ResponseWriter, *http.Request) error {
	return adminError(http.StatusNotFound, "there is nothing here: see status, health, cache/flush and cache/evict below "+adminPath)
}

// adminError is an error as Caddy's admin endpoint answers and logs it. It must
// not hold anything of a request's body.
func adminError(status int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: status, Err: fmt.Errorf(format, args...)}
}

// ServeHTTP implements caddy.AdminHandler.
func (c adminCall) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	noStore(w.Header())
	if !slices.Contains(c.methods, r.Method) {
		w.Header().Set("Allow", strings.Join(c.methods, ", "))
		return adminError(http.StatusMethodNotAllowed, "method not allowed: it is %s", strings.Join(c.methods, " or "))
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

// adminBody reads what a request sends, up to what is enough for any of them.
func adminBody(r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return nil, adminError(http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", tooLong.Limit)
	}
	if err != nil {
		return nil, adminError(http.StatusBadRequest, "the body cannot be read")
	}
	return bytes.TrimSpace(b), nil
}

// Interface guards
var (
	_ caddy.Provisioner  = (*adminAPI)(nil)
	_ caddy.AdminRouter  = (*adminAPI)(nil)
	_ caddy.AdminHandler = adminCall{}
)
