package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func TestH07_EndlessBody(t *testing.T) {
	tests := map[string]struct {
		chunk string
		pause time.Duration
	}{
		"a byte at a time": {"x", 10 * time.Millisecond},
		"silent":           {"x", time.Hour},
		"fast":             {strings.Repeat("x", 32<<10), 0},
	}
	for name, test := range tests {
		for _, status := range []int{200, 503} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				api := testutil.Serve(t, func(w http.ResponseWriter, r *http.Request) {
					w.WriteHeader(status)
					for r.Context().Err() == nil {
						if _, err := io.WriteString(w, test.chunk); err != nil {
							return
						}
						_ = http.NewResponseController(w).Flush()
						select {
						case <-r.Context().Done():
						case <-time.After(test.pause):
						}
					}
				})
				start := time.Now()
				_, err := post(withTimeout(t, 150*time.Millisecond), t, api)
				if d := time.Since(start); d > time.Second {
					t.Errorf("took %v", d)
				}
				switch {
				case status == 503:
					if e := testutil.As[*exchange.StatusError](t, err); e.Status != 503 {
						t.Error(e)
					}
				case test.pause == 0:
					if e := testutil.As[*exchange.ResponseError](t, err); e.Reason != "longer than 64 KiB" {
						t.Error(e)
					}
				default:
					if e := testutil.As[*exchange.TransportError](t, err); !e.Sent || !e.Timeout {
						t.Errorf("%+v", e)
					}
				}
			})
		}
	}
}

func TestH09_RedirectIsNotFollowed(t *testing.T) {
	var seen atomic.Int32
	other := testutil.Serve(t, func(http.ResponseWriter, *http.Request) { seen.Add(1) })
	for _, status := range []int{301, 302, 303, 304, 307, 308} {
		api := testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", other+"/api")
			w.WriteHeader(status)
		})
		_, err := post(t.Context(), t, api)
		if e := testutil.As[*exchange.StatusError](t, err); e.Status != status {
			t.Errorf("%d: %v", status, e)
		}
	}
	if seen.Load() != 0 {
		t.Errorf("the other host saw %d requests", seen.Load())
	}
}

func TestSwitchingProtocols(t *testing.T) {
	api := testutil.ServeRaw(t, func(conn net.Conn, _ string) {
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
		_, _ = conn.Read(make([]byte, 1))
	})
	start := time.Now()
	_, err := post(withTimeout(t, time.Second), t, api)
	if e := testutil.As[*exchange.StatusError](t, err); e.Status != 101 || time.Since(start) > time.Second {
		t.Error(e, "after", time.Since(start))
	}
}

func TestH17_CookiesAreForgotten(t *testing.T) {
	var cookies atomic.Int32
	api := testutil.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "" || r.Header.Get("If-None-Match") != "" {
			cookies.Add(1)
		}
		w.Header().Set("Set-Cookie", "session="+canaryResponse)
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		_, _ = io.WriteString(w, goodResponse)
	})
	tr := testutil.Transport(t)
	for range 3 {
		if _, err := postOn(t.Context(), t, tr, api); err != nil {
			t.Fatal(err)
		}
	}
	if cookies.Load() != 0 {
		t.Error("a cookie came back")
	}
}

