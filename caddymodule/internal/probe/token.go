package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/clienttype"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
)

// checkToken requests a token with the credentials. If the endpoint requires a client
// type, it tries all.
func (p *probe) checkToken(ctx context.Context) []report.Entry {
	switch {
	case p.noToken != "":
		return one(report.NewSkipped("%s", p.noToken))
	case len(p.credentials) == 0:
		p.noToken = "no credentials: set --cookie, --bearer, --user or --header"
		return one(report.NewSkipped("%s", p.noToken))
	}
	p.noToken = "the credentials get no token"
	clientTypes := []string{p.only}
	if p.only == "" && p.service != humanAPI {
		clientTypes = append(clientTypes, clienttype.All...)
	}
	var first *response
	for _, clientType := range clientTypes {
		r := p.do(ctx, request{clientType: clientType})
		if r.isToken() {
			p.token, p.document, p.clientType = r, parse(r), clientType
			return p.tokenFound()
		}
		if first == nil || requiresMore(first) {
			first = r
		}
		if r.err != nil || !requiresMore(r) {
			break
		}
	}
	return one(p.unexpected(first))
}

// tokenFound returns the entry for the first token, and sets the service.
func (p *probe) tokenFound() []report.Entry {
	found := p.document.recognize()
	if p.service != nil && p.service != found {
		p.token, p.noToken = nil, "the token is of another service"
		return one(report.NewProblem("check the URL, or correct --service", "the response is a token of %s, not of %s", found.title, p.service.title))
	}
	p.service = found
	e := report.NewOK("the credentials get a token of %s", found.title)
	if p.clientType != "" && p.only == "" {
		e.Detail += " with the client type " + p.clientType + "; without a client type they get none"
	}
	if p.token.status != http.StatusOK {
		return []report.Entry{e, report.NewWarning("respond with 200", "the status is %d: an app that expects 200 takes it for an error", p.token.status)}
	}
	return one(e)
}

// checkFields reports fields that are missing or have the wrong type.
func (p *probe) checkFields(context.Context) (all []report.Entry) {
	s, d := p.service, p.document
	known := 0
	for _, f := range s.fields {
		v, present := d.members[f.name]
		if present {
			known++
		}
		switch {
		case f.name == "refreshTokenExpiresIn" && !present && d.members["expiresIn"] != nil:
			all = append(all, report.NewWarning(s.fix, "refreshTokenExpiresIn is missing: %s reads it. Huma's own response has only expiresIn, which is the same", f.reader))
		case !present && f.reader != "":
			all = append(all, report.NewProblem(s.fix, "%s is missing: %s cannot sign in the user without it", f.name, f.reader))
		case present && !f.hasType(v):
			all = append(all, report.NewProblem(s.fix, "%s must be %s, but is %s: an app that expects the right type cannot parse the response", f.name, f.typeName(), typeName(v)))
		case v == "":
			all = append(all, report.NewProblem(s.fix, "%s is empty", f.name))
		}
	}
	if token, _ := d.members["token"].(string); s == humanAPI && token != "" && token != d.token(s) {
		all = append(all, report.NewProblem(s.fix, "token differs from session_token or id_token: apps may read either"))
	}
	for _, name := range []string{"id_refresh_token", "client_secret", "secret"} {
		if _, present := d.members[name]; present {
			all = append(all, report.NewProblem("keep it on the server", "the response contains %s, which must not leave the server", name))
		}
	}
	if all != nil {
		return all
	}
	detail := fmt.Sprintf("the fields that the SDKs of %s read are there", s.title)
	if further := len(d.members) - known; further > 0 {
		detail += fmt.Sprintf(", and %d more", further)
	}
	return one(report.NewOK("%s", detail))
}

// hasType reports whether v has the type of the field.
func (f *field) hasType(v any) bool {
	if !f.seconds {
		_, isText := v.(string)
		return isText
	}
	n, isNumber := v.(json.Number)
	_, err := n.Int64()
	return isNumber && err == nil
}

func (f *field) typeName() string {
	if f.seconds {
		return "a whole number"
	}
	return "a text"
}

