package e2e

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// provider is LemonLDAP::NG as an OpenID provider, behind a separate Caddy for TLS.
// Mickey Smith (msmith) has an address that is not verified, and Doctor Who (dwho) has a
// name that is not ASCII.
type provider struct {
	*lemonldap
	issuer string
	ca     string // the file with the certificate authority of issuer
}

// relyingParty is a client of the provider.
type relyingParty struct {
	redirects     []string
	tokenLifetime time.Duration
	algorithm     string // the algorithm of ID tokens; RS256 if empty
}

const clientSecret = "an-invented-client-secret"

// startProvider runs the provider with the given clients, by client ID.
func startProvider(t *testing.T, clients map[string]relyingParty) *provider {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	p := &provider{issuer: "https://localhost:" + port, ca: filepath.Join(dir, "caddy", "pki", "authorities", "local", "root.crt")}
	vars, options := map[string]any{}, map[string]any{}
	for id, client := range clients {
		vars[id] = map[string]string{
			"email": "mail", "email_verified": "verified;bool", "name": "fullName",
			"given_name": "givenName", "family_name": "familyName", "preferred_username": "uid",
		}
		options[id] = map[string]any{
			"oidcRPMetaDataOptionsClientID":     id,
			"oidcRPMetaDataOptionsClientSecret": clientSecret,
			"oidcRPMetaDataOptionsRedirectUris": strings.Join(client.redirects, " "),
			// ID tokens contain the claims, and no consent page is shown.
			"oidcRPMetaDataOptionsIDTokenForceClaims":    1,
			"oidcRPMetaDataOptionsBypassConsent":         1,
			"oidcRPMetaDataOptionsIDTokenSignAlg":        cmp.Or(client.algorithm, "RS256"),
			"oidcRPMetaDataOptionsRefreshToken":          1,
			"oidcRPMetaDataOptionsIDTokenExpiration":     client.tokenLifetime.Seconds(),
			"oidcRPMetaDataOptionsAccessTokenExpiration": client.tokenLifetime.Seconds(),
		}
	}
	config := map[string]any{
		"domain":        "localhost",
		"locationRules": map[string]any{"localhost": map[string]string{"default": "accept"}},
		"macros": map[string]string{
			"_whatToTrace": "lc($_user)",
			"verified":     `$uid eq "msmith" ? 0 : 1`,
			"givenName":    `$uid eq "dwho" ? "Ren\xC3\xA9" : (split / /, $cn)[0]`,
			"familyName":   `$uid eq "dwho" ? "M\xC3\xBCller" : (split / /, $cn)[1]`,
			"fullName":     `$uid eq "dwho" ? "Ren\xC3\xA9 M\xC3\xBCller" : $cn`,
		},
		"issuerDBOpenIDConnectActivation":       1,
		"oidcServiceMetaDataIssuer":             p.issuer,
		"oidcServiceAllowAuthorizationCodeFlow": 1,
		"oidcRPMetaDataOptions":                 options,
		"oidcRPMetaDataExportedVars":            vars,
	}
	newKeys(t, config, "first")
	p.lemonldap = newLemonldap(t, p.issuer+"/", config)
	startCaddy(t, dir, "127.0.0.1:"+port, "", p.issuer+` {
	tls internal
	reverse_proxy `+p.address+` {
		transport fastcgi {
			root /usr/share/lemonldap-ng/portal/htdocs
			env LLTYPE portal
		}
	}
}
`)
	// Caddy listens before it has a certificate.
	b := p.newBrowser(t)
	for end := time.Now().Add(processTimeout); ; time.Sleep(20 * time.Millisecond) {
		res, err := b.Get(p.issuer + "/.well-known/openid-configuration")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return p
			}
		}
		if time.Now().After(end) {
			t.Fatalf("no discovery document: %v, %v", res, err)
		}
	}
}

