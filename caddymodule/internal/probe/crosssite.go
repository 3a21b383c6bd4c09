package probe

import (
	"context"
	"slices"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
)

// otherOrigin is an origin that no endpoint allows. The domain .invalid is reserved
// (RFC 2606).
const otherOrigin = "https://caddy-huma-probe.invalid"

// checkFetchMetadata sends the request of an <img> on a page of another site, with the
// headers of current browsers (Fetch Metadata Request Headers, section 2).
func (p *probe) checkFetchMetadata(ctx context.Context) []report.Entry {
	return one(p.crossSite(ctx, "Sec-Fetch-Site: cross-site", map[string]string{
		"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image",
	}))
}

// checkOrigin sends the request of a page of another site, with the header Origin that
// browsers without Fetch Metadata send.
func (p *probe) checkOrigin(ctx context.Context) []report.Entry {
	return one(p.crossSite(ctx, "the Origin of another site", map[string]string{"Origin": otherOrigin}))
}

// crossSite sends a request of a page of another site, which must be refused. name
// describes its headers.
func (p *probe) crossSite(ctx context.Context, name string, header map[string]string) report.Entry {
	r := p.do(ctx, request{clientType: p.clientType, header: header})
	const fix = "respond with 403 to requests with Sec-Fetch-Site: cross-site, or without it, with an Origin of another host"
	switch {
	case r.err != nil || r.status >= 500:
		return p.unexpected(r)
	case !r.isToken():
		return report.NewOK("a request with %s is refused with %s", name, r.describe())
	case r.readableBy(otherOrigin):
		return report.NewProblem("allow known origins only", "a request with %s gets a token, and Access-Control-Allow-Origin allows every origin: any page can read the token", name)
	case p.hasAmbient():
		return report.NewProblem(fix+"; and set SameSite=Lax or Strict on the session cookie",
			"a request with %s gets a token: any page can make a visitor's browser sign the visitor in, or up, at %s", name, p.service.title)
	}
	return report.NewWarning(fix, "a request with %s gets a token: if a proxy or the browser adds the credentials, any page can make a visitor's browser sign the visitor in, or up, at %s", name, p.service.title)
}

// readableBy reports whether a page of an origin can read the response (Fetch, section
// 3.3, CORS protocol).
func (r *response) readableBy(origin string) bool {
	allowed := r.header.Values("Access-Control-Allow-Origin")
	return len(allowed) == 1 && (allowed[0] == origin || allowed[0] == "*")
}

// preflight returns the request that a browser sends before a request with Authorization
// and Cache-Control. It has no credentials.
func preflight(origin string) request {
	return request{method: "OPTIONS", anonymous: true, header: map[string]string{
		"Origin": origin, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty",
		"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,cache-control",
	}}
}

// fixCORS is the fix for responses that a web app of --origin cannot read.
const fixCORS = "send Access-Control-Allow-Origin with this origin, with errors too; to preflights without credentials, respond with 204, Access-Control-Allow-Methods: GET, POST, DELETE and Access-Control-Allow-Headers: Authorization, Cache-Control. With this plugin: allow_origins with this origin; if authentication is in front, see https://github.com/caddy-huma/caddy-huma/blob/main/docs/cors.md"

// checkPreflight sends the preflight of a web app of --origin.
func (p *probe) checkPreflight(ctx context.Context) []report.Entry {
	r := p.do(ctx, preflight(p.options.origin))
	headers := r.list("Access-Control-Allow-Headers")
	switch {
	case r.err != nil:
		return one(p.unexpected(r))
	case r.status < 200 || r.status > 299:
		return one(report.NewProblem(fixCORS, "status %d to the preflight: the browser does not send the request; authentication in front of the endpoint may refuse preflights, which have no credentials", r.status))
	case !r.readableBy(p.options.origin):
		return one(report.NewProblem(fixCORS, "the preflight gets no Access-Control-Allow-Origin for this origin: the browser does not send the request"))
	case !slices.Contains(headers, "authorization"): // `*` does not include it
		return one(report.NewProblem(fixCORS, "Access-Control-Allow-Headers lacks Authorization: a web app cannot send a bearer token"))
	case !slices.Contains(headers, "cache-control") && !slices.Contains(headers, "*"):
		return one(report.NewWarning(fixCORS, "Access-Control-Allow-Headers lacks Cache-Control: a web app cannot request a new token if the service has rejected the present one"))
	}
	return one(report.NewOK("status %d: the browser sends the request", r.status))
}

// fromWebApp returns the headers that a browser adds to a request of a web app.
func fromWebApp(origin string) map[string]string {
	return map[string]string{"Origin": origin, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
}

// checkCORSToken requests a token as a web app of --origin does.
func (p *probe) checkCORSToken(ctx context.Context) []report.Entry {
	r := p.do(ctx, request{clientType: p.clientType, header: fromWebApp(p.options.origin)})
	switch {
	case r.err != nil:
		return one(p.unexpected(r))
	case !r.isToken():
		return one(report.NewProblem("allow this origin at the endpoint (with this plugin: allow_origins)", "%s instead of a token: the endpoint refuses requests of this origin", r.describe()))
	case !r.readableBy(p.options.origin):
		return one(report.NewProblem(fixCORS, "the token response has no Access-Control-Allow-Origin for this origin: the browser does not let the web app read the token"))
	case p.hasAmbient() && (r.header.Get("Access-Control-Allow-Credentials") != "true" || r.header.Get("Access-Control-Allow-Origin") == "*"):
		return one(report.NewProblem("send Access-Control-Allow-Credentials: true, and the origin instead of *", "the token response does not allow cookies: the browser does not let the web app read the token (fetch with credentials: include)"))
	case !slices.Contains(r.list("Vary"), "origin") && r.header.Get("Access-Control-Allow-Origin") != "*":
		return one(report.NewWarning("send Vary: Origin", "Vary does not list Origin: a cache may send the response to web apps of other origins, which cannot read it"))
	}
	return one(report.NewOK("the web app gets a token"))
}

// checkCORSError sends the request of a web app without credentials.
func (p *probe) checkCORSError(ctx context.Context) []report.Entry {
	r := p.do(ctx, request{anonymous: true, clientType: p.clientType, header: fromWebApp(p.options.origin)})
	switch {
	case r.err != nil:
		return one(p.unexpected(r))
	case !r.readableBy(p.options.origin):
		return one(report.NewProblem(fixCORS, "%s without credentials has no Access-Control-Allow-Origin for this origin: the web app sees a network error instead, and does not know that the user must sign in", r.describe()))
	}
	return one(report.NewOK("the web app can read the error (%s)", r.describe()))
}

// checkOtherOrigin sends a preflight of an origin that must not be allowed.
func (p *probe) checkOtherOrigin(ctx context.Context) []report.Entry {
	r := p.do(ctx, preflight(otherOrigin))
	if r.err != nil {
		return one(p.unexpected(r))
	}
	if r.readableBy(otherOrigin) {
		return one(report.NewProblem("allow known origins only, never * and never the origin of the request unchecked", "an unknown origin is allowed: any page can request tokens of its visitors"))
	}
	return one(report.NewOK("an unknown origin is not allowed"))
}