// typeName returns the type of a JSON value.
func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a text"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "a number with a fraction"
		}
		return "a number"
	case []any:
		return "a list"
	}
	return "an object"
}

// checkLifetimes reports lifetimes that are no plausible numbers of seconds.
func (p *probe) checkLifetimes(context.Context) (all []report.Entry) {
	fix := "respond with the whole seconds that remain until the token expires"
	var found []string
	for _, f := range p.service.fields {
		seconds, ok := p.document.lifetime(f.name)
		if !f.seconds || !ok {
			continue
		}
		found = append(found, fmt.Sprintf("%s is %d seconds", f.name, seconds))
		switch {
		case seconds < 0:
			all = append(all, report.NewProblem(fix, "%s is negative: apps treat the token as expired", f.name))
		case seconds == 0:
			all = append(all, report.NewWarning(fix, "%s is 0, which means expired, or an unknown lifetime: apps request a new token at each use", f.name))
		case seconds >= 1e9: // in 2001, and more than 31 years
			all = append(all, report.NewProblem(fix, "%s looks like a time (Unix time) and not like a lifetime: apps use the token long after it has expired", f.name))
		case seconds > f.longest:
			all = append(all, report.NewWarning(fix, "%s is %d days, which is unusually long: it may be in milliseconds", f.name, seconds/day))
		case seconds < 10:
			all = append(all, report.NewWarning("respond with a new token some time before the old one expires", "%s is %d seconds: the token expires before an app can use it", f.name, seconds))
		}
	}
	auth, okAuth := p.document.lifetime("authTokenExpiresIn")
	refresh, okRefresh := p.document.lifetime("refreshTokenExpiresIn")
	if okAuth && okRefresh && refresh > 0 && auth > refresh {
		all = append(all, report.NewWarning(fix, "authTokenExpiresIn is longer than refreshTokenExpiresIn: the two may be swapped"))
	}
	if more, ok := p.document.lifetime("expiresIn"); ok && okRefresh && more != refresh {
		all = append(all, report.NewWarning(fix, "expiresIn differs from refreshTokenExpiresIn: both are the lifetime of the refresh token"))
	}
	switch {
	case all != nil:
		return all
	case found == nil:
		return one(report.NewSkipped("the response has no lifetime that is a number"))
	}
	return one(report.NewOK("%s", strings.Join(found, ", ")))
}

// checkClientType requests a token for each client type, and for an unknown one.
func (p *probe) checkClientType(ctx context.Context) (all []report.Entry) {
	if !p.service.clientTypes {
		return one(report.NewSkipped("tokens of %s have no client type", p.service.title))
	}
	clientTypes := clienttype.All
	if p.only != "" {
		clientTypes = []string{p.only}
	}
	var granted, refused []string
	for _, clientType := range clientTypes {
		switch r := p.do(ctx, request{clientType: clientType}); {
		case r.isToken():
			granted = append(granted, clientType)
		case r.err == nil && requiresMore(r):
			refused = append(refused, clientType)
		default:
			e := p.unexpected(r)
			e.Detail = clientType + ": " + e.Detail
			all = append(all, e)
		}
	}
	if len(granted) > 0 {
		e := report.NewOK("%s: token issued", strings.Join(granted, ", "))
		if len(refused) > 0 {
			e.Detail += "; " + strings.Join(refused, ", ") + ": not configured"
		}
		all = append(all, e)
	}
	return append(all, p.unknownClientType(ctx))
}

// unknownClientType requests a token for a client type that does not exist.
func (p *probe) unknownClientType(ctx context.Context) report.Entry {
	r := p.do(ctx, request{clientType: "caddy-huma-probe"})
	fix := "respond with 400 to an unknown client type (" + string(problem.ClientTypeUnknown) + ")"
	switch {
	case r.err != nil:
		return p.unexpected(r)
	case r.isToken():
		return report.NewWarning(fix, "an unknown client type gets a token: an app with a misspelled client type gets the token of another kind of app")
	case r.status >= 400 && r.status < 500:
		return report.NewOK("an unknown client type is refused with %s", r.describe())
	}
	return report.NewWarning(fix, "an unknown client type gets status %d: an app cannot tell its own mistake from an outage, and tries again", r.status)
}
