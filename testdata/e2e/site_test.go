package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// client does not follow redirects or store cookies. It resolves all names to loopback, and
// trusts siteCertificate.
var client = &http.Client{
	Timeout:       processTimeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport: &http.Transport{
		TLSClientConfig: siteTLS(),
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
	},
}

// site is a site of a Caddy, with a sandbox as Huma.
type site struct {
	caddy *process
	url   string // the URL of the site
	huma  string // the URL of the sandbox
	port  string // the port of all sites
}

// startSite runs Caddy with sites on one port. HUMA in text is replaced by the options of
// huma_token about the service.
func startSite(t *testing.T, port, text string) *site {
	t.Helper()
	return startSiteWith(t, port, "", text)
}

// startSiteWith is like startSite, with further global options.
func startSiteWith(t *testing.T, port, options, text string) *site {
	t.Helper()
	dir, address := t.TempDir(), "127.0.0.1:"+freePort(t)
	s := &site{url: "http://127.0.0.1:" + port, huma: "http://" + address, port: port}
	text = strings.ReplaceAll(text, "HUMA", `api `+s.huma+`
		project_id p1
		deployment_id d1
		client_id c1
		secret {env.SANDBOX_SECRET}`)
	s.caddy = startCaddy(t, dir, address, options, text+`
`+s.huma+` {
	huma_sandbox
}
`)
	return s
}

// startCaddy runs Caddy with global options and sites, one of which listens on address.
// Its data is in dir.
func startCaddy(t *testing.T, dir, address, options, text string) *process {
	t.Helper()
	config := filepath.Join(dir, "Caddyfile")
	write(t, config, `{
	default_bind 127.0.0.1
	persist_config off
	admin off
	skip_install_trust
	auto_https disable_redirects
	debug
	`+options+`
}
`+text)
	return start(t, dir, address,
		[]string{"SANDBOX_SECRET=sandbox-secret", "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir},
		caddyBinary, "run", "--config", config, "--adapter", "caddyfile")
}

// at returns another site of the same Caddy.
func (s *site) at(host string) *site {
	other := *s
	other.url = "http://" + host + ":" + s.port
	return &other
}

// response is an HTTP response.
type response struct {
	status int
	header http.Header
	body   string
	json   map[string]any // nil if the body is not a JSON object
}

// do makes a request, whose body is a form, JSON or empty.
func do(t *testing.T, method, address string, header http.Header, body any) response {
	t.Helper()
	var content, kind string
	switch body := body.(type) {
	case nil:
	case url.Values:
		content, kind = body.Encode(), "application/x-www-form-urlencoded"
	default:
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content, kind = string(b), "application/json"
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := response{status: res.StatusCode, header: res.Header, body: string(b)}
	_ = json.Unmarshal(b, &a.json)
	return a
}

// token requests a token from the site.
func (s *site) token(t *testing.T, header http.Header) response {
	t.Helper()
	a := do(t, http.MethodGet, s.url+"/private/huma-token", header, nil)
	return a
}

// account is a user of Huma.
type account struct {
	Email, UID string
	Profile    struct {
		UserAttributes struct{ GivenName, FamilyName string }
	}
}

// accounts returns the users of Huma, by address.
func (s *site) accounts(t *testing.T) map[string]account {
	t.Helper()
	a := do(t, http.MethodGet, s.huma+"/_sandbox/users", nil, nil)
	var list struct{ Users []account }
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		t.Fatal(err)
	}
	users := map[string]account{}
	for _, u := range list.Users {
		users[u.Email] = u
	}
	return users
}

// calls returns the number of calls that Huma has received.
func (s *site) calls(t *testing.T) int {
	t.Helper()
	a := do(t, http.MethodGet, s.huma+"/_sandbox/calls", nil, nil)
	n := 0
	for _, count := range a.json["byOp"].(map[string]any) {
		n += int(count.(float64))
	}
	return n
}

// wantToken checks that a request with these headers gets the token of a user.
func (s *site) wantToken(t *testing.T, header http.Header, email string) {
	t.Helper()
	a := s.token(t, header)
	if a.status != http.StatusOK || len(a.json) != 6 || a.json["authToken"] == "" {
		t.Fatalf("%d %s, want 200 and six members", a.status, a.body)
	}
	u, ok := s.accounts(t)[email]
	if !ok || a.json["uid"] != u.UID {
		t.Fatalf("the token belongs to %v, want %s (%s)", a.json["uid"], email, u.UID)
	}
	if got := a.header.Get("Cache-Control"); got != "private, no-store" {
		t.Errorf("Cache-Control %q", got)
	}
}

// wantRejection checks that a request with these headers is rejected without a call to
// Huma. If code is empty, the response is not one of huma_token.
func (s *site) wantRejection(t *testing.T, header http.Header, status int, code string) response {
	t.Helper()
	before := s.calls(t)
	a := s.token(t, header)
	if got, _ := a.json["code"].(string); a.status != status || got != code {
		t.Fatalf("%d %s, want %d %s", a.status, a.body, status, code)
	}
	if after := s.calls(t); after != before {
		t.Fatalf("%d calls at Huma", after-before)
	}
	return a
}

// wantNames checks the names that Huma has received for a user.
func (s *site) wantNames(t *testing.T, email, first, last string) {
	t.Helper()
	got := s.accounts(t)[email].Profile.UserAttributes
	if got.GivenName != first || got.FamilyName != last {
		t.Errorf("%s is %q %q, want %q %q", email, got.GivenName, got.FamilyName, first, last)
	}
}

// wantNotLogged checks that the log contains none of the secrets.
func (s *site) wantNotLogged(t *testing.T, secrets ...string) {
	t.Helper()
	log := s.caddy.out.String()
	for _, secret := range append(secrets, "sandbox-secret") {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log:\n%s", secret, log)
		}
	}
}

// wantNotLoggedByHuma checks that no log line of huma_token contains one of the secrets.
// Other lines may, because the tests enable the debug log, in which reverse_proxy prints
// headers.
func (s *site) wantNotLoggedByHuma(t *testing.T, secrets ...string) {
	t.Helper()
	for line := range strings.Lines(s.caddy.out.String()) {
		for _, secret := range append(secrets, "sandbox-secret") {
			if strings.Contains(line, "huma_token") && !strings.Contains(line, "reverse_proxy") && strings.Contains(line, secret) {
				t.Errorf("%q is in the log:\n%s", secret, line)
			}
		}
	}
}