func TestTransportErrors(t *testing.T) {
	hold := func(conn net.Conn, _ string) { time.Sleep(200 * time.Millisecond) }
	say := func(text string) func(net.Conn, string) {
		return func(conn net.Conn, _ string) { _, _ = io.WriteString(conn, text) }
	}
	const (
		closed = "sign up: the service closed the connection before the response was complete"
		broken = "sign up: connection lost, or the response is not HTTP"
		length = "HTTP/1.1 201 Created\r\nContent-Length: "
		chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	)
	tests := []struct {
		name    string
		api     string
		sent    bool
		timeout bool
		text    string // error of sign-up; empty: any
	}{
		{"refused", "http://" + testutil.FreeAddress(t), false, false, ""},
		{"reset", testutil.ServeRaw(t, func(conn net.Conn, _ string) { testutil.Reset(conn) }), true, false, ""},
		{"closed", testutil.ServeRaw(t, say("")), true, false, closed},
		{"no response", testutil.ServeRaw(t, hold), true, true, "sign up: context deadline exceeded"},
		{"not HTTP", testutil.ServeRaw(t, say(canaryResponse+"\r\n\r\n")), true, false, broken},
		{"bad status", testutil.ServeRaw(t, say("HTTP/1.1 2x0 "+canaryResponse+"\r\n\r\n")), true, false, broken},
		{"bad header", testutil.ServeRaw(t, say("HTTP/1.1 200 OK\r\n"+canaryResponse+"\r\n\r\n")), true, false, broken},
		{"bad length", testutil.ServeRaw(t, say(length+canaryResponse+"\r\n\r\n")), true, false, broken},
		{"two lengths", testutil.ServeRaw(t, say(length+"2\r\nContent-Length: 3\r\n\r\n{}"+canaryResponse)), true, false, broken},
		{"bad chunk", testutil.ServeRaw(t, say(chunks+canaryResponse+"\r\n")), true, false, broken},
		{"cut body", testutil.ServeRaw(t, say(length+"500\r\n\r\n{\"uid\":\""+canaryResponse)), true, false, closed},
		{"cut, yet JSON", testutil.ServeRaw(t, say(length+"500\r\n\r\n{}")), true, false, closed},
		{"cut chunks", testutil.ServeRaw(t, say(chunks+"2\r\n{}\r\n")), true, false, closed},
		{"reset body", testutil.ServeRaw(t, func(conn net.Conn, _ string) {
			_, _ = io.WriteString(conn, length+"500\r\n\r\n{")
			time.Sleep(20 * time.Millisecond)
			testutil.Reset(conn)
		}), true, false, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := post(withTimeout(t, 100*time.Millisecond), t, test.api, once)
			e := testutil.As[*exchange.TransportError](t, err)
			if e.Op != exchange.OpSignUp || e.Sent != test.sent || e.Timeout != test.timeout {
				t.Errorf("%+v", e)
			}
			if !exchange.IsOutage(err) {
				t.Error("no outage")
			}
			if test.text != "" && e.Error() != test.text {
				t.Errorf("got %q, want %q", e, test.text)
			}
			testutil.NoSecrets(t, err, "canary")
		})
	}
}

// TestNoErrorTellsAnything uses a transport whose errors contain everything it was
// given, and more.
func TestNoErrorTellsAnything(t *testing.T) {
	for name, wrap := range map[string]func(error) error{
		"plain":           func(err error) error { return err },
		"of a URL":        func(err error) error { return &url.Error{Op: "Post", URL: "https://h/?" + canaryResponse, Err: err} },
		"canceled inside": func(err error) error { return fmt.Errorf("%w: %w", err, context.Canceled) },
		"late inside":     func(err error) error { return fmt.Errorf("%w: %w", err, context.DeadlineExceeded) },
		"EOF inside":      func(err error) error { return fmt.Errorf("%w: %w", err, io.EOF) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := postOn(t.Context(), t, testutil.RoundTripper(func(r *http.Request) (*http.Response, error) {
				var all strings.Builder
				_ = r.Write(&all)
				return nil, wrap(errors.New(all.String()))
			}), "https://huma.invalid/base?"+canaryResponse)
			if testutil.As[*exchange.TransportError](t, err); errors.Is(err, context.Canceled) {
				t.Error("it looks like a caller who left")
			}
			testutil.NoSecrets(t, err, "canary")
		})
	}
}

func TestH10_SentOnce(t *testing.T) {
	var n atomic.Int32
	good := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
	api := testutil.ServeRaw(t, func(conn net.Conn, _ string) {
		n.Add(1)
		_, _ = io.WriteString(conn, good)
		// Transports retry requests on a reused connection.
		if _, err := testutil.ReadRequest(conn); err == nil {
			n.Add(1)
			testutil.Reset(conn)
		}
	})
	tr := testutil.Transport(t)
	if _, err := postOn(t.Context(), t, tr, api); err != nil {
		t.Fatal(err)
	}
	_, err := postOn(withTimeout(t, time.Second), t, tr, api, once)
	if e := testutil.As[*exchange.TransportError](t, err); !e.Sent || e.Timeout {
		t.Errorf("%+v", e)
	}
	if n.Load() != 2 {
		t.Errorf("%d requests, want 2", n.Load())
	}
}

