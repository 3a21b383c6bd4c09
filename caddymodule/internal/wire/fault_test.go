package wire

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/wire/wiretest"
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
				api := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
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
					if e := wiretest.AsStatus(t, err); e.Status != 503 {
						t.Error(e)
					}
				case test.pause == 0:
					if e := wiretest.AsAnswer(t, err); e.Why != "longer than 64 KiB" {
						t.Error(e)
					}
				default:
					if e := wiretest.AsTransport(t, err); !e.Sent || !e.Timeout {
						t.Errorf("%+v", e)
					}
				}
			})
		}
	}
}

func TestH07_GzipBombStaysPacked(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(bytes.Repeat([]byte(" "), 10<<20))
	_, _ = io.WriteString(z, goodAnswer)
	_ = z.Close()
	if packed.Len() > 64<<10 {
		t.Fatal("the bomb is too large")
	}
	api := wiretest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	})
	got, err := post(t.Context(), t, api)
	if err != nil || !bytes.Equal(got, packed.Bytes()) {
		t.Errorf("%d bytes, %v: want the %d that were sent", len(got), err, packed.Len())
	}
}

func TestH09_RedirectIsNotFollowed(t *testing.T) {
	var seen atomic.Int32
	other := wiretest.Serve(t, func(http.ResponseWriter, *http.Request) { seen.Add(1) })
	for _, status := range []int{301, 302, 303, 304, 307, 308} {
		api := wiretest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", other+"/api")
			w.WriteHeader(status)
		})
		_, err := post(t.Context(), t, api)
		if e := wiretest.AsStatus(t, err); e.Status != status {
			t.Errorf("%d: %v", status, e)
		}
	}
	if seen.Load() != 0 {
		t.Errorf("the other host saw %d requests", seen.Load())
	}
}

func TestSwitchingProtocols(t *testing.T) {
	api := wiretest.ServeRaw(t, func(conn net.Conn, _ string) {
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
		_, _ = conn.Read(make([]byte, 1))
	})
	_, err := post(withTimeout(t, time.Second), t, api)
	if e := wiretest.AsStatus(t, err); e.Status != 101 {
		t.Error(e)
	}
}

func TestH17_CookiesAreForgotten(t *testing.T) {
	var cookies atomic.Int32
	api := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "" || r.Header.Get("If-None-Match") != "" {
			cookies.Add(1)
		}
		w.Header().Set("Set-Cookie", "session="+canaryAnswer)
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		_, _ = io.WriteString(w, goodAnswer)
	})
	tr := wiretest.Transport(t)
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
	tests := []struct {
		name    string
		api     string
		sent    bool
		timeout bool
		text    string // of sign up's error; empty: not looked at
	}{
		{"refused", wiretest.Unused(t), false, false, ""},
		{"reset", wiretest.ServeRaw(t, func(conn net.Conn, _ string) { wiretest.Reset(conn) }), true, false, ""},
		{"closed", wiretest.ServeRaw(t, say("")), true, false, "sign up: the service closed the connection early"},
		{"no answer", wiretest.ServeRaw(t, hold), true, true, "sign up: context deadline exceeded"},
		{"not HTTP", wiretest.ServeRaw(t, say(canaryAnswer+"\r\n\r\n")), true, false, "sign up: the connection broke, or the answer is not HTTP"},
		{"bad header", wiretest.ServeRaw(t, say("HTTP/1.1 200 OK\r\n"+canaryAnswer+"\r\n\r\n")), true, false, "sign up: the connection broke, or the answer is not HTTP"},
		{"bad length", wiretest.ServeRaw(t, say("HTTP/1.1 200 OK\r\nContent-Length: "+canaryAnswer+"\r\n\r\n")), true, false, "sign up: the connection broke, or the answer is not HTTP"},
		{"bad chunk", wiretest.ServeRaw(t, say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+canaryAnswer+"\r\n")), true, false, "sign up: the connection broke, or the answer is not HTTP"},
		{"cut body", wiretest.ServeRaw(t, say("HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{\"uid\":\""+canaryAnswer)), true, false, "sign up: the service closed the connection early"},
		{"reset body", wiretest.ServeRaw(t, func(conn net.Conn, _ string) {
			_, _ = io.WriteString(conn, "HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{")
			time.Sleep(20 * time.Millisecond)
			wiretest.Reset(conn)
		}), true, false, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := post(withTimeout(t, 100*time.Millisecond), t, test.api, once)
			e := wiretest.AsTransport(t, err)
			if e.Op != exchange.OpSignUp || e.Sent != test.sent || e.Timeout != test.timeout {
				t.Errorf("%+v", e)
			}
			if test.text != "" && e.Error() != test.text {
				t.Errorf("got %q, want %q", e, test.text)
			}
			checkCanaries(t, err)
		})
	}
}

