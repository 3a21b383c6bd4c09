package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/neterror"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
)

// The fixes that several findings share.
const (
	fixPath = "check the URL: its path must be that of the token endpoint; if it is, another handler responds first: caddy huma check finds it"
	fixApp  = "see the log of the server behind this URL"
	fixLive = "respond with 401 at this path instead: exclude it from the login page, or let huma_token call the auth server (identity { auth_server … }), which turns redirects into 401"
)

// code returns the error code of an error response of this plugin, or "".
func (r *response) code() exchange.Code {
	var v struct{ Code exchange.Code }
	if r.mediaType() != "application/problem+json" || json.Unmarshal([]byte(r.body.Reveal()), &v) != nil {
		return ""
	}
	if kind, known := problem.Table[v.Code]; !known || kind.Status != r.status {
		return ""
	}
	return v.Code
}

// describe describes the status of a response, with the error code if it is one of this
// plugin.
func (r *response) describe() string {
	text := fmt.Sprintf("status %d", r.status)
	if code := r.code(); code != "" {
		text += ", code " + string(code)
	}
	return text
}

// noResponse returns the entry for a response with an error, and true. If there is none,
// it returns false.
func noResponse(r *response) (report.Entry, bool) {
	if r.err == nil {
		return report.Entry{}, false
	}
	return report.NewProblem("try again; if it happens again, "+fixApp, "no complete response: %v", neterror.Plain("the server", true, r.err)), true
}

// unexpected returns the entry for a response that is neither a token nor the error that
// was expected.
func (p *probe) unexpected(r *response) report.Entry {
	if e, failed := noResponse(r); failed {
		return e
	}
	status := r.describe()
	if code := r.code(); code != "" {
		return report.NewProblem(p.fixOf(r, code), "%s: %s", status, strings.TrimSuffix(problem.Lookup(code, p.details()).Detail, "."))
	}
	switch {
	case r.status >= 300 && r.status < 400:
		return p.redirected(r)
	case r.status < 300:
		return noToken(r)
	}
	switch r.status {
	case http.StatusUnauthorized:
		return report.NewProblem("renew them if they have expired; check that the endpoint accepts this kind of credentials", "%s: the credentials are not accepted", status)
	case http.StatusForbidden:
		return report.NewProblem("allow this user, or probe with another one", "%s: the user is signed in, but access is denied; or a firewall blocks the request", status)
	case http.StatusNotFound, http.StatusGone:
		return report.NewProblem(fixPath, "%s: there is no token endpoint at this path", status)
	case http.StatusMethodNotAllowed:
		return report.NewProblem("allow GET, as the current quick start of Huma does", "%s: GET is not allowed", status)
	case http.StatusTooManyRequests:
		return report.NewProblem("try again later", "%s: a rate limit is exceeded%s", status, retryText(r))
	case http.StatusBadGateway:
		return report.NewProblem("start the application or the auth server behind the proxy; "+fixApp, "%s: the endpoint, or the proxy in front of it, gets no usable response from the server behind it", status)
	case http.StatusServiceUnavailable:
		return report.NewProblem("try again later; "+fixApp, "%s: the endpoint is temporarily unavailable%s", status, retryText(r))
	case http.StatusGatewayTimeout:
		return report.NewProblem(fixApp, "%s: the endpoint, or the proxy in front of it, got no response from the server behind it in time", status)
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return report.NewProblem("add the query parameters that the endpoint requires to the URL", "%s: the endpoint requires something else in the request", status)
	}
	if r.status >= 500 {
		return report.NewProblem(fixApp, "%s: the endpoint failed", status)
	}
	return report.NewProblem(fixApp, "%s: expected a token", status)
}

// details returns the details of error codes that are specific to the service.
func (p *probe) details() map[exchange.Code]string {
	if p.service == nil {
		return nil
	}
	return p.service.details
}

// fixOf returns the fix for an error code of this plugin.
func (p *probe) fixOf(r *response, code exchange.Code) string {
	fix := "see " + problem.TypePrefix + string(code) + "; caddy huma check finds mistakes in the config"
	switch code {
	case exchange.CodeUnavailable, exchange.CodeOverloaded, exchange.CodeRegistrationLimited:
		return "try again" + retryText(r) + "; " + fix
	}
	return fix
}

// retryText returns when the server expects the next request, for the end of a sentence.
func retryText(r *response) string {
	if seconds := r.retryAfter(); seconds > 0 {
		return fmt.Sprintf(" in %d seconds (Retry-After)", seconds)
	}
	return ""
}

// isUpgrade reports whether a redirect leads from http to https on the same host.
func (p *probe) isUpgrade(to *url.URL) bool {
	return p.url.Scheme == "http" && to.Scheme == "https" && to.Hostname() == p.url.Hostname()
}

// redirected returns the entry for a redirect. Its URL is not printed: a login page often
// has secrets in it.
func (p *probe) redirected(r *response) report.Entry {
	to, err := url.Parse(r.header.Get("Location"))
	switch {
	case err != nil || r.header.Get("Location") == "":
		return report.NewProblem(fixApp, "status %d without a valid Location", r.status)
	case p.isUpgrade(to):
		return report.NewProblem("use the https URL, here and in apps", "status %d: redirects to https; an app that starts with http sends its credentials unencrypted first", r.status)
	case to.Host != "" && to.Host != p.url.Host:
		return report.NewProblem(fixLive, "status %d: redirects to %s; apps and fetch() follow it, and get a login page or a CORS error instead of 401, so they do not know that the user must sign in", r.status, hostOf(to))
	}
	return report.NewProblem(fixLive, "status %d: redirects to another page of this site; apps and fetch() follow it, and get a login page instead of 401, so they do not know that the user must sign in", r.status)
}

// noToken returns the entry for a successful response that contains no token.
func noToken(r *response) report.Entry {
	d := parse(r)
	switch {
	case errors.Is(d.err, errHTML):
		return report.NewProblem("serve the token endpoint at this path: with try_files, write it into a handle of its own, before the one of the web app; if this is a login page, respond with 401 instead",
			"status %d with a page (HTML): a web app or a login page responds instead of the token endpoint, and apps fail to parse it", r.status)
	case errors.Is(d.err, errEmpty):
		return report.NewProblem("check the path: Caddy responds like this if no directive matches, for example if the path of huma_token is written inside handle_path",
			"status %d with an empty body: no token endpoint has handled the request", r.status)
	case d.err != nil:
		return report.NewProblem(fixPath, "status %d without a token: %v", r.status, d.err)
	case d.wrapper() != "":
		return report.NewProblem("respond with the fields at the top level of the object", "status %d: the token response is inside of another object (%s), where the SDKs do not find it", r.status, d.wrapper())
	}
	return report.NewProblem(fixPath, "status %d with JSON that has no field of a token response", r.status)
}

// methods lists the methods that are printed if the header Allow has them.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"}

// allow returns the known methods in the header Allow.
func (r *response) allow() string {
	var known []string
	for _, method := range r.list("Allow") {
		if method = strings.ToUpper(method); slices.Contains(methods, method) {
			known = append(known, method)
		}
	}
	return strings.Join(known, ", ")
}
