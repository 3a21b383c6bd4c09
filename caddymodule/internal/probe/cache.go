package probe

import (
	"context"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
)

// checkCache requests the token again.
func (p *probe) checkCache(ctx context.Context) []report.Entry {
	timer := time.NewTimer(p.pause - time.Since(p.token.received))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	r := p.do(ctx, request{clientType: p.clientType})
	if !r.isToken() {
		return one(p.unexpected(r))
	}
	again := parse(r)
	p.caches = again.token(p.service) == p.document.token(p.service)
	before := p.document
	p.document = again
	if !p.caches {
		return one(report.NewWarning("cache the token on the server until shortly before it expires, as huma_token does by default",
			"a second request gets another token: the endpoint caches nothing, so each start of an app is a call at %s, and fails while that is down", p.service.title))
	}
	for _, f := range p.service.fields {
		first, ok1 := before.lifetime(f.name)
		second, ok2 := again.lifetime(f.name)
		if f.seconds && ok1 && ok2 && first > 0 && second >= first && r.sent.Sub(p.token.received) >= time.Second {
			return one(report.NewProblem("respond with the seconds that are left, not with those of the time of issue",
				"a second request gets the same token, but %s is not lower: apps use the token after it has expired", f.name))
		}
	}
	return one(report.NewOK("a second request gets the same token, with the lifetimes that are left"))
}

// checkNoCache requests a new token, as an app does if the service has rejected the
// present one.
func (p *probe) checkNoCache(ctx context.Context) []report.Entry {
	r := p.do(ctx, request{clientType: p.clientType, cacheBypass: true})
	if !r.isToken() {
		return one(p.unexpected(r))
	}
	before := p.document.token(p.service)
	p.document = parse(r)
	if p.document.token(p.service) == before {
		return one(report.NewWarning("honor Cache-Control: no-cache on requests (huma_token: no_cache honor, the default); if this command has run in the last 5 seconds, run it again later",
			"a request with Cache-Control: no-cache gets the same token: an app whose token the service has rejected gets that token again and again"))
	}
	return one(report.NewOK("a request with Cache-Control: no-cache gets a new token"))
}

// checkDelete evicts the user's tokens from the cache of the endpoint, and checks that the
// next request gets another one.
func (p *probe) checkDelete(ctx context.Context) []report.Entry {
	if !p.options.delete {
		return one(report.NewSkipped("only with --delete"))
	}
	r := p.do(ctx, request{method: "DELETE"})
	switch {
	case r.err != nil || r.status >= 500 && r.status != 501:
		return one(p.unexpected(r))
	case r.status >= 300 && !p.caches:
		return one(report.NewOK("status %d: DELETE is not supported, but nothing is cached either", r.status))
	case r.status >= 300:
		return one(report.NewWarning("respond to DELETE with 204, and evict the user's tokens",
			"%s to DELETE: an app cannot evict the user's tokens when the user signs out", r.describe()))
	}
	next := p.do(ctx, request{clientType: p.clientType})
	switch {
	case !next.isToken():
		return one(p.unexpected(next))
	case parse(next).token(p.service) == p.document.token(p.service):
		return one(report.NewProblem("evict all tokens of the user", "status %d to DELETE, but the next request gets the same token", r.status))
	}
	return one(report.NewOK("status %d; the next request gets a new token", r.status))
}
