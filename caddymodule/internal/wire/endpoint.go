package wire

import (
	"net/url"
	"strings"
)

// Endpoint returns the URL of a call: path appended to the base URL api. The base may
// have a path. Its trailing slash, query and fragment are ignored.
func Endpoint(api *url.URL, path string) url.URL {
	escaped := strings.TrimRight(api.EscapedPath(), "/") + path
	plain, _ := url.PathUnescape(escaped) // no error: EscapedPath returns a valid encoding
	return url.URL{Scheme: api.Scheme, Host: api.Host, Path: plain, RawPath: escaped}
}