// newKeys adds a new signing key to the configuration of LemonLDAP::NG.
func newKeys(t *testing.T, config map[string]any, id string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	config["oidcServiceKeyIdSig"] = id
	config["oidcServicePrivateKeySig"] = text("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
	config["oidcServicePublicKeySig"] = text("PUBLIC KEY", public)
}

// rotate restarts the provider with a new signing key, without the old one.
func (p *provider) rotate(t *testing.T, id string) {
	t.Helper()
	p.stop(t)
	newKeys(t, p.config, id)
	p.serve(t)
}

// browser keeps cookies and follows redirects.
type browser struct {
	*http.Client
	provider *provider
}

// newBrowser returns a browser without a session.
func (p *provider) newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(read(t, p.ca)) {
		t.Fatal("no certificate authority")
	}
	authorities.AddCert(siteCertificate())
	return &browser{provider: p, Client: &http.Client{
		Timeout: processTimeout, Jar: jar,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities}, DisableKeepAlives: true},
	}}
}

// page is the page in a browser.
type page struct {
	response
	url *url.URL
}

// open makes a request. If form is not nil, it is the body.
func (b *browser) open(t *testing.T, address string, form url.Values) page {
	t.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html,*/*;q=0.8")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := b.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return page{response{status: res.StatusCode, header: res.Header, body: string(body)}, res.Request.URL}
}

var (
	inputTag  = regexp.MustCompile(`<input[^>]*>`)
	attribute = regexp.MustCompile(`(name|value)="([^"]*)"`)
)

// signIn opens an address that redirects to the provider, signs in there, and returns the
// page to which that leads.
func (b *browser) signIn(t *testing.T, address, name string) page {
	t.Helper()
	at := b.open(t, address, nil)
	if !strings.HasPrefix(at.url.String(), b.provider.issuer) || !strings.Contains(at.body, `name="password"`) {
		t.Fatalf("%s is not the sign-in page:\n%d %s", at.url, at.status, at.body)
	}
	form := url.Values{}
	for _, tag := range inputTag.FindAllString(at.body, -1) {
		input := map[string]string{}
		for _, match := range attribute.FindAllStringSubmatch(tag, -1) {
			input[match[1]] = match[2]
		}
		form.Set(input["name"], input["value"])
	}
	form.Set("user", name)
	form.Set("password", name)
	return b.open(t, at.url.String(), form)
}

// header returns the headers of a request with the browser's cookies for an address.
func (b *browser) header(t *testing.T, address string) http.Header {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	var cookies []string
	for _, c := range b.Jar.Cookies(u) {
		cookies = append(cookies, c.String())
	}
	if len(cookies) == 0 {
		return http.Header{}
	}
	return http.Header{"Cookie": {strings.Join(cookies, "; ")}}
}

// tokens signs a user in at the provider and returns the tokens for a client.
func (p *provider) tokens(t *testing.T, client, redirect, name string) map[string]any {
	t.Helper()
	b := p.newBrowser(t)
	b.CheckRedirect = func(req *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(req.URL.String(), redirect) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	query := url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {redirect},
		"scope": {"openid profile email"}, "state": {"s"}, "nonce": {"n"},
	}
	at := b.signIn(t, p.issuer+"/oauth2/authorize?"+query.Encode(), name)
	to, err := url.Parse(at.header.Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		t.Fatalf("no code: %d %s\n%s", at.status, to, at.body)
	}
	// A request with a session is rejected by this endpoint, so another browser is used.
	at = p.newBrowser(t).open(t, p.issuer+"/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {redirect},
		"client_id": {client}, "client_secret": {clientSecret},
	})
	var tokens map[string]any
	if err := json.Unmarshal([]byte(at.body), &tokens); err != nil || at.status != http.StatusOK {
		t.Fatalf("no tokens: %d %s", at.status, at.body)
	}
	return tokens
}

func (p page) String() string { return fmt.Sprintf("%s: %d %s", p.url, p.status, p.body) }