// TestOnce checks that neither GetBody nor Idempotency-Key is set if Once is: with one
// of them, a transport would retry.
func TestOnce(t *testing.T) {
	for _, change := range []func(*Call){once, func(*Call) {}} {
		var c Call
		change(&c)
		_, _ = postOn(t.Context(), t, testutil.RoundTripper(func(r *http.Request) (*http.Response, error) {
			if repeatable := r.GetBody != nil; repeatable == c.Once || r.Header["Idempotency-Key"] != nil {
				t.Errorf("once %v: repeatable %v, %v", c.Once, repeatable, r.Header)
			}
			return nil, io.EOF
		}), "https://huma.invalid", change)
	}
}

func TestCanceled(t *testing.T) {
	arrived, leave := make(chan struct{}, 9), make(chan struct{})
	api := testutil.Serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server notices a canceled request only after reading the body
		arrived <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-leave:
		}
	})
	t.Cleanup(func() { close(leave) })

	ctx, cancel := context.WithCancelCause(context.Background())
	go func() { <-arrived; cancel(errors.New(canaryResponse)) }()
	_, err := post(ctx, t, api)
	if e := testutil.As[*exchange.TransportError](t, err); !e.Sent || e.Timeout || !errors.Is(e, context.Canceled) || exchange.IsOutage(err) {
		t.Errorf("%+v", e)
	}
	testutil.NoSecrets(t, err, "canary")

	_, err = post(ctx, t, api)
	if e := testutil.As[*exchange.TransportError](t, err); e.Sent || !errors.Is(e, context.Canceled) {
		t.Errorf("before the call: %+v", e)
	}

	late, stop := context.WithTimeoutCause(context.Background(), 30*time.Millisecond, errors.New(canaryResponse))
	defer stop()
	_, err = post(late, t, api, once)
	if e := testutil.As[*exchange.TransportError](t, err); !e.Sent || !e.Timeout || !errors.Is(e, context.DeadlineExceeded) || !exchange.IsOutage(err) {
		t.Errorf("%+v", e)
	}
	testutil.NoSecrets(t, err, "canary")
}

// TestTransportTimeout checks that a timeout of the transport counts as a timeout.
func TestTransportTimeout(t *testing.T) {
	leave := make(chan struct{})
	api := testutil.Serve(t, func(http.ResponseWriter, *http.Request) { <-leave })
	t.Cleanup(func() { close(leave) })
	tr := testutil.Transport(t)
	tr.ResponseHeaderTimeout = 30 * time.Millisecond
	_, err := postOn(t.Context(), t, tr, api)
	if e := testutil.As[*exchange.TransportError](t, err); !e.Sent || !e.Timeout || e.Error() != "sign in: timed out" {
		t.Errorf("%+v", e)
	}
}

// deadConn is a connection whose Write fails after dead is set.
type deadConn struct {
	net.Conn
	dead    *atomic.Bool
	accepts int // bytes written before the failure
}

func (c deadConn) Write(b []byte) (int, error) {
	if !c.dead.Load() {
		return c.Conn.Write(b)
	}
	n, _ := c.Conn.Write(b[:min(c.accepts, len(b))])
	return n, &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
}

// TestK08_NotWritten checks that a call counts as sent once it is written, not once it
// has a connection: a reused connection may already be closed.
func TestK08_NotWritten(t *testing.T) {
	for _, test := range []struct {
		name    string
		accepts int
		sent    bool
	}{
		{"nothing was written", 0, false},
		{"a part was written", 100, false}, // the rest never arrives
	} {
		t.Run(test.name, func(t *testing.T) {
			var requests atomic.Int32
			api := testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				_, _ = io.WriteString(w, "{}")
			})
			tr, dead := testutil.Transport(t), new(atomic.Bool)
			tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				return deadConn{conn, dead, test.accepts}, err
			}
			if _, err := postOn(t.Context(), t, tr, api); err != nil {
				t.Fatal(err)
			}
			dead.Store(true)
			_, err := postOn(withTimeout(t, time.Second), t, tr, api, once)
			if e := testutil.As[*exchange.TransportError](t, err); e.Sent != test.sent || e.Timeout || !exchange.IsOutage(err) {
				t.Errorf("%+v", e)
			}
			dead.Store(false)
			if _, err := postOn(t.Context(), t, tr, api, once); err != nil {
				t.Error(err)
			}
			if n := requests.Load(); n != 2 {
				t.Errorf("%d requests were served, want 2", n)
			}
		})
	}
}
