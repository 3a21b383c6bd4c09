package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// apacheBinary is Apache httpd; its modules are in apacheModules.
const (
	apacheBinary  = "/usr/sbin/apache2"
	apacheModules = "/usr/lib/apache2/modules/"
)

// startApache runs Apache httpd with mod_auth_openidc on a port, in front of upstream.
func startApache(t *testing.T, p *provider, port, upstream, text string) *process {
	t.Helper()
	if _, err := os.Stat(apacheModules + "mod_auth_openidc.so"); err != nil {
		t.Fatal("Apache httpd or mod_auth_openidc is not installed: run .ci/e2e, which installs it on Debian and lists the packages")
	}
	// The workers of Apache do not run as root and cannot read t.TempDir.
	dir, err := os.MkdirTemp("", "apache")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ca := filepath.Join(dir, "ca.crt")
	write(t, ca, string(read(t, p.ca)))
	config := "ServerRoot " + dir + "\n"
	for _, module := range []string{"mpm_event", "authn_core", "authz_core", "authz_user", "auth_openidc", "proxy", "proxy_http", "headers"} {
		config += "LoadModule " + module + "_module " + apacheModules + "mod_" + module + ".so\n"
	}
	if os.Getuid() == 0 {
		config += "User " + chownUnprivileged(t, dir) + "\nGroup www-data\n"
	}
	config += `ServerName 127.0.0.1
Listen 127.0.0.1:` + port + `
PidFile pid
Mutex file:` + dir + `
ErrorLog /dev/stderr
OIDCProviderMetadataURL ` + p.issuer + `/.well-known/openid-configuration
OIDCClientID apache
OIDCClientSecret ` + clientSecret + `
OIDCCABundlePath ` + ca + `
OIDCScope "openid profile email"
OIDCCryptoPassphrase an-invented-passphrase
OIDCRedirectURI http://127.0.0.1:` + port + `/callback
ProxyPass /callback !
ProxyPass / ` + upstream + `/
` + text
	path := filepath.Join(dir, "apache.conf")
	write(t, path, config)
	return start(t, dir, "127.0.0.1:"+port, nil, apacheBinary, "-d", dir, "-f", path, "-DFOREGROUND")
}

// apacheSite is a site behind Apache httpd.
type apacheSite struct {
	name     string
	apache   string // lines of the config of Apache
	options  string // global options of Caddy
	identity string
}

// startApacheSites runs the provider and returns a function that starts a site.
func startApacheSites(t *testing.T, sites []apacheSite) (*provider, func(*testing.T, apacheSite) *site) {
	t.Helper()
	client, ports := relyingParty{tokenLifetime: time.Hour}, map[string]string{}
	for _, site := range sites {
		ports[site.name] = freePort(t)
		client.redirects = append(client.redirects, "http://127.0.0.1:"+ports[site.name]+"/callback")
	}
	p := startProvider(t, map[string]relyingParty{"apache": client})
	return p, func(t *testing.T, a apacheSite) *site {
		t.Helper()
		port := freePort(t)
		s := startSiteWith(t, port, a.options, `http://127.0.0.1:`+port+` {
	huma_token {
		HUMA
		`+a.identity+`
		trust proxies 127.0.0.1
	}
	respond "the application"
}
`)
		startApache(t, p, ports[a.name], s.url, a.apache)
		s.url = "http://127.0.0.1:" + ports[a.name]
		return s
	}
}

// userinfo returns an identity block for a header that contains the claims as JSON.
func userinfo(header string) string {
	return "identity {\nemail " + header + " email\nname " + header + " name\n}"
}

