package faultproxy

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const body = "this is the body of a response"

// service is a server that counts the requests that it has processed.
type service struct {
	*httptest.Server
	processed atomic.Int64
}

// newService starts a service that responds with body.
func newService(t *testing.T) *service {
	t.Helper()
	s := new(service)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			s.processed.Add(1)
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

// newProxy returns a proxy to a service, which is closed at the end of the test.
func newProxy(t *testing.T, s *service) *Proxy {
	t.Helper()
	p, err := New(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// mustSet calls Set and fails the test on an error.
func (p *Proxy) mustSet(t *testing.T, f Fault) {
	t.Helper()
	if err := p.Set(f); err != nil {
		t.Fatal(err)
	}
}

// newClient returns a client with its own connection pool.
func newClient(t *testing.T) *http.Client {
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 5 * time.Second}
}

// post sends a POST request, which Go's client does not retry.
func post(c *http.Client, p *Proxy) (string, error) {
	res, err := c.Post("http://"+p.Addr(), "text/plain", strings.NewReader("a request"))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

// TestFaults checks each fault on a new connection and on a reused one. After the fault,
// requests succeed again.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name      string
		fault     Fault
		want      error
		processed int64
	}{
		{"refuse", Fault{Kind: Refuse}, syscall.ECONNREFUSED, 0},
		{"reset", Fault{Kind: Reset}, syscall.ECONNRESET, 1},
		{"reset late", Fault{Kind: Reset, After: 140}, syscall.ECONNRESET, 1},
		{"cut", Fault{Kind: Cut}, io.EOF, 1},
		{"cut late", Fault{Kind: Cut, After: 140}, io.ErrUnexpectedEOF, 1},
	} {
		for _, used := range []bool{false, true} {
			t.Run(c.name+map[bool]string{true: ", reused"}[used], func(t *testing.T) {
				s := newService(t)
				p, client := newProxy(t, s), newClient(t)
				if used {
					if _, err := post(client, p); err != nil {
						t.Fatal(err)
					}
					s.processed.Store(0)
				}
				p.mustSet(t, c.fault)
				got, err := post(client, p)
				for range 100 { // the client may get an error before it could write the request
					if s.processed.Load() == c.processed && !errors.Is(err, syscall.EPIPE) {
						break
					}
					time.Sleep(time.Millisecond)
				}
				if err == nil || !errors.Is(err, c.want) && !strings.Contains(err.Error(), c.want.Error()) {
					t.Errorf("%q %v, want %v", got, err, c.want)
				}
				if n := s.processed.Load(); n != c.processed {
					t.Errorf("%d requests processed, want %d", n, c.processed)
				}
				p.mustSet(t, Fault{})
				if got, err := post(client, p); err != nil || got != body {
					t.Errorf("afterwards: %q %v", got, err)
				}
			})
		}
	}
}
