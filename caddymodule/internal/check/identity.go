package check

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
)

// checkIdentity warns about options that identify the user, but that another person may
// influence.
func checkIdentity(t *target) (warnings []report.Entry) {
	var email, auth string
	option := "auth_server"
	switch c := &t.directive.Common; {
	case c.Userinfo != nil:
		email, auth, option = "response "+c.Userinfo.Email, c.Userinfo.URL, "userinfo"
	case c.Identity != nil:
		email = c.Identity.Email
		if c.Identity.AuthServer != nil {
			auth = c.Identity.AuthServer.URL
		}
	}
	if claim := chosenByUsers(email); claim != "" {
		warnings = append(warnings, report.NewWarning("email … email, unless the users of one directory cannot change "+claim,
			"email is read from %s, which users choose themselves in Keycloak, Zitadel, authentik and Okta: a user could take the address of another", claim))
	}
	if t.acceptsUnstated() {
		warnings = append(warnings, report.NewWarning("verified "+presets.ParseSource(email).From+" email_verified, or the claim with which your provider states it",
			"identity has verify without the option verified: a token that does not state whether its email address is verified is accepted"))
	}
	if u, err := url.Parse(auth); err == nil && u.Scheme == "http" && !isPrivate(u.Hostname()) {
		warnings = append(warnings, report.NewWarning("https://"+u.Host,
			"%s is called without TLS at %s, which is not a name of a private network: the credentials of users and the response can be read and changed on the way", option, u.Hostname()))
	}
	return warnings
}

// acceptsUnstated reports whether users are identified by the address in tokens that need
// not state whether the address is verified. Presets decide that for each provider.
func (t *target) acceptsUnstated() bool {
	c := t.directive.Common.Identity
	return c != nil && c.Preset == "" && c.Verify != nil && c.Verified == "" && !t.directive.Service.ByID
}

// chosenByUsers returns the claim of a source of an address that users of common identity
// providers choose themselves, or "".
func chosenByUsers(source string) string {
	for _, text := range presets.ParseSource(source).Paths {
		path, err := claims.ParsePath(text)
		if err != nil || len(path) == 0 {
			continue
		}
		switch name := path[len(path)-1]; name {
		case "preferred_username", "nickname":
			return name
		}
	}
	return ""
}

// privateSuffixes are domains that are not in the public DNS.
var privateSuffixes = []string{".internal", ".local", ".localhost", ".home.arpa", ".lan", ".test"}

// isPrivate reports whether a host is in a private network: a name without a dot, such as
// that of a container, a name in a private domain, or a private or loopback address.
func isPrivate(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, suffix := range privateSuffixes {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return !strings.Contains(host, ".")
}
