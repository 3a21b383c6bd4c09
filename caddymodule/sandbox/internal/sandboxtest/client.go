// Package sandboxtest is a client of the sandbox for tests. It calls the APIs according
// to their published descriptions.
package sandboxtest

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
)

// The paths of the APIs' endpoints.
const (
	SignIn  = "/api/integration/v1/auth/signin"
	SignUp  = "/api/integration/v1/auth/signup"
	Consent = "/api/integration/v1/auth/sign-consent"
	Refresh = "/api/auth/v1/refreshtoken"
	SignOut = "/api/auth/v1/signout"
	Connect = "/v1/connect/token"
)

// Bodies for a sandbox with the default configuration.
const (
	AliceSignIn = `{"clientId":"c1","projectId":"p1","email":"alice@example.com"}`
	AliceSignUp = `{"clientId":"c1","projectId":"p1","email":"alice@example.com","ipAddress":"192.0.2.1"}`
)

// Client is a client of a sandbox. Most methods fail the test on errors.
type Client struct {
	T      *testing.T
	URL    string // base URL of the sandbox
	HTTP   *http.Client
	Secret string // the key of the signature
}

// Serve serves a handler over TCP and returns a client for it.
func Serve(t *testing.T, h http.Handler) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return New(t, srv.URL)
}

// New returns a client for the sandbox at a URL.
func New(t *testing.T, url string) *Client {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &Client{T: t, URL: url, Secret: "sandbox-secret", HTTP: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Response is a response whose body was read.
type Response struct {
	Status int
	Header http.Header
	Text   string
}

// Member returns a member of a JSON response, or nil if it is missing.
func (r Response) Member(t *testing.T, name string) any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(r.Text), &v); err != nil {
		t.Fatalf("response %q: %v", r.Text, err)
	}
	return v[name]
}

// code returns the member code of a JSON response, or 0 if it is missing.
func (r Response) code(t *testing.T) int {
	t.Helper()
	n, _ := r.Member(t, "code").(float64)
	return int(n)
}

// HMAC returns the HMAC-SHA256 of a text in hexadecimal.
func HMAC(secret, text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// Request returns a valid and signed request.
func (c *Client) Request(method, path, body string) *http.Request {
	c.T.Helper()
	r, err := http.NewRequestWithContext(c.T.Context(), method, c.URL+path, strings.NewReader(body))
	if err != nil {
		c.T.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("deploymentId", "d1")
	r.Header.Set("signature", HMAC(c.Secret, body))
	r.Header.Set("userAgent", "test")
	return r
}

// Do sends a request and reads the response. The error is that of the connection.
func (c *Client) Do(r *http.Request) (Response, error) {
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return Response{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return Response{resp.StatusCode, resp.Header, string(text)}, err
}

// Send is Do that fails the test on an error.
func (c *Client) Send(r *http.Request) Response {
	c.T.Helper()
	got, err := c.Do(r)
	if err != nil {
		c.T.Fatal(err)
	}
	return got
}

// Post sends a signed POST request.
func (c *Client) Post(path, body string) Response {
	c.T.Helper()
	return c.Send(c.Request(http.MethodPost, path, body))
}

// Want fails the test unless a response has a status and, if code is not 0, an error body
// with this code.
func Want(t *testing.T, got Response, status, code int) {
	t.Helper()
	if got.Status != status {
		t.Fatalf("status %d, want %d: %s", got.Status, status, got.Text)
	}
	if code == 0 {
		return
	}
	if got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("content type %q", got.Header.Get("Content-Type"))
	}
	if got.code(t) != code {
		t.Errorf("code %d, want %d: %s", got.code(t), code, got.Text)
	}
	if message, _ := got.Member(t, "message").(string); message == "" {
		t.Error("no message")
	}
}

// Compact returns a value as JSON in one line.
func Compact(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

// Get sends a GET request.
func (c *Client) Get(path string) Response {
	c.T.Helper()
	return c.Send(c.Request(http.MethodGet, path, ""))
}

// Decode unmarshals the JSON of a response.
func Decode[T any](t *testing.T, r Response) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(r.Text), &v); err != nil {
		t.Fatalf("%s: %v", r.Text, err)
	}
	return v
}
