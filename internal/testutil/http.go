package testutil

import (
	"bufio"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/freeport"
)

// FreeAddress returns a loopback host:port on which no process listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	address, err := freeport.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// Listen returns a listener on a free loopback port, which is closed at the end of the
// test. If the caller does not accept connections, clients can connect, but get no
// response.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed by the cleanup
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// CountConnections accepts and closes all connections to address. stop stops listening
// and returns the number of connections.
func CountConnections(t testing.TB) (address string, stop func() int) {
	t.Helper()
	l := Listen(t)
	count := make(chan int, 1)
	go func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				count <- n
				return
			}
			_ = conn.Close()
		}
	}()
	return l.Addr().String(), func() int {
		t.Helper()
		// Connections are accepted in order, so no other one is pending when this one is
		// closed.
		conn, err := net.Dial("tcp", l.Addr().String()) //nolint:noctx // a loopback address
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(conn)
		_ = conn.Close()
		_ = l.Close()
		return <-count - 1
	}
}

// NewServer returns a server that is not started. It is closed at the end of the test. It
// does not log connection errors, since tests cause them on purpose.
func NewServer(t testing.TB, handler http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(s.Close)
	return s
}

// Serve starts a server with a handler and returns its URL.
func Serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	s := NewServer(t, handler)
	s.Start()
	return s.URL
}

// Respond returns a handler that responds to all requests with a status and a body.
func Respond(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// ServeResponse is Serve with Respond.
func ServeResponse(t testing.TB, status int, body string) string {
	t.Helper()
	return Serve(t, Respond(status, body))
}

// ServeRaw reads one request from each connection, calls respond, and closes the
// connection. It returns the URL.
func ServeRaw(t testing.TB, respond func(conn net.Conn, request string)) string {
	t.Helper()
	l := Listen(t)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(5 * time.Second)) // so that a client that hangs does not block the test
				if request, err := ReadRequest(conn); err == nil {
					respond(conn, request)
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	return "http://" + l.Addr().String()
}

// ReadRequest reads one request and returns its bytes. The request must have a
// Content-Length or no body.
func ReadRequest(conn net.Conn) (string, error) {
	r := bufio.NewReader(conn)
	var request strings.Builder
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		request.WriteString(line)
		if n, found := strings.CutPrefix(line, "Content-Length: "); found {
			if length, err = strconv.Atoi(strings.TrimSpace(n)); err != nil {
				return "", err
			}
		}
		if line == "\r\n" {
			break
		}
	}
	_, err := io.CopyN(&request, r, int64(length))
	return request.String(), err
}

// Reset makes the kernel send a RST when conn, a TCP connection, is closed.
func Reset(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }

// Transport returns a transport with its own connection pool, which is closed at the
// end of the test.
func Transport(t testing.TB) *http.Transport {
	tr := &http.Transport{MaxConnsPerHost: 4, MaxIdleConnsPerHost: 4}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// RoundTripper is a function that implements http.RoundTripper.
type RoundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f RoundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
