package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// oauth2Proxy is how a test wants oauth2-proxy.
type oauth2Proxy struct {
	site     string        // the URL of the site, where browsers reach it
	address  string        // where it listens
	upstream string        // the URL of what it is in front of; none if Caddy calls it
	claims   bool          // with claims in headers, in an alpha config; else with flags alone
	expire   time.Duration // of a session
	refresh  time.Duration // after which the provider is asked again
}

// proxyClient is the id of oauth2-proxy at the provider.
const proxyClient = "oauth2-proxy"

// startOAuth2Proxy runs oauth2-proxy for the users of a provider. With claims, it also lets
// users in whose address is not verified, and says so.
func startOAuth2Proxy(t *testing.T, p *provider, o oauth2Proxy) *process {
	t.Helper()
	binary, err := oauth2ProxyBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config, alpha := filepath.Join(dir, "oauth2-proxy.cfg"), filepath.Join(dir, "alpha.yaml")
	args := []string{"--config", config}
	text := fmt.Sprintf(`email_domains = ["*"]
cookie_secret = "an-invented-cookie-secret-123456"
cookie_secure = false
cookie_expire = %q
cookie_refresh = %q
redirect_url = "%s/oauth2/callback"
skip_provider_button = true
`, o.expire, o.refresh, o.site)
	if o.upstream == "" {
		text += `reverse_proxy = true
trusted_proxy_ips = ["127.0.0.1"]
`
	} else {
		// Apps get 401 instead of a redirect, and a part of the site is open to everybody.
		text += `api_routes = ["^/private/"]
skip_auth_routes = ["^/open/"]
`
	}
	if o.claims {
		args = append(args, "--alpha-config", alpha)
		write(t, alpha, o.alpha(t, p))
	} else {
		text += fmt.Sprintf(`provider = "oidc"
oidc_issuer_url = %q
provider_ca_files = [%q]
client_id = %q
client_secret = %q
scope = "openid email profile"
http_address = %q
set_xauthrequest = true
`, p.issuer, p.ca, proxyClient, clientSecret, o.address)
		if o.upstream != "" {
			text += fmt.Sprintf("upstreams = [%q]\n", o.upstream)
		}
	}
	write(t, config, text)
	return start(t, dir, o.address, nil, binary, args...)
}

// alpha returns the alpha config, which is YAML, as JSON.
func (o *oauth2Proxy) alpha(t *testing.T, p *provider) string {
	t.Helper()
	headers := func(prefix string) []any {
		var list []any
		for _, claim := range []string{"user", "email", "email_verified", "given_name", "family_name"} {
			name := prefix + strings.ReplaceAll(claim, "_", "-")
			list = append(list, map[string]any{"name": name, "values": []any{map[string]any{"claimSource": map[string]any{"claim": claim}}}})
		}
		return list
	}
	config := map[string]any{
		"server":                map[string]any{"bindAddress": o.address},
		"injectRequestHeaders":  headers("X-Forwarded-"),
		"injectResponseHeaders": headers("X-Auth-Request-"),
		"providers": []any{map[string]any{
			"id": "provider", "provider": "oidc", "caFiles": []string{p.ca},
			"clientID": proxyClient, "clientSecret": clientSecret, "scope": "openid email profile",
			"additionalClaims": []string{"email_verified", "given_name", "family_name"},
			"oidcConfig": map[string]any{
				"issuerURL": p.issuer, "insecureAllowUnverifiedEmail": true,
				"emailClaim": "email", "audienceClaims": []string{"aud"},
			},
		}},
	}
	if o.upstream != "" {
		config["upstreamConfig"] = map[string]any{"upstreams": []any{map[string]any{"id": "caddy", "path": "/", "uri": o.upstream}}}
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
