// Package cors implements the option allow_origins: it sets the headers that let web apps
// of other origins call the endpoint and read its responses (Fetch Standard, section 3.3,
// CORS protocol).
//
// It decides per response, and a listed origin is also exempt from the option cross_site.
// The common CORS libraries do not fit: they wrap a handler, use the first of several
// Origin headers, reflect what a preflight asks for, and leave errors such as 405 without
// headers.
package cors

import (
	"net/http"
	"slices"
	"strings"
)

// Policy holds the origins whose pages may call an endpoint. It is immutable and safe for
// concurrent use. A nil *Policy allows none, and sets no headers.
type Policy struct {
	origins map[string]struct{}
	headers string // the value of Access-Control-Allow-Headers
}

const (
	// allowMethods is the value of Access-Control-Allow-Methods.
	allowMethods = "GET, POST, DELETE"
	// maxAge is the value of Access-Control-Max-Age in seconds. Chromium uses no greater
	// one.
	maxAge = "7200"
)

// allowHeaders are the request headers that pages may always set. fetch with the cache
// modes reload and no-store sets Cache-Control and Pragma.
var allowHeaders = []string{"Authorization", "Content-Type", "Cache-Control", "Pragma"}

// New returns the policy that allows origins, which CheckOrigin must have accepted, and
// request headers in addition to allowHeaders, by their canonical names. Without origins
// it returns nil.
func New(origins, headers []string) *Policy {
	if len(origins) == 0 {
		return nil
	}
	p := &Policy{origins: make(map[string]struct{}, len(origins))}
	for _, origin := range origins {
		p.origins[origin] = struct{}{}
	}
	names := slices.Clone(allowHeaders)
	for _, name := range headers {
		if !isForbidden(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names[len(allowHeaders):])
	p.headers = strings.Join(names, ", ")
	return p
}

// forbidden lists request headers that pages cannot set (Fetch Standard, section 2.2.2,
// forbidden request-header), and that the options of an endpoint may name.
var forbidden = []string{"Access-Control-Request-Headers", "Access-Control-Request-Method", "Cookie", "Date", "Dnt", "Host", "Origin", "Referer", "Via"}

func isForbidden(name string) bool {
	return slices.Contains(forbidden, name) || strings.HasPrefix(name, "Sec-") || strings.HasPrefix(name, "Proxy-")
}

// Allows reports whether a request has the header Origin exactly once, with an allowed
// origin.
func (p *Policy) Allows(request http.Header) bool {
	if p == nil {
		return false
	}
	origin := request["Origin"]
	if len(origin) != 1 {
		return false
	}
	_, ok := p.origins[origin[0]]
	return ok
}

// SetHeaders sets the headers that let the page that sent a request read the response.
// If its origin is not allowed, SetHeaders removes Access-Control-Allow-Origin, which
// another handler may have set: the option alone decides which pages read a token. The
// caller must set Vary.
func (p *Policy) SetHeaders(response, request http.Header) {
	switch {
	case p == nil:
		return
	case !p.Allows(request):
		delete(response, "Access-Control-Allow-Origin")
		return
	}
	values := [...]string{request["Origin"][0], "true", "Retry-After"} // one allocation for all
	response["Access-Control-Allow-Origin"] = values[0:1:1]
	response["Access-Control-Allow-Credentials"] = values[1:2:2]
	response["Access-Control-Expose-Headers"] = values[2:3:3]
}

// SetPreflight adds the headers of the response to a preflight to those of SetHeaders. It
// does nothing if a request with the method OPTIONS is not a preflight of an allowed
// origin.
func (p *Policy) SetPreflight(response, request http.Header) {
	if !p.Allows(request) || request.Get("Access-Control-Request-Method") == "" {
		return
	}
	response.Set("Access-Control-Allow-Methods", allowMethods)
	response.Set("Access-Control-Allow-Headers", p.headers)
	response.Set("Access-Control-Max-Age", maxAge)
}
