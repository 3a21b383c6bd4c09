package sandbox

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	signInPath  = "/api/integration/v1/auth/signin"
	signUpPath  = "/api/integration/v1/auth/signup"
	consentPath = "/api/integration/v1/auth/sign-consent"
	refreshPath = "/api/auth/v1/refreshtoken"
	signOutPath = "/api/auth/v1/signout"
)

const (
	aliceSignIn = `{"clientId":"c1","projectId":"p1","email":"alice@example.com"}`
	aliceSignUp = `{"clientId":"c1","projectId":"p1","email":"alice@example.com","ipAddress":"192.0.2.1"}`
)

// client calls a sandbox as the published description has it.
type client struct {
	t      *testing.T
	url    string
	http   *http.Client
	secret string
}

// start serves a sandbox over TCP.
func start(t *testing.T, cfg Config) (*Server, *client) {
	t.Helper()
	fake := New(cfg)
	srv := httptest.NewServer(fake)
	t.Cleanup(srv.Close)
	return fake, newClient(t, srv.URL)
}

func newClient(t *testing.T, url string) *client {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{t: t, url: url, secret: "sandbox-secret", http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	text   string
}

// member is a member of a JSON answer.
func (r reply) member(t *testing.T, name string) any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(r.text), &v); err != nil {
		t.Fatalf("answer %q: %v", r.text, err)
	}
	return v[name]
}

func (r reply) code(t *testing.T) int {
	t.Helper()
	n, _ := r.member(t, "code").(float64)
	return int(n)
}

func hexHMAC(secret, text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// request makes a well-formed and signed request.
func (c *client) request(method, path, body string) *http.Request {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("deploymentId", "d1")
	r.Header.Set("signature", hexHMAC(c.secret, body))
	r.Header.Set("userAgent", "test")
	return r
}

// do sends a request and reads what comes; the error is the connection's.
func (c *client) do(r *http.Request) (reply, error) {
	resp, err := c.http.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(text)}, err
}

func (c *client) must(r *http.Request) reply {
	c.t.Helper()
	got, err := c.do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	return got
}

func (c *client) post(path, body string) reply {
	c.t.Helper()
	return c.must(c.request(http.MethodPost, path, body))
}

// want fails unless a reply has a status and, if not 0, an error code.
func want(t *testing.T, got reply, status, code int) {
	t.Helper()
	if got.status != status {
		t.Fatalf("status %d, want %d: %s", got.status, status, got.text)
	}
	if code == 0 {
		return
	}
	if got.header.Get("Content-Type") != "application/json" {
		t.Errorf("content type %q", got.header.Get("Content-Type"))
	}
	if got.code(t) != code {
		t.Errorf("code %d, want %d: %s", got.code(t), code, got.text)
	}
	if message, _ := got.member(t, "message").(string); message == "" {
		t.Error("no message")
	}
}

func setFaults(t *testing.T, fake *Server, faults ...Fault) {
	t.Helper()
	if err := fake.SetFaults(faults); err != nil {
		t.Fatal(err)
	}
}

func compact(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}
