package huma

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
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
				api := serve(t, func(w http.ResponseWriter, r *http.Request) {
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
				_, err := testClient(t, api).SignIn(withTimeout(t, 150*time.Millisecond), person())
				if d := time.Since(start); d > time.Second {
					t.Errorf("took %v", d)
				}
				switch {
				case status == 503:
					if e := asStatus(t, err); e.Status != 503 {
						t.Error(e)
					}
				case test.pause == 0:
					if e := asAnswer(t, err); e.Why != "longer than 64 KiB" {
						t.Error(e)
					}
				default:
					if e := asTransport(t, err); !e.Sent || !e.Timeout {
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
	api := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	})
	_, err := testClient(t, api).SignIn(t.Context(), person())
	if e := asAnswer(t, err); e.Why != "not JSON" {
		t.Error(e)
	}
}

func TestH09_RedirectIsNotFollowed(t *testing.T) {
	var seen atomic.Int32
	other := serve(t, func(http.ResponseWriter, *http.Request) { seen.Add(1) })
	for _, status := range []int{301, 302, 303, 304, 307, 308} {
		api := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", other+"/api")
			w.WriteHeader(status)
		})
		c := testClient(t, api)
		_, in := c.SignIn(t.Context(), person())
		_, up := c.SignUp(t.Context(), person())
		for _, err := range []error{in, up, c.SignConsent(t.Context(), person())} {
			if e := asStatus(t, err); e.Status != status {
				t.Errorf("%d: %v", status, e)
			}
		}
	}
	if seen.Load() != 0 {
		t.Errorf("the other host saw %d requests", seen.Load())
	}
}

func TestSwitchingProtocols(t *testing.T) {
	api := serveRaw(t, func(conn net.Conn, _ string) {
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
		_, _ = conn.Read(make([]byte, 1))
	})
	_, err := testClient(t, api).SignIn(withTimeout(t, time.Second), person())
	if e := asStatus(t, err); e.Status != 101 {
		t.Error(e)
	}
}

func TestH17_CookiesAreForgotten(t *testing.T) {
	var cookies atomic.Int32
	c := testClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "" || r.Header.Get("If-None-Match") != "" {
			cookies.Add(1)
		}
		w.Header().Set("Set-Cookie", "session="+canaryAnswer)
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		_, _ = io.WriteString(w, goodAnswer)
	}))
	for range 3 {
		if _, err := c.SignIn(t.Context(), person()); err != nil {
			t.Fatal(err)
		}
	}
	if cookies.Load() != 0 {
		t.Error("a cookie came back")
	}
}

// reset makes the kernel answer with RST when conn is closed.
func reset(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }

func TestTransportErrors(t *testing.T) {
	unused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + unused.Addr().String()
	unused.Close()
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
		{"refused", refused, false, false, ""},
		{"reset", serveRaw(t, func(conn net.Conn, _ string) { reset(conn) }), true, false, ""},
		{"closed", serveRaw(t, say("")), true, false, "sign up: the service closed the connection early"},
		{"no answer", serveRaw(t, hold), true, true, "sign up: context deadline exceeded"},
		{"not HTTP", serveRaw(t, say(canaryAnswer+"\r\n\r\n")), true, false, "sign up: the connection broke, or the answer is not HTTP"},
		{"bad header", serveRaw(t, say("HTTP/1.1 200 OK\r\n"+canaryAnswer+"\r\n\r\n")), true, false, "sign up: the connection broke, or the answer is not HTTP"},
		{"bad length", serveRaw(t, say("HTTP/1.1 200 OK\r\nContent-Length: "+canaryAnswer+"\r\n\r\n")), true, false, "sign up: the connection broke, or the answer is not HTTP"},
		{"bad chunk", serveRaw(t, say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+canaryAnswer+"\r\n")), true, false, "sign up: the connection broke, or the answer is not HTTP"},
		{"cut body", serveRaw(t, say("HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{\"uid\":\""+canaryAnswer)), true, false, "sign up: the service closed the connection early"},
		{"reset body", serveRaw(t, func(conn net.Conn, _ string) {
			_, _ = io.WriteString(conn, "HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{")
			time.Sleep(20 * time.Millisecond)
			reset(conn)
		}), true, false, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := testClient(t, test.api)
			_, err := c.SignUp(withTimeout(t, 100*time.Millisecond), person())
			e := asTransport(t, err)
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

func TestH10_ResetSignUpIsSentOnce(t *testing.T) {
	var n atomic.Int32
	good := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
	api := serveRaw(t, func(conn net.Conn, _ string) {
		n.Add(1)
		_, _ = io.WriteString(conn, good)
		// On a connection that has served before, a transport likes to retry.
		if _, err := readRaw(conn); err == nil {
			n.Add(1)
			reset(conn)
		}
	})
	c := testClient(t, api, func(cfg *Config) {
		cfg.HeaderUp = []Header{{"X-Idempotency-Key", masked.New("1")}, {"idempotency-key", masked.New("1")}}
	})
	if err := c.SignConsent(t.Context(), person()); err != nil {
		t.Fatal(err)
	}
	_, err := c.SignUp(withTimeout(t, time.Second), person())
	if e := asTransport(t, err); !e.Sent || e.Timeout {
		t.Errorf("%+v", e)
	}
	if n.Load() != 2 {
		t.Errorf("%d requests, want 2", n.Load())
	}
}

// TestH15_Certificates: the reason is clear and nothing was sent.
func TestH15_Certificates(t *testing.T) {
	var seen atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	s.Config.ErrorLog = discardLog()
	s.StartTLS()
	t.Cleanup(s.Close)
	trusting := func(change func(*http.Transport)) func(*Config) {
		return func(cfg *Config) {
			tr := testTransport(t)
			tr.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
			change(tr)
			cfg.HTTP = tr
		}
	}
	plain := serveAnswer(t, 200, goodAnswer)
	tests := []struct {
		name, api string
		change    func(*Config)
		want      string
	}{
		{"unknown authority", s.URL, func(*Config) {}, "the service's certificate is signed by an unknown authority"},
		{"wrong host", s.URL, trusting(func(tr *http.Transport) { tr.TLSClientConfig.ServerName = "huma.invalid" }),
			"the service's certificate is for another host"},
		{"expired", s.URL, trusting(func(tr *http.Transport) {
			tr.TLSClientConfig.Time = func() time.Time { return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) }
		}), "the service's certificate has expired or is not yet valid"},
		{"no TLS", strings.Replace(plain, "http:", "https:", 1), func(*Config) {}, "the service does not speak TLS"},
	}
	for _, test := range tests {
		_, err := testClient(t, test.api, test.change).SignIn(t.Context(), person())
		e := asTransport(t, err)
		if e.Sent || e.Timeout || e.Error() != "sign in: "+test.want {
			t.Errorf("%s: %+v", test.name, e)
		}
	}
	if seen.Load() != 0 {
		t.Error("a request went out")
	}
}

