package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// oauth2Proxy holds the settings of oauth2-proxy for a test.
type oauth2Proxy struct {
	site     string        // the URL of the site for browsers
	address  string        // the address that it listens on
	upstream string        // the URL of the upstream if oauth2-proxy is in front of Caddy; otherwise empty
	claims   bool          // with claims in headers, by an alpha config; otherwise by flags
	expire   time.Duration // the lifetime of a session
	refresh  time.Duration // the interval after which the session is checked with the provider
	more     string        // further lines of the config
}

// proxyClient is the client ID of oauth2-proxy at the provider.
const proxyClient = "oauth2-proxy"

// startOAuth2Proxy runs oauth2-proxy for the users of a provider. With claims, it also
// accepts users whose address is not verified, and sends that claim.
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
%s
`, o.expire, o.refresh, o.site, o.more)
	if o.upstream == "" {
		text += `reverse_proxy = true
trusted_proxy_ips = ["127.0.0.1"]
`
	} else {
		// Apps get a 401 response instead of a redirect, and a part of the site is
		// public.
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

// proxyMode is a way to use oauth2-proxy.
type proxyMode struct {
	name string
	// site is the text of the site. PORT and PROXY are replaced by the port of the site
	// and the address of oauth2-proxy.
	site    string
	inFront bool   // oauth2-proxy is in front of the site
	code    string // the error code of a 401 response without a session; empty if oauth2-proxy sends the response
	refresh bool   // the client receives a new cookie of oauth2-proxy
}

// proxyModes holds the documented ways to use oauth2-proxy.
var proxyModes = []proxyMode{
	{name: "auth_server", code: "identity_missing", refresh: true, site: `http://127.0.0.1:PORT {
	huma_token {
		HUMA
		identity oauth2_proxy {
			auth_server http://PROXY
		}
	}
	handle /oauth2/* {
		reverse_proxy PROXY
	}
	respond "the application"
}
`},
	{name: "forward_auth", site: `http://127.0.0.1:PORT {
	handle /oauth2/* {
		reverse_proxy PROXY
	}
	handle {
		forward_auth PROXY {
			uri /oauth2/auth
			copy_headers X-Auth-Request-User X-Auth-Request-Email
		}
		huma_token {
			HUMA
			identity oauth2_proxy
			trust forward_auth PROXY
		}
		respond "the application"
	}
}
`},
	{name: "in front", inFront: true, refresh: true, site: `http://127.0.0.1:PORT {
	huma_token {
		HUMA
		identity oauth2_proxy_upstream
		trust proxies 127.0.0.1
	}
	huma_token /open/huma-token {
		HUMA
		identity oauth2_proxy_upstream
		trust proxies 127.0.0.1
	}
	respond "the application"
}
`},
}

// proxied is a site with oauth2-proxy.
type proxied struct {
	*site
	proxy *process
}

// startProxied runs oauth2-proxy and a site in the given mode. Browsers use the site at
// the given port.
func startProxied(t *testing.T, p *provider, mode proxyMode, port string, o oauth2Proxy) *proxied {
	t.Helper()
	other := freePort(t)
	o.site, o.address = "http://127.0.0.1:"+port, "127.0.0.1:"+other
	sitePort := port
	if mode.inFront {
		o.address, o.upstream = "127.0.0.1:"+port, "http://127.0.0.1:"+other
		sitePort = other
	}
	s := &proxied{site: startSite(t, sitePort, strings.NewReplacer("PORT", sitePort, "PROXY", o.address).Replace(mode.site))}
	s.url = o.site
	s.proxy = startOAuth2Proxy(t, p, o)
	return s
}

// signIn returns a browser with a user who is signed in to the site.
func (s *proxied) signIn(t *testing.T, p *provider, name string) *browser {
	t.Helper()
	b := p.newBrowser(t)
	if at := b.signIn(t, s.url+"/oauth2/start?rd=%2F", name); at.status != http.StatusOK || at.body != "the application" {
		t.Fatalf("%s signed in and gets %v", name, at)
	}
	return b
}
