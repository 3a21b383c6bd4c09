package e2e

import (
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSidecarNginx checks a sidecar beside nginx, with oauth2-proxy.
func TestSidecarNginx(t *testing.T) {
	port, auth := freePort(t), "127.0.0.1:"+freePort(t)
	s := startSidecar(t, port)
	p := startProvider(t, map[string]relyingParty{proxyClient: {
		tokenLifetime: time.Hour, redirects: []string{s.url + "/oauth2/callback"},
	}})
	startOAuth2Proxy(t, p, oauth2Proxy{site: s.url, address: auth, expire: time.Hour})
	s.startNginx(t, auth)
	signIn := func(name string) http.Header {
		b := p.newBrowser(t)
		if at := b.signIn(t, s.url+"/oauth2/start?rd=%2F", name); at.body != "the application" {
			t.Fatalf("%s signed in and gets %v", name, at)
		}
		return b.header(t, s.url)
	}
	s.check(t, person{signIn("rtyler"), rose}, person{signIn("dwho"), doctor})
}

// TestSidecarHAProxy checks a sidecar beside HAProxy, with the accounts in its config.
func TestSidecarHAProxy(t *testing.T) {
	s := startSidecar(t, freePort(t))
	s.startHAProxy(t)
	basic := func(name, password string) http.Header {
		return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))}}
	}
	s.wantRejection(t, basic("alice@clinic.example", "builder"), http.StatusUnauthorized, "")
	s.wantRejection(t, basic("bob@clinic.example\r\n", "builder"), http.StatusUnauthorized, "")
	s.check(t, person{basic("alice@clinic.example", "wonderland"), "alice@clinic.example"}, person{basic("bob@clinic.example", "builder"), "bob@clinic.example"})
}

// TestSidecarApache checks a sidecar beside Apache httpd, with mod_auth_openidc.
func TestSidecarApache(t *testing.T) {
	s := startSidecar(t, freePort(t))
	p := startProvider(t, map[string]relyingParty{"apache": {tokenLifetime: time.Hour, redirects: []string{s.url + "/callback"}}})
	p.warmUp(t)
	s.startApache(t, p)
	signIn := func(name string) http.Header {
		b := p.newBrowser(t)
		if at := b.signIn(t, s.url+"/", name); at.body != "the application" {
			t.Fatalf("%s signed in and gets %v", name, at)
		}
		return b.header(t, s.url)
	}
	s.wantRejection(t, signIn("msmith"), http.StatusForbidden, "") // the address is not verified
	s.check(t, person{signIn("rtyler"), rose}, person{signIn("dwho"), doctor})
	s.wantNames(t, doctor, "René", "Müller")
}

// person is a signed-in user, with the headers of the user's requests.
type person struct {
	header http.Header
	email  string
}

// check checks that a sidecar gives each user their own token only, whatever a client
// sends, that it survives an outage, and that it serves load over connections that are kept
// alive.
func (s *sidecar) check(t *testing.T, u, other person) {
	t.Helper()
	s.wantClientIP(t, u)
	s.wantToken(t, other.header, other.email)
	s.wantRejection(t, nil, http.StatusUnauthorized, "")
	s.wantToken(t, merge(u.header, http.Header{"Origin": {s.url}}), u.email) // the proxy passes Host on
	s.wantRejection(t, merge(u.header, http.Header{"Origin": {"https://evil.example"}}), http.StatusForbidden, "cross_site")
	s.wantRejection(t, merge(u.header, http.Header{"Origin": {"https://evil.example"}, "X-Forwarded-Host": {"evil.example"}}), http.StatusForbidden, "cross_site")
	s.wantForgeriesReplaced(t, u, other)
	s.wantSocketClosed(t, other)
	s.wantOutage(t, u)
	s.wantLoad(t, u.header)
	s.wantNotLogged(t, u.email, other.email)
}