// TestH15_NoName: the resolver finds nothing, or nobody answers it.
func TestH15_NoName(t *testing.T) {
	for want, dns := range map[string]*net.DNSError{
		"sign in: dial tcp: lookup huma.invalid: no such host": {Err: "no such host", Name: "huma.invalid", IsNotFound: true},
		"sign in: dial tcp: lookup huma.invalid: i/o timeout":  {Err: "i/o timeout", Name: "huma.invalid", IsTimeout: true},
	} {
		tr := testTransport(t)
		tr.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: dns}
		}
		_, err := testClient(t, "https://huma.invalid", func(cfg *Config) { cfg.HTTP = tr }).SignIn(t.Context(), person())
		if e := asTransport(t, err); e.Sent || e.Timeout != dns.IsTimeout || e.Error() != want {
			t.Errorf("%+v", e)
		}
	}
}

func TestProxyRefuses(t *testing.T) {
	proxy, _ := url.Parse(serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(407) }))
	tr := testTransport(t)
	tr.Proxy = http.ProxyURL(proxy)
	_, err := testClient(t, "https://huma.invalid", func(cfg *Config) { cfg.HTTP = tr }).SignIn(t.Context(), person())
	if e := asTransport(t, err); e.Sent || e.Error() != "sign in: connect through the proxy: status 407" {
		t.Errorf("%+v", e)
	}
}

func TestCanceled(t *testing.T) {
	arrived, leave := make(chan struct{}, 9), make(chan struct{})
	api := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees a caller leave
		arrived <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-leave:
		}
	})
	t.Cleanup(func() { close(leave) })
	c := testClient(t, api)

	ctx, cancel := context.WithCancelCause(context.Background())
	go func() { <-arrived; cancel(errors.New(canaryAnswer)) }()
	_, err := c.SignIn(ctx, person())
	if e := asTransport(t, err); !e.Sent || e.Timeout || !errors.Is(e, context.Canceled) || exchange.IsOutage(err) {
		t.Errorf("%+v", e)
	}
	checkCanaries(t, err)

	_, err = c.SignIn(ctx, person())
	if e := asTransport(t, err); e.Sent || !errors.Is(e, context.Canceled) {
		t.Errorf("before the call: %+v", e)
	}

	late, stop := context.WithTimeoutCause(context.Background(), 30*time.Millisecond, errors.New(canaryAnswer))
	defer stop()
	_, err = c.SignUp(late, person())
	if e := asTransport(t, err); !e.Sent || !e.Timeout || !errors.Is(e, context.DeadlineExceeded) || !exchange.IsOutage(err) {
		t.Errorf("%+v", e)
	}
	checkCanaries(t, err)
}

// TestTransportTimeout: a limit of the transport's own counts as a timeout.
func TestTransportTimeout(t *testing.T) {
	leave := make(chan struct{})
	api := serve(t, func(http.ResponseWriter, *http.Request) { <-leave })
	t.Cleanup(func() { close(leave) })
	tr := testTransport(t)
	tr.ResponseHeaderTimeout = 30 * time.Millisecond
	_, err := testClient(t, api, func(cfg *Config) { cfg.HTTP = tr }).SignIn(t.Context(), person())
	if e := asTransport(t, err); !e.Sent || !e.Timeout || e.Error() != "sign in: no answer in time" {
		t.Errorf("%+v", e)
	}
}
