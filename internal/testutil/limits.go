package testutil

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// WantHeaderLimit fails the test unless call, which sends a request to a URL, succeeds if
// the response header has 60 KiB, and returns an error if it has more than 64: over
// HTTP/1.1 and over HTTP/2, with a certificate of ca. The error must be about the length,
// except over HTTP/2 with 8 MB, where net/http closes the connection before the end of
// the header.
func WantHeaderLimit(t *testing.T, ca *Authority, call func(url string) error) {
	t.Helper()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for _, size := range []int{60, 68, 8 << 10} {
			s := NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Proto != protocol {
					t.Errorf("the request is sent over %s, want %s", r.Proto, protocol)
				}
				for n := range size {
					w.Header().Set(fmt.Sprint("X-", n), strings.Repeat("x", 980)) // HTTP/2 adds 32 (RFC 9113, section 6.5.2)
				}
			}))
			s.TLS = &tls.Config{Certificates: []tls.Certificate{*ca.Server()}, MinVersion: tls.VersionTLS12}
			s.EnableHTTP2 = protocol == "HTTP/2.0"
			s.StartTLS()
			err := call(s.URL)
			about := err != nil && strings.Contains(err.Error(), "a response header of more than 64 KiB")
			if (err == nil) != (size < 64) || err != nil && !about && !(s.EnableHTTP2 && size > 68) {
				t.Errorf("%s, a header of %d KiB: %v", protocol, size, err)
			}
		}
	}
}

// proxiedVariable is the environment variable of the process that WantProxied starts.
const proxiedVariable = "CADDY_HUMA_TEST_PROXIED"

// WantProxied fails the test unless call, which sends a request to the URL
// https://service.invalid, sends it through the proxy in HTTPS_PROXY. net/http reads the
// variable once per process, so call runs in another one, which runs the same test.
func WantProxied(t *testing.T, call func()) {
	t.Helper()
	if os.Getenv(proxiedVariable) != "" {
		call()
		return
	}
	l := Listen(t)
	requests := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		line, _ := bufio.NewReader(conn).ReadString('\n')
		requests <- line
	}()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), proxiedVariable+"=1", "HTTPS_PROXY=http://"+l.Addr().String(), "https_proxy=", "NO_PROXY=", "no_proxy=")
	out, err := child.CombinedOutput()
	select {
	case line := <-requests:
		if want := "CONNECT service.invalid:443 HTTP/1.1\r\n"; line != want {
			t.Errorf("the proxy received %q, want %q", line, want)
		}
	default:
		t.Errorf("the proxy received no request: %v\n%s", err, out)
	}
}