func TestH10_SentOnce(t *testing.T) {
	var n atomic.Int32
	good := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
	api := wiretest.ServeRaw(t, func(conn net.Conn, _ string) {
		n.Add(1)
		_, _ = io.WriteString(conn, good)
		// On a connection that has served before, a transport likes to retry.
		if _, err := wiretest.ReadRaw(conn); err == nil {
			n.Add(1)
			wiretest.Reset(conn)
		}
	})
	tr := wiretest.Transport(t)
	if _, err := postOn(t.Context(), t, tr, api); err != nil {
		t.Fatal(err)
	}
	_, err := postOn(withTimeout(t, time.Second), t, tr, api, once)
	if e := wiretest.AsTransport(t, err); !e.Sent || e.Timeout {
		t.Errorf("%+v", e)
	}
	if n.Load() != 2 {
		t.Errorf("%d requests, want 2", n.Load())
	}
}

func TestCanceled(t *testing.T) {
	arrived, leave := make(chan struct{}, 9), make(chan struct{})
	api := wiretest.Serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees a caller leave
		arrived <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-leave:
		}
	})
	t.Cleanup(func() { close(leave) })

	ctx, cancel := context.WithCancelCause(context.Background())
	go func() { <-arrived; cancel(errors.New(canaryAnswer)) }()
	_, err := post(ctx, t, api)
	if e := wiretest.AsTransport(t, err); !e.Sent || e.Timeout || !errors.Is(e, context.Canceled) || exchange.IsOutage(err) {
		t.Errorf("%+v", e)
	}
	checkCanaries(t, err)

	_, err = post(ctx, t, api)
	if e := wiretest.AsTransport(t, err); e.Sent || !errors.Is(e, context.Canceled) {
		t.Errorf("before the call: %+v", e)
	}

	late, stop := context.WithTimeoutCause(context.Background(), 30*time.Millisecond, errors.New(canaryAnswer))
	defer stop()
	_, err = post(late, t, api, once)
	if e := wiretest.AsTransport(t, err); !e.Sent || !e.Timeout || !errors.Is(e, context.DeadlineExceeded) || !exchange.IsOutage(err) {
		t.Errorf("%+v", e)
	}
	checkCanaries(t, err)
}

// TestTransportTimeout: a limit of the transport's own counts as a timeout.
func TestTransportTimeout(t *testing.T) {
	leave := make(chan struct{})
	api := wiretest.Serve(t, func(http.ResponseWriter, *http.Request) { <-leave })
	t.Cleanup(func() { close(leave) })
	tr := wiretest.Transport(t)
	tr.ResponseHeaderTimeout = 30 * time.Millisecond
	_, err := postOn(t.Context(), t, tr, api)
	if e := wiretest.AsTransport(t, err); !e.Sent || !e.Timeout || e.Error() != "sign in: no answer in time" {
		t.Errorf("%+v", e)
	}
}

// deadConn is a connection whose Write fails once it is dead.
type deadConn struct {
	net.Conn
	dead    *atomic.Bool
	accepts int // bytes that a dead one takes before it fails
}

func (c deadConn) Write(b []byte) (int, error) {
	if !c.dead.Load() {
		return c.Conn.Write(b)
	}
	n, _ := c.Conn.Write(b[:min(c.accepts, len(b))])
	return n, &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
}

// TestK08_NotWritten: a call counts as sent once it is written, not once there is
// a connection for it: a kept one may turn out to be closed.
func TestK08_NotWritten(t *testing.T) {
	for _, test := range []struct {
		name    string
		accepts int
		sent    bool
	}{
		{"nothing was written", 0, false},
		{"a part was written", 100, false}, // and the rest never comes
	} {
		t.Run(test.name, func(t *testing.T) {
			var requests atomic.Int32
			api := wiretest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				_, _ = io.WriteString(w, "{}")
			})
			tr, dead := wiretest.Transport(t), new(atomic.Bool)
			tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				return deadConn{conn, dead, test.accepts}, err
			}
			if _, err := postOn(t.Context(), t, tr, api); err != nil {
				t.Fatal(err)
			}
			dead.Store(true)
			_, err := postOn(withTimeout(t, time.Second), t, tr, api, once)
			if e := wiretest.AsTransport(t, err); e.Sent != test.sent || e.Timeout || !exchange.IsOutage(err) {
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
