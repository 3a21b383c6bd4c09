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

// client follows no redirect and keeps no cookie. All names are this machine.
var client = &http.Client{
	Timeout:       patience,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
	},
}

// site is a site of a Caddy, and a sandbox that stands in for Huma.
type site struct {
	caddy *process
	url   string // of the site
	huma  string // of the sandbox
	port  string // of all sites
}

// startSite runs Caddy with sites on one port. In their text, HUMA stands for
// the options of huma_token that say whose service it is.
func startSite(t *testing.T, port, text string) *site {
	t.Helper()
	return startSiteWith(t, port, "", text)
}

// startSiteWith is startSite with further global options.
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

// startCaddy runs Caddy with global options and sites, one of which listens at address.
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

// answer is an HTTP response.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any // nil if the body is no JSON object
}

// do makes a request, whose body is a form, JSON or nothing.
func do(t *testing.T, method, address string, header http.Header, body any) answer {
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
	a := answer{status: res.StatusCode, header: res.Header, body: string(b)}
	_ = json.Unmarshal(b, &a.json)
	return a
}

// token asks the site for a token.
func (s *site) token(t *testing.T, header http.Header) answer {
	t.Helper()
	a := do(t, http.MethodGet, s.url+"/private/huma-token", header, nil)
	return a
}

// account is a user of Huma's.
type account struct {
	Email, UID string
	Profile    struct {
		UserAttributes struct{ GivenName, FamilyName string }
	}
}

// accounts are the users of Huma's, by address.
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

// wantToken fails unless these headers get the token of that user of Huma's.
func (s *site) wantToken(t *testing.T, header http.Header, email string) {
	t.Helper()
	a := s.token(t, header)
	if a.status != http.StatusOK || len(a.json) != 6 || a.json["authToken"] == "" {
		t.Fatalf("%d %s, want 200 and six members", a.status, a.body)
	}
	u, ok := s.accounts(t)[email]
	if !ok || a.json["uid"] != u.UID {
		t.Fatalf("the token is of %v, want that of %s (%s)", a.json["uid"], email, u.UID)
	}
	if got := a.header.Get("Cache-Control"); got != "private, no-store" {
		t.Errorf("Cache-Control %q", got)
	}
}

// wantRefusal fails unless these headers are refused in that way, and Huma
// hears nothing of it. The code is empty where somebody else refuses them.
func (s *site) wantRefusal(t *testing.T, header http.Header, status int, code string) answer {
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

// wantNames fails unless Huma knows that user by these names.
func (s *site) wantNames(t *testing.T, email, first, last string) {
	t.Helper()
	got := s.accounts(t)[email].Profile.UserAttributes
	if got.GivenName != first || got.FamilyName != last {
		t.Errorf("%s is %q %q, want %q %q", email, got.GivenName, got.FamilyName, first, last)
	}
}

// wantQuietLog fails if the log has any of these in it.
func (s *site) wantQuietLog(t *testing.T, secrets ...string) {
	t.Helper()
	log := s.caddy.out.String()
	for _, secret := range append(secrets, "sandbox-secret") {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log:\n%s", secret, log)
		}
	}
}

// wantQuietLines fails if a line of the log that huma_token wrote has any of these in
// it. Other lines may: the tests turn on the debug log, in which reverse_proxy prints
// headers.
func (s *site) wantQuietLines(t *testing.T, secrets ...string) {
	t.Helper()
	for line := range strings.Lines(s.caddy.out.String()) {
		for _, secret := range append(secrets, "sandbox-secret") {
			if strings.Contains(line, "huma_token") && !strings.Contains(line, "reverse_proxy") && strings.Contains(line, secret) {
				t.Errorf("%q is in the log:\n%s", secret, line)
			}
		}
	}
}