// TestApache checks sites behind mod_auth_openidc.
func TestApache(t *testing.T) {
	const protected = `<Location />
	AuthType openid-connect
	Require valid-user
</Location>
`
	sites := []apacheSite{
		// Since version 2.4.14, OIDCPassUserInfoAs json:X-Userinfo does the same. Debian
		// 12 has 2.4.12.
		{"json", protected + `OIDCPassUserInfoAs json
RequestHeader unset X-Userinfo early
RequestHeader set X-Userinfo "%{OIDC_userinfo_json}e"
`, "", userinfo("X-Userinfo")},
		{"header with underscores", protected + "OIDCPassUserInfoAs json\n",
			"servers {\nexpected_underscore_headers OIDC_userinfo_json\n}", userinfo("OIDC_userinfo_json")},
		{"claims", protected + "OIDCPassUserInfoAs claims\nOIDCClaimPrefix X-Oidc-\n",
			"servers {\nexpected_underscore_headers X-Oidc-email_verified\n}",
			"identity {\nemail X-Oidc-Email\nname X-Oidc-Name\nverified X-Oidc-email_verified\n}"},
	}
	const claims = `{"email":"` + doctor + `","email_verified":true,"name":"Doctor Who"}`
	forgeries := map[string]http.Header{
		"json":        {"X-Userinfo": {claims}, "X_Userinfo": {claims}},
		"twice":       {"X-Userinfo": {claims, claims}},
		"underscores": {"OIDC_userinfo_json": {claims}, "OIDC-userinfo-json": {claims}, "OIDC_userinfo-json": {claims}},
		"claims":      {"X-Oidc-Email": {doctor}, "X-Oidc-Name": {"Doctor Who"}, "X_Oidc_Email": {doctor}, "X-Oidc_email": {doctor}},
		"lower case":  {"x-userinfo": {claims}, "oidc_userinfo_json": {claims}, "x-oidc-email": {doctor}},
		"verified":    {"X-Oidc-email_verified": {"1"}, "X-Oidc-email-verified": {"1"}, "OIDC_CLAIM_email_verified": {"1"}},
		"user":        {"Remote_user": {doctor}, "X-Remote-User": {doctor}},
	}
	p, startSite := startApacheSites(t, sites)
	for _, a := range sites {
		t.Run(a.name, func(t *testing.T) {
			s := startSite(t, a)
			browsers := map[string]*browser{}
			for _, name := range []string{"rtyler", "dwho", "msmith"} {
				browsers[name] = p.newBrowser(t)
				if at := browsers[name].signIn(t, s.url+"/", name); at.body != "the application" {
					t.Fatalf("%s signed in and gets %v", name, at)
				}
			}
			session := browsers["rtyler"].header(t, s.url)
			for name, header := range forgeries {
				t.Run("forged "+name, func(t *testing.T) {
					s.wantToken(t, withHeaders(header, "Cookie", session.Get("Cookie")), rose)
					// Requests whose Accept does not contain HTML are not redirected.
					s.wantRejection(t, header, http.StatusUnauthorized, "")
					s.wantRejection(t, withHeaders(header, "Accept", "application/json"), http.StatusUnauthorized, "")
					s.wantRejection(t, withHeaders(browsers["msmith"].header(t, s.url), "X-Oidc-email_verified", "1"), http.StatusForbidden, "email_unverified")
				})
			}
			s.wantNames(t, rose, "Rose", "Tyler")
			s.wantToken(t, browsers["dwho"].header(t, s.url), doctor)
			s.wantNames(t, doctor, "René", "Müller")
			s.wantNotLoggedByHuma(t, rose, doctor, "Müller", "René")

			browsers["rtyler"].CheckRedirect = client.CheckRedirect
			if at := browsers["rtyler"].open(t, s.url+"/callback?logout=http%3A%2F%2F127.0.0.1%2F", nil); at.status != http.StatusFound {
				t.Fatalf("sign out: %v", at)
			}
			s.wantRejection(t, session, http.StatusUnauthorized, "") // the server has ended the session, not only the cookie
			s.wantToken(t, browsers["dwho"].header(t, s.url), doctor)
		})
	}
}

// TestApachePaths checks that Apache compares paths case-sensitively, and Caddy does not.
// If Apache protects only the path of the tokens, it must not pass the header on for any
// other path.
func TestApachePaths(t *testing.T) {
	const protected = `OIDCPassUserInfoAs json
<Location /private>
	AuthType openid-connect
	Require valid-user
	RequestHeader set X-Userinfo "%{OIDC_userinfo_json}e"
</Location>
`
	sites := []apacheSite{
		{"header only set", protected, "", userinfo("X-Userinfo")},
		{"header unset early", "RequestHeader unset X-Userinfo early\n" + protected, "", userinfo("X-Userinfo")},
	}
	// statuses holds the status for a forged header on a path without an Apache rule.
	statuses := map[string]int{"header only set": http.StatusOK, "header unset early": http.StatusUnauthorized}
	forged := http.Header{"X-Userinfo": {`{"email":"` + doctor + `","email_verified":true}`}}
	_, startSite := startApacheSites(t, sites)
	for _, a := range sites {
		t.Run(a.name, func(t *testing.T) {
			s, want := startSite(t, a), statuses[a.name]
			s.wantRejection(t, forged, http.StatusUnauthorized, "")
			if a := do(t, http.MethodGet, s.url+"/Private/huma-token", forged, nil); a.status != want {
				t.Errorf("/Private: %d %s, want %d", a.status, a.body, want)
			}
		})
	}
}
