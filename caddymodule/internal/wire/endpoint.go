package wire

import (
	"net/url"
	"strings"
)

// Endpoint returns the address of a call below a base address. The base may
// have a path; a trailing slash, a query and a fragment are ignored.
func Endpoint(api *url.URL, path string) url.URL {
	if api == nil {
		api = new(url.URL)
	}
	escaped := strings.TrimRight(api.EscapedPath(), "/") + path
	plain, _ := url.PathUnescape(escaped) // EscapedPath returns a valid one
	return url.URL{Scheme: api.Scheme, Host: api.Host, Path: plain, RawPath: escaped}
}
