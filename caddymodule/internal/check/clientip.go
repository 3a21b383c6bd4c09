package check

import (
	"cmp"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// checkClientIP checks which client address Huma gets as the ipAddress of a new user.
func checkClientIP(s *target) checkResult {
	if s.directive.Service != endpoint.Huma || !s.directive.Registers() {
		return skippedResult("nobody is signed up")
	}
	headers := strings.Join(s.directive.Server.ClientIPHeaders, ", ")
	ranges, sign := s.proxyInFront()
	write := "in the global options: servers { trusted_proxies static " + ranges + " } on three lines"
	switch {
	case s.directive.Proxy.Set || s.directive.Server.TrustedProxiesUnix:
		found := "Huma is sent the client's address that a trusted proxy names in " + cmp.Or(headers, "X-Forwarded-For")
		if s.directive.Server.TrustedProxiesStrict == 0 {
			found += "; if the proxy adds to what a client sends there, write trusted_proxies_strict too"
		}
		return okResult("%s", found)
	case headers != "":
		return problemResult(write, "%s is not looked at without trusted_proxies: Huma is sent the address of whoever connects", headers)
	case sign != "":
		return warningResult(write, "%s, so a proxy is in front, and Huma is sent the proxy's address for every user", sign)
	}
	return okResult("Huma is sent the address of whoever connects; if that is a proxy, it needs trusted_proxies")
}

// proxyInFront looks for a sign in the config that a proxy is in front of the server. It
// returns the sign, or "" if there is none, and the address ranges to trust.
func (s *target) proxyInFront() (ranges, sign string) {
	ranges = "private_ranges"
	if t := s.directive.Common.Trust; t != nil && t.Mode == config.TrustProxies && len(t.Ranges) > 0 {
		return strings.Join(t.Ranges, " "), "`trust proxies` names proxies"
	}
	if i := s.directive.Common.Identity; i != nil && i.Verify != nil {
		if _, known := presets.Find(i.Preset); known {
			return ranges, "`identity " + i.Preset + "` reads what a proxy adds"
		}
	}
	return ranges, ""
}