// wantForgeriesReplaced checks that neither a client that is not signed in nor a user can
// pass as another one.
func (s *sidecar) wantForgeriesReplaced(t *testing.T, u, other person) {
	t.Helper()
	forgeries := map[string]http.Header{
		"the header":     {"Remote-Email": {other.email}, "Remote-Name": {"Another Name"}},
		"lower case":     {"remote-email": {other.email}},
		"upper case":     {"REMOTE-EMAIL": {other.email}},
		"twice":          {"Remote-Email": {other.email, other.email}},
		"two spellings":  {"Remote-Email": {other.email}, "remote-email": {other.email}, "Remote_Email": {other.email}},
		"underscore":     {"Remote_Email": {other.email}},
		"dot":            {"Remote.Email": {other.email}},
		"empty":          {"Remote-Email": {""}},
		"list":           {"Remote-Email": {u.email + "," + other.email}},
		"hop by hop":     {"Connection": {"Remote-Name, Remote_Email"}, "Remote-Email": {other.email}},
		"auth server":    {"X-Auth-Request-Email": {other.email}, "X-Forwarded-Email": {other.email}, "X-Auth-Request-User": {other.email}},
		"claims":         {"Oidc_claim_email": {other.email}, "OIDC_CLAIM_email": {other.email}, "OIDC-CLAIM-email": {other.email}},
		"user":           {"X-Forwarded-User": {other.email}, "Remote-User": {other.email}, "X-Remote-User": {other.email}},
		"forwarded":      {"X-Forwarded-For": {"127.0.0.1"}, "Forwarded": {"for=127.0.0.1"}, "X-Real-Ip": {"127.0.0.1"}},
		"forwarded host": {"X-Forwarded-Host": {"localhost"}, "X-Forwarded-Uri": {"/healthz"}, "X-Original-Url": {"/healthz"}},
	}
	for name, header := range forgeries {
		t.Run("forged "+name, func(t *testing.T) {
			s.wantRejection(t, header, http.StatusUnauthorized, "")
			s.wantToken(t, merge(header, u.header), u.email)
		})
	}
	t.Run("hop by hop", func(t *testing.T) {
		// A proxy that removes the headers named in Connection may remove its own one too.
		header := http.Header{"Connection": {"Remote-Email"}, "Remote-Email": {other.email}}
		s.wantRejection(t, header, http.StatusUnauthorized, "")
		a := s.token(t, merge(header, u.header))
		if code, _ := a.json["code"].(string); a.status != http.StatusOK && (a.status != http.StatusUnauthorized || code != "identity_missing") {
			t.Fatalf("%d %s", a.status, a.body)
		}
		s.wantOwnToken(t, a, u.email)
	})
	forged := http.Header{"Remote-Email": {other.email}}
	for _, path := range []string{"/Private/huma-token", "/PRIVATE/HUMA-TOKEN", "/private/huma-token/", "//private/huma-token", "/private//huma-token", "/private/./huma-token",
		"/x/../private/huma-token", "/private/%68uma-token", "/private%2fhuma-token", "/private/huma-token;x", "/private/huma-token%00", "/private/huma-token?a=b", "/healthz/../private/huma-token", "/oauth2/../private/huma-token", "/callback/../private/huma-token"} {
		t.Run(path, func(t *testing.T) {
			for method, address := range map[string]string{http.MethodGet: s.url + path, http.MethodPost: s.url + path + "?client_type=ios"} {
				if a := do(t, method, address, forged, nil); a.json["authToken"] != nil || a.json["uid"] != nil {
					t.Errorf("a %s without sign-in gets %d %s", method, a.status, a.body)
				}
				s.wantOwnToken(t, do(t, method, address, merge(forged, u.header), nil), u.email)
			}
		})
	}
	t.Run("HTTP/2", func(t *testing.T) {
		c := &http.Client{Timeout: processTimeout, Transport: &http.Transport{TLSClientConfig: siteTLS(), ForceAttemptHTTP2: true}}
		defer c.CloseIdleConnections()
		for _, header := range []http.Header{forged, merge(forged, u.header)} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/private/huma-token", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = header
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.ProtoMajor != 2 {
				t.Fatalf("%s, %v", res.Proto, err)
			}
			signedIn := len(header) > len(forged)
			if want := s.accounts(t)[u.email].UID; signedIn != strings.Contains(string(body), `"uid":"`+want+`"`) || signedIn != (res.StatusCode == http.StatusOK) {
				t.Errorf("signed in: %t: %d %s", signedIn, res.StatusCode, body)
			}
		}
	})
}

// wantOwnToken checks that a response contains no token, or that of a user.
func (s *sidecar) wantOwnToken(t *testing.T, a response, email string) {
	t.Helper()
	if uid, found := a.json["uid"]; found && uid != s.accounts(t)[email].UID {
		t.Errorf("the token belongs to %v, want %s", uid, email)
	}
}

// merge returns the headers of both.
func merge(a, b http.Header) http.Header {
	h := a.Clone()
	for name, values := range b {
		h[name] = append(h[name], values...)
	}
	return h
}

// wantClientIP checks that Huma receives the address of the client of the proxy for a new
// user, and not one that the client sends in X-Forwarded-For.
func (s *sidecar) wantClientIP(t *testing.T, u person) {
	t.Helper()
	const forged = "203.0.113.9"
	s.wantToken(t, merge(u.header, http.Header{"X-Forwarded-For": {forged, forged}, "X-Real-Ip": {forged}, "Forwarded": {"for=" + forged}}), u.email)
	users := do(t, http.MethodGet, s.huma+"/_sandbox/users", nil, nil).body
	if strings.Contains(users, forged) || !strings.Contains(users, `"ipAddress":"127.0.0.1"`) {
		t.Errorf("Huma has received another address of the client: %s", users)
	}
}

