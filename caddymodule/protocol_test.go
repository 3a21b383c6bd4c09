package caddymodule_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestL09_EveryProtocol checks that HTTP/1.1, HTTP/2 and HTTP/3 have the same responses.
func TestL09_EveryProtocol(t *testing.T) {
	ca := testutil.NewAuthority(t.TempDir(), "test authority")
	cert, key := ca.ServerFiles()
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	s := serve(t, "")
	text := strings.Replace(simpleSite(huma, ""), "huma_token {", "tls "+cert+" "+key+"\nhuma_token {", 1)
	address := strings.Replace(s.address, "127.0.0.1", "localhost", 1) // TLS needs a name
	text = strings.Replace(text, "SITE {", "https://"+address+" {\nbind 127.0.0.1", 1)
	if err := s.load(text); err != nil {
		t.Fatal(err)
	}

	trusted := &tls.Config{RootCAs: ca.Pool}
	http1, http2 := new(http.Protocols), new(http.Protocols)
	http1.SetHTTP1(true)
	http2.SetHTTP2(true)
	quic := &http3.Transport{TLSClientConfig: trusted.Clone()}
	defer quic.Close()
	transports := map[string]http.RoundTripper{
		"HTTP/1.1": &http.Transport{TLSClientConfig: trusted.Clone(), Protocols: http1},
		"HTTP/2.0": &http.Transport{TLSClientConfig: trusted.Clone(), Protocols: http2},
		"HTTP/3.0": quic,
	}
	type request struct{ method, target, user, body string }
	requests := []request{
		{"GET", iosPath, "a@x.example", ""},
		{"GET", path, "a@x.example", ""},
		{"GET", iosPath, "", ""},
		{"GET", iosPath, "no address", ""},
		{"HEAD", iosPath, "a@x.example", ""},
		{"PUT", iosPath, "a@x.example", "x"},
		{"OPTIONS", iosPath, "", ""},
		{"POST", path, "a@x.example", `{"client_type":"ios"}`},
		{"POST", path, "a@x.example", strings.Repeat("x", 5000)},
		{"GET", "/elsewhere", "a@x.example", ""},
	}
	for _, q := range requests {
		t.Run(q.method+" "+q.target+" "+q.user, func(t *testing.T) {
			var want string
			for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0", "HTTP/3.0"} {
				client := &http.Client{Transport: transports[protocol], Timeout: 20 * time.Second}
				req, err := http.NewRequestWithContext(t.Context(), q.method, "https://"+address+q.target, strings.NewReader(q.body))
				if err != nil {
					t.Fatal(err)
				}
				if q.user != "" {
					req.Header.Set("X-Test-User", q.user)
				}
				if q.method == "POST" {
					req.Header.Set("Content-Type", "application/json")
				}
				res, err := client.Do(req)
				if err != nil {
					t.Fatalf("%s: %v", protocol, err)
				}
				body, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if err != nil || res.Proto != protocol {
					t.Fatalf("%s: %s, %v", protocol, res.Proto, err)
				}
				got := sameAnswer(res, body)
				if want == "" {
					want = got
				}
				if got != want {
					t.Errorf("%s: %s\nwant %s", protocol, got, want)
				}
			}
		})
	}
	if n := huma.calls("signin"); n != 1 {
		t.Errorf("%d sign-ins", n)
	}
}

// sameAnswer returns the part of a response that must be equal for each protocol: it
// omits the remaining seconds and headers of the protocol.
func sameAnswer(res *http.Response, body []byte) string {
	var b strings.Builder
	b.WriteString(res.Status[:3])
	for _, name := range []string{"Content-Type", "Cache-Control", "Pragma", "X-Content-Type-Options", "Allow", "Retry-After"} {
		b.WriteString(" " + strings.Join(res.Header.Values(name), "|"))
	}
	text, _, _ := strings.Cut(string(body), `"authTokenExpiresIn"`)
	return b.String() + " " + text
}
