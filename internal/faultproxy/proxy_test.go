package faultproxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
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

func TestPass(t *testing.T) {
	s := newService(t)
	p, c := newProxy(t, s), newClient(t)
	for range 3 {
		if got, err := post(c, p); err != nil || got != body {
			t.Fatalf("%q %v", got, err)
		}
	}
	if got := p.Stats(); got != (Stats{Accepted: 1, Open: 1, Requests: 3}) {
		t.Errorf("%+v", got)
	}
	c.CloseIdleConnections()
	testutil.Eventually(t, 5*time.Second, "the connection is closed", func() bool { return p.Stats().Open == 0 })
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

// TestAfter checks that exactly After bytes are forwarded.
func TestAfter(t *testing.T) {
	for name, kind := range map[string]Kind{"reset": Reset, "cut": Cut} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, newService(t))
			p.mustSet(t, Fault{Kind: kind, After: 17, Slice: 3})
			conn, err := net.Dial("tcp", p.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			got, err := io.ReadAll(conn)
			if string(got) != "HTTP/1.1 200 OK\r\n" || (err == nil) != (kind == Cut) {
				t.Errorf("%q %v", got, err)
			}
		})
	}
}

func TestHang(t *testing.T) {
	s := newService(t)
	p, used, fresh := newProxy(t, s), newClient(t), newClient(t)
	if _, err := post(used, p); err != nil {
		t.Fatal(err)
	}
	p.mustSet(t, Fault{Kind: Hang})
	for _, c := range []*http.Client{used, fresh} {
		c.Timeout = 50 * time.Millisecond
		if _, err := post(c, p); err == nil || !strings.Contains(err.Error(), "Timeout") {
			t.Errorf("%v, want a timeout", err)
		}
		c.Timeout = 5 * time.Second
	}
	testutil.Eventually(t, 5*time.Second, "connections that clients have closed are closed", func() bool { return p.Stats().Open == 0 })
	if got := p.Stats(); got.Requests != 3 || s.processed.Load() != 1 {
		t.Errorf("%+v, %d processed", got, s.processed.Load())
	}

	// A connection that was idle during the fault works again. One on which data was
	// discarded does not.
	idle, dead := dial(t, p), dial(t, p)
	_, _ = io.WriteString(dead, "GET / HT")
	testutil.Eventually(t, 5*time.Second, "the data is discarded", func() bool { return p.Stats().Requests == 4 })
	time.Sleep(10 * time.Millisecond)
	p.mustSet(t, Fault{})
	_, _ = io.WriteString(dead, "TP/1.1\r\nHost: x\r\n\r\n")
	_ = dead.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := dead.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d %v from a dead connection", n, err)
	}
	_, _ = io.WriteString(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if line, err := bufio.NewReader(idle).ReadString('\n'); err != nil || line != "HTTP/1.1 200 OK\r\n" {
		t.Errorf("%q %v", line, err)
	}
}

// dial opens a connection to the proxy.
func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestSlow checks that delays and slices take time and lose no data.
func TestSlow(t *testing.T) {
	const minimum = 60 * time.Millisecond
	for name, f := range map[string]Fault{
		"delay":  {Delay: minimum},
		"bytes":  {Slice: 1, Pause: time.Millisecond},
		"slices": {Slice: 7, Pause: 4 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			p, c := newProxy(t, newService(t)), newClient(t)
			p.mustSet(t, f)
			begin := time.Now()
			if got, err := post(c, p); err != nil || got != body {
				t.Errorf("%q %v", got, err)
			}
			if took := time.Since(begin); took < minimum {
				t.Errorf("took %s", took)
			}
		})
	}
	t.Run("faster", func(t *testing.T) { // 1 byte/s until the fault ends
		p, c := newProxy(t, newService(t)), newClient(t)
		p.mustSet(t, Fault{Slice: 1, Pause: time.Second})
		time.AfterFunc(20*time.Millisecond, func() { _ = p.Set(Fault{}) })
		if got, err := post(c, p); err != nil || got != body {
			t.Errorf("%q %v", got, err)
		}
	})
}

// TestEach checks that each connection has its own fault.
func TestEach(t *testing.T) {
	s := newService(t)
	p := newProxy(t, s)
	n := 0
	err := p.Each(func() Fault {
		n++
		return []Fault{{}, {Kind: Reset}, {Kind: Refuse}}[(n-1)%3]
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, ok := range []bool{true, false, false, true} {
		if _, err := post(newClient(t), p); (err == nil) != ok {
			t.Errorf("connection %d: %v", i+1, err)
		}
	}
	if n := s.processed.Load(); n != 3 {
		t.Errorf("%d requests processed", n)
	}
}

func TestInvalidFaults(t *testing.T) {
	p := newProxy(t, newService(t))
	for _, f := range []Fault{
		{Kind: -1}, {Kind: Cut + 1}, {After: 1}, {Kind: Cut, After: -1}, {Delay: -1}, {Slice: -1}, {Pause: 1}, {Slice: 1, Pause: -1},
	} {
		if err := p.Set(f); err == nil {
			t.Errorf("no error for %+v", f)
		}
	}
	_ = p.Close()
	if err := p.Set(Fault{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// TestNoService checks that if the service does not listen, the client's connection is
// reset.
func TestNoService(t *testing.T) {
	s := newService(t)
	p := newProxy(t, s)
	s.Close()
	if _, err := post(newClient(t), p); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, want a reset", err)
	}
}

// TestConcurrentFaultChanges checks that faults change while clients send requests and
// disconnect.
func TestConcurrentFaultChanges(t *testing.T) {
	p := newProxy(t, newService(t))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		c := newClient(t)
		c.Timeout = 20 * time.Millisecond
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if got, err := post(c, p); err == nil && got != body {
						t.Errorf("%q", got)
					}
				}
			}
		})
	}
	faults := []Fault{
		{}, {Kind: Refuse}, {Kind: Hang}, {Kind: Reset, After: 50}, {Kind: Cut, After: 90},
		{Slice: 2, Pause: time.Millisecond}, {Delay: 5 * time.Millisecond},
	}
	for i := range 200 {
		p.mustSet(t, faults[i%len(faults)])
		time.Sleep(2 * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	p.mustSet(t, Fault{})
	if got, err := post(newClient(t), p); err != nil || got != body {
		t.Errorf("afterwards: %q %v", got, err)
	}
}
