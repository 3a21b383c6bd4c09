package probe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
)

// checkContentType checks the media type of the token response.
func (p *probe) checkContentType(context.Context) []report.Entry {
	fix := "send Content-Type: application/json"
	switch t := p.token.mediaType(); {
	case t == "application/json":
		return one(report.NewOK("application/json"))
	case t == "":
		return one(report.NewWarning(fix, "the token response has no valid Content-Type: HTTP clients that choose the parser by it fail"))
	case t == "text/html":
		return one(report.NewProblem(fix, "the Content-Type of the token response is text/html: HTTP clients do not parse it as JSON, and a browser shows it as a page, with whatever it contains"))
	}
	return one(report.NewWarning(fix, "the Content-Type of the token response is not application/json: HTTP clients that choose the parser by it fail"))
}

// checkCacheControl checks whether caches may store the token response (RFC 9111, section
// 5.2.2).
func (p *probe) checkCacheControl(context.Context) []report.Entry {
	const fix = "send Cache-Control: private, no-store"
	directives := p.token.list("Cache-Control")
	switch {
	case slices.Contains(directives, "no-store"):
		return one(report.NewOK("no-store: no cache stores the token"))
	case slices.Contains(directives, "private"):
		return one(report.NewWarning(fix, "the token response has Cache-Control: private, but not no-store: browsers and HTTP clients store the token on disk, and may use it for the next user of the device"))
	}
	return one(report.NewProblem(fix, "the token response has no Cache-Control: no-store: a browser, a proxy or a CDN may store a token, and send it to another user"))
}

// checkVary checks whether Vary lists the headers of the credentials (RFC 9110, section
// 12.5.5).
func (p *probe) checkVary(context.Context) []report.Entry {
	listed := p.token.list("Vary")
	var missing []string
	for _, c := range p.credentials {
		if !slices.Contains(listed, strings.ToLower(c.name)) && !slices.Contains(listed, "*") {
			missing = append(missing, c.name)
		}
	}
	if len(missing) > 0 {
		names := strings.Join(missing, ", ")
		return one(report.NewWarning("send Vary: "+names+"; and have no cache in front of this path",
			"Vary does not list %s: a cache in front that merges concurrent requests, or ignores no-store, sends the token of one user to another", names))
	}
	return one(report.NewOK("Vary lists the headers of the credentials"))
}

// checkOptions checks that OPTIONS issues no token.
func (p *probe) checkOptions(ctx context.Context) []report.Entry {
	return one(p.otherMethod(ctx, "OPTIONS"))
}

// checkPut checks that PUT issues no token.
func (p *probe) checkPut(ctx context.Context) []report.Entry { return one(p.otherMethod(ctx, "PUT")) }

// otherMethod checks the response to a method that issues no token.
func (p *probe) otherMethod(ctx context.Context, method string) report.Entry {
	r := p.do(ctx, request{method: method, clientType: p.clientType})
	fix := "respond with 405 and the header Allow"
	if method == "OPTIONS" {
		fix = "respond with 204, or 405, and the header Allow"
	}
	switch {
	case r.err != nil:
		return p.unexpected(r)
	case r.isToken():
		return report.NewProblem(fix, "%s gets a token: only GET and POST should", method)
	case r.status == 405 && r.header.Get("Allow") == "":
		return report.NewWarning(fix, "status 405 without the header Allow, which must list the methods (RFC 9110, section 15.5.6)")
	case r.status == 405, method == "OPTIONS" && r.status < 300 && r.header.Get("Allow") != "":
		return report.NewOK("%s", r.describe()+allowed(r))
	case method == "OPTIONS" && r.status < 300:
		return report.NewOK("status %d, without a token", r.status)
	case r.status >= 500:
		return report.NewWarning(fix, "status %d to %s: clients take it for an outage, and monitoring for an error of the server", r.status, method)
	case r.status >= 400:
		return report.NewOK("status %d: refused", r.status)
	}
	return report.NewWarning(fix, "status %d to %s: the client takes it as success", r.status, method)
}

// allowed describes the header Allow.
func allowed(r *response) string {
	if list := r.allow(); list != "" {
		return fmt.Sprintf(", Allow: %s", list)
	}
	return ""
}

// checkHead checks that HEAD signs in no user.
func (p *probe) checkHead(ctx context.Context) []report.Entry {
	r := p.do(ctx, request{method: "HEAD", clientType: p.clientType})
	switch {
	case r.err != nil:
		return one(p.unexpected(r))
	case r.status < 300:
		return one(report.NewProblem("respond with 405 to HEAD", "status %d: HEAD signs in the user, or signs up a new one, although no caller gets the token: monitoring, link previews and prefetching send HEAD", r.status))
	case r.status < 400:
		return one(report.NewWarning("respond with 405 to HEAD", "status %d: HEAD is redirected", r.status))
	}
	return one(report.NewOK("status %d: HEAD signs in no user", r.status))
}
