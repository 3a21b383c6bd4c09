// Package crosssite detects requests that a browser sends on behalf of a page of another
// site.
package crosssite

import (
	"net/http"
	"net/url"
	"strings"
)

// Is reports whether a browser sent the request on behalf of a page of another site. host
// is the host of the request.
//
// Browsers send the header Sec-Fetch-Site (Fetch Metadata Request Headers, section 2.1):
// the request is cross-site if the value is cross-site. Old browsers without that header
// send Origin, except with plain navigation and embedding: the request is cross-site if
// the host and port of the origin differ from those of the request. Clients that are not
// browsers send neither header, so their requests are not cross-site.
//
// All other headers are ignored. Authorization, for example, proves nothing: proxies and
// other handlers can set it on a request that a page of another site started.
//
// trusted reports whether the direct peer is one of the server's trusted_proxies. Then
// the host of the origin may also be the first one in X-Forwarded-Host. Is calls trusted
// only if it needs the result.
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

// isOriginOf reports whether an Origin has this host and port. The scheme is ignored,
// because a proxy in front may terminate TLS. The origin "null" matches no host.
func isOriginOf(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return false
	}
	port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	return strings.EqualFold(strings.TrimSuffix(u.Host, port), strings.TrimSuffix(host, port))
}
