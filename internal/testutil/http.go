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

// Listen returns a listener on a free loopback port, which ends with the test.
// Unless the caller accepts them, connections are established by the system and
// never answered.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it lives as long as the test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// CountConnections accepts and closes every connection to address. stop ends that
// and returns how many there were.
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
		// Connections are accepted in the order in which they were made, so none
		// is waiting any more once this one is closed.
		conn, err := net.Dial("tcp", l.Addr().String()) //nolint:noctx // it is on this machine
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(conn)
		_ = conn.Close()
		_ = l.Close()
		return <-count - 1
	}
}

// NewServer returns a server that is not started and ends with the test. It does
// not log what goes wrong with connections, which tests break on purpose.
func NewServer(t testing.TB, handler http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(s.Close)
	return s
}

// Serve runs a handler and returns its URL.
func Serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	s := NewServer(t, handler)
	s.Start()
	return s.URL
}

// Respond is a handler that answers every request with one status and body.
func Respond(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// ServeResponse is Serve with Answer.
func ServeResponse(t testing.TB, status int, body string) string {
	t.Helper()
	return Serve(t, Respond(status, body))
}

// ServeRaw passes each whole request and its connection to answer, and closes the
// connection afterwards. It returns the URL.
func ServeRaw(t testing.TB, answer func(conn net.Conn, request string)) string {
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
				_ = conn.SetDeadline(time.Now().Add(5 * time.Second)) // a client that hangs does not keep the test
				if request, err := ReadRequest(conn); err == nil {
					answer(conn, request)
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	return "http://" + l.Addr().String()
}

// ReadRequest reads one request with a Content-Length, or without a body, byte
// for byte.
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

// Reset makes the kernel answer with RST when conn, a TCP connection, is closed.
func Reset(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }

// Transport returns a transport with a connection pool of its own.
func Transport(t testing.TB) *http.Transport {
	tr := &http.Transport{MaxConnsPerHost: 4, MaxIdleConnsPerHost: 4}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// RoundTripper is a function that makes HTTP calls.
type RoundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f RoundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
