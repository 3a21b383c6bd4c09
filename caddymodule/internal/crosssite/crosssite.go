// Package crosssite recognizes requests that a browser sends for a page of another
// site.
package crosssite

import (
	"net/http"
	"net/url"
	"strings"
)

// Is reports whether a browser sends a request on behalf of a page of
// another site. A browser says so in Sec-Fetch-Site (Fetch Metadata Request
// Headers, section 2.1). One that does not know this header sends Origin with
// requests that are not plain navigation or embedding: then that origin's host
// and port have to be those of the request. Other clients send neither.
//
// What else the request carries does not matter: proxies and other handlers can
// set Authorization on a request that a page of another site started.
//
// trusted reports whether the direct peer is one of the server's
// trusted_proxies, whose X-Forwarded-Host counts.
func Is(host string, header http.Header, trusted func() bool) bool {
	known := false
	for _, site := range header["Sec-Fetch-Site"] {
		if strings.EqualFold(strings.TrimSpace(site), "cross-site") {
			return true
		}
		known = known || site != ""
	}
	if known {
		return false
	}
	for _, origin := range header["Origin"] {
		if isOriginOf(origin, host) {
			continue
		}
		forwarded, _, _ := strings.Cut(header.Get("X-Forwarded-Host"), ",")
		if forwarded == "" || !trusted() || !isOriginOf(origin, strings.TrimSpace(forwarded)) {
			return true
		}
	}
	return false
}

// isOriginOf reports whether an Origin has this host and port. The scheme does
// not count, because a proxy in front may be the one that speaks TLS. "null" is
// the origin of no host.
func isOriginOf(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return false
	}
	port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	return strings.EqualFold(strings.TrimSuffix(u.Host, port), strings.TrimSuffix(host, port))
}
