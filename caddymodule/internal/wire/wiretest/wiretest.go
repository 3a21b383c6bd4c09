// Package wiretest has what the tests of the services' clients have in common:
// services on loopback that answer, or fail, byte for byte as they are told.
package wiretest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// Transport has a connection pool of its own.
func Transport(t testing.TB) *http.Transport {
	tr := &http.Transport{MaxConnsPerHost: 4, MaxIdleConnsPerHost: 4}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// RoundTripper is a transport in one function.
type RoundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f RoundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Serve runs handler and returns its address.
func Serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// ServeAnswer answers every call with one status and body.
func ServeAnswer(t testing.TB, status int, body string) string {
	t.Helper()
	return Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// ServeRaw hands each whole request and its connection to answer, and closes
// the connection afterwards.
func ServeRaw(t testing.TB, answer func(conn net.Conn, request string)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it lives as long as the test
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if request, err := ReadRaw(conn); err == nil {
				answer(conn, request)
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return "http://" + l.Addr().String()
}

// ReadRaw reads one request byte for byte.
func ReadRaw(conn net.Conn) (string, error) {
	r := bufio.NewReader(conn)
	var head strings.Builder
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		head.WriteString(line)
		if n, found := strings.CutPrefix(line, "Content-Length: "); found {
			for _, d := range strings.TrimSpace(n) {
				length = length*10 + int(d-'0')
			}
		}
		if line == "\r\n" {
			break
		}
	}
	body := make([]byte, length)
	_, err := io.ReadFull(r, body)
	return head.String() + string(body), err
}

// Reset makes the kernel answer with RST when conn is closed.
func Reset(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }

// Unused is the address of a port on which nobody listens.
func Unused(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return "http://" + l.Addr().String()
}

// AsStatus is err as a *exchange.StatusError.
func AsStatus(t testing.TB, err error) *exchange.StatusError {
	t.Helper()
	return as[*exchange.StatusError](t, err)
}

// AsTransport is err as a *exchange.TransportError.
func AsTransport(t testing.TB, err error) *exchange.TransportError {
	t.Helper()
	return as[*exchange.TransportError](t, err)
}

// AsAnswer is err as a *exchange.AnswerError.
func AsAnswer(t testing.TB, err error) *exchange.AnswerError {
	t.Helper()
	return as[*exchange.AnswerError](t, err)
}

func as[T error](t testing.TB, err error) (e T) {
	t.Helper()
	if !errors.As(err, &e) {
		t.Fatalf("got %T %v, want a %T", err, err, e)
	}
	return e
}