// wantOutage stops the sidecar, and checks that the proxy reports it, and uses the sidecar
// as soon as it runs again.
func (s *sidecar) wantOutage(t *testing.T, u person) {
	t.Helper()
	for _, end := range []func(*testing.T){s.caddy.stop, func(t *testing.T) { s.caddy.kill(t) }} {
		end(t)
		for range 3 {
			a := s.token(t, u.header)
			if a.status != http.StatusBadGateway && a.status != http.StatusServiceUnavailable {
				t.Fatalf("without the sidecar: %d %s", a.status, a.body)
			}
			for _, secret := range []string{u.email, "http.sock", s.dir, "caddy", "sandbox"} {
				if strings.Contains(strings.ToLower(a.body), secret) {
					t.Errorf("the response contains %q: %s", secret, a.body)
				}
			}
			if a := s.token(t, nil); a.status != http.StatusUnauthorized && a.status != http.StatusBadGateway && a.status != http.StatusServiceUnavailable {
				t.Fatalf("without the sidecar and without sign-in: %d %s", a.status, a.body)
			}
		}
		if a := do(t, http.MethodGet, s.url+"/healthz", nil, nil); a.status >= 300 {
			t.Errorf("the proxy's own health check: %d", a.status)
		}
		s.serve(t)
		s.wantToken(t, u.header, u.email)
	}
}

// wantSocketClosed checks that another local user cannot connect to the sidecar, and that
// the group of the proxy can.
func (s *sidecar) wantSocketClosed(t *testing.T, other person) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Log("not run: requests of another local user, because only root can make them")
		return
	}
	const request = `use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or do { print "$!"; exit };
print $s "GET /private/huma-token HTTP/1.1\r\nHost: x\r\nRemote-Email: $ARGV[1]\r\nConnection: close\r\n\r\n"; print <$s>`
	ask := func(socket string, uid, gid int) string {
		cmd := exec.CommandContext(t.Context(), "perl", "-e", request, socket, other.email)
		cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	const nobody = 65534
	run, group := filepath.Dir(s.socket), groupID(t, "www-data")
	for _, mode := range []os.FileMode{0o750, 0o755} { // the socket has a mode of its own
		if err := os.Chmod(run, mode|os.ModeSetgid); err != nil {
			t.Fatal(err)
		}
		for _, socket := range []string{s.socket, filepath.Join(run, "admin.sock")} {
			if got := ask(socket, nobody, nobody); got != "Permission denied" {
				t.Errorf("nobody connects to %s (directory %v): %s", filepath.Base(socket), mode, got)
			}
		}
	}
	if got := ask(s.socket, nobody, group); !strings.Contains(got, `"authToken"`) {
		t.Errorf("the group of the proxy: %s", got)
	}
	if got := ask(filepath.Join(run, "admin.sock"), nobody, group); got != "Permission denied" {
		t.Errorf("the group of the proxy connects to the admin endpoint: %s", got)
	}
}

// TestSidecarAdmin checks the admin endpoint of the sidecar at its socket.
func TestSidecarAdmin(t *testing.T) {
	s := startSidecar(t, freePort(t))
	socket := filepath.Join(filepath.Dir(s.socket), "admin.sock")
	c := &http.Client{Timeout: processTimeout, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/huma/health", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(body), `"ok"`) {
		t.Errorf("%s %s, %v", res.Status, body, err)
	}
	// This is the probe in kubernetes.yaml.
	probe := func() error {
		return exec.CommandContext(t.Context(), caddyBinary, "huma", "check", "--offline", "--quiet", "--address", "unix/"+socket).Run()
	}
	if err := probe(); err != nil {
		t.Errorf("check of the running sidecar: %v", err)
	}
	s.caddy.stop(t)
	if probe() == nil {
		t.Error("check of the stopped sidecar finds no problem")
	}
}

// TestSidecarLoopback checks that any local process can pass as any user at a sidecar on a
// loopback port, that check warns about it, and that it does not warn about a Unix socket.
func TestSidecarLoopback(t *testing.T) {
	s := startSidecar(t, freePort(t))
	port := freePort(t)
	loopback := s.config(t, "loopback.Caddyfile", map[string]string{"http://:8080": "http://:" + port})
	direct := *s.site
	direct.url = "http://127.0.0.1:" + port
	direct.caddy = start(t, s.dir, "127.0.0.1:"+port, []string{"XDG_DATA_HOME=" + t.TempDir(), "XDG_CONFIG_HOME=" + t.TempDir()},
		caddyBinary, "run", "--config", loopback, "--adapter", "caddyfile")
	direct.wantToken(t, http.Header{"Remote-Email": {doctor}}, doctor)
	direct.wantRejection(t, nil, http.StatusUnauthorized, "identity_missing")
	for file, warns := range map[string]bool{"loopback.Caddyfile": true, "Caddyfile": false} {
		out, err := exec.CommandContext(t.Context(), caddyBinary, "huma", "check", "--offline", "--quiet", "--config", filepath.Join(s.dir, file)).CombinedOutput()
		if err != nil || warns != strings.Contains(string(out), "any process on this machine can connect, and pass as any user") || !warns && len(out) > 0 {
			t.Errorf("check of %s: %v\n%s", file, err, out)
		}
	}
}
