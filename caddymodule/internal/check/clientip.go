package check

import (
	"cmp"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
)

// checkClientIP checks which client IP Huma gets as the ipAddress of a new user.
func checkClientIP(t *target) report.Entry {
	if t.directive.Service != endpoint.Huma || !t.directive.SignsUp() {
		return report.NewSkipped("the directive does not sign up users")
	}
	headers := strings.Join(t.directive.Server.ClientIPHeaders, ", ")
	ranges, evidence := t.proxyInFront()
	fix := "in the global options: servers { trusted_proxies static " + ranges + " } (on three lines)"
	switch {
	case t.directive.Proxy.Set || t.directive.Server.TrustedProxiesUnix:
		detail := "Huma gets the client IP that a trusted proxy sends in " + cmp.Or(headers, "X-Forwarded-For")
		if t.directive.Server.TrustedProxiesStrict == 0 {
			detail += "; if the proxy appends to the value that the client sends, also set trusted_proxies_strict"
		}
		return report.NewOK("%s", detail)
	case headers != "":
		return report.NewProblem(fix, "%s is ignored without trusted_proxies: Huma gets the IP address of the direct peer", headers)
	case evidence != "":
		return report.NewWarning(fix, "%s, but trusted_proxies is not set: Huma gets the proxy's IP address for every user", evidence)
	}
	return report.NewOK("Huma gets the IP address of the direct peer; if that is a proxy, set trusted_proxies")
}

// proxyInFront looks for evidence in the config that a proxy is in front of the server.
// It returns the evidence, or "" if there is none, and the address ranges to trust.
func (t *target) proxyInFront() (ranges, evidence string) {
	ranges = "private_ranges"
	if trust := t.directive.Common.Trust; trust != nil && trust.Mode == config.TrustProxies && len(trust.Ranges) > 0 {
		return strings.Join(trust.Ranges, " "), "`trust proxies` names proxies"
	}
	if i := t.directive.Common.Identity; i != nil && i.Verify != nil {
		if row, known := presets.Find(i.Preset); known && row.Provider == nil {
			return ranges, "`identity " + i.Preset + "` reads a header that a proxy sets"
		}
	}
	return ranges, ""
}
