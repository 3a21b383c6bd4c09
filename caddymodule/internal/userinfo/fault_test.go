package userinfo

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// TestUnavailable: whatever else an application answers.
func TestUnavailable(t *testing.T) {
	const good = `{"email":"a@x.io"}`
	type test struct {
		status int
		body   string
		want   string
	}
	tests := map[string]test{
		"empty":              {200, "", "the answer cannot be read: it is not JSON"},
		"page":               {200, "<html>" + canaryAnswer, "the answer cannot be read: it is not JSON"},
		"text":               {200, `"` + canaryAnswer + `"`, "the answer cannot be read: neither an object nor a list"},
		"null in a text":     {200, `"null"`, "the answer cannot be read: neither an object nor a list"},
		"two nulls":          {200, "null null", "the answer cannot be read: more than one JSON value"},
		"number":             {200, "7", "the answer cannot be read: neither an object nor a list"},
		"two values":         {200, good + good, "the answer cannot be read: more than one JSON value"},
		"rest":               {200, good + canaryAnswer, "the answer cannot be read: more than one JSON value"},
		"half":               {200, good[:9], "the answer cannot be read: it is not JSON"},
		"member twice":       {200, `{"` + canaryAnswer + `":1,"` + canaryAnswer + `":2}`, "the answer cannot be read: a member of an object stands there twice"},
		"too deep":           {200, strings.Repeat("[", 5000), "the answer cannot be read: it nests deeper than 32 levels"},
		"byte-order mark":    {200, "\ufeff" + good, "the answer cannot be read: it is not JSON"},
		"one byte too long":  {200, good + strings.Repeat(" ", maxAnswer+1-len(good)), "the answer is longer than 256 KiB"},
		"packed, but claims": {200, "\x1f\x8b" + canaryAnswer, "the answer cannot be read: it is not JSON"},
	}
	for _, status := range []int{201, 202, 203, 204, 205, 206, 226, 299, 400, 402, 404, 405, 407, 408, 418, 429, 500, 502, 503, 504, 599} {
		tests[fmt.Sprint(status)] = test{status, good, fmt.Sprintf("the answer has the status %d", status)}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			c, r := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.Header().Set("Retry-After", "0")
				w.Header().Set("X-Reason", canaryAnswer)
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			wantError(t, c, r, tt.want)
			if n := calls.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestRedirect(t *testing.T) {
	var seen atomic.Int32
	target := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		seen.Add(1)
		_, _ = io.WriteString(w, `{"email":"evil@x.io"}`)
	})
	for _, status := range []int{300, 301, 302, 303, 304, 305, 307, 308} {
		c, r := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", target+"/"+canaryAnswer)
			w.Header().Set("Refresh", "0; url="+target)
			w.WriteHeader(status)
		}))
		wantError(t, c, r, fmt.Sprintf("the answer is a redirect (status %d), which is not followed: name a path that answers 401 when nobody is signed in", status))
	}
	if n := seen.Load(); n != 0 {
		t.Errorf("the redirect's target saw %d requests", n)
	}
}

func TestStaysPacked(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(bytes.Repeat([]byte(" "), 10<<20))
	_, _ = io.WriteString(z, `{"email":"a@x.io"}`)
	_ = z.Close()
	for name, body := range map[string]string{"packed": packed.String(), "claims to be": `{"email":"a@x.io"}`} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan string, 1)
			c, r := newClient(t, serve(t, func(w http.ResponseWriter, req *http.Request) {
				asked <- req.Header.Get("Accept-Encoding")
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = io.WriteString(w, body)
			}))
			wantError(t, c, r, "the answer is compressed, although that was not asked for")
			if encoding := <-asked; encoding != "" {
				t.Errorf("asked for %s", encoding)
			}
		})
	}
	c, _ := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "identity")
		_, _ = io.WriteString(w, "{}")
	}))
	if _, err := c.Ask(t.Context(), "", signedIn()); err != nil {
		t.Error(err)
	}
}

// TestEndless: a body that does not end, in any tempo, ends by a limit.
func TestEndless(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		chunk  string
		pause  time.Duration
		want   string
	}{
		"a byte at a time":      {200, " ", 5 * time.Millisecond, "no answer in time"},
		"silent":                {200, "{", time.Hour, "no answer in time"},
		"fast":                  {200, strings.Repeat(" ", 32<<10), 0, "the answer is longer than 256 KiB"},
		"fast failure":          {500, strings.Repeat(" ", 32<<10), 0, "the answer has the status 500"},
		"slow 401":              {401, " ", 5 * time.Millisecond, ""},
		"fast 403":              {403, strings.Repeat(" ", 32<<10), 0, ""},
		"nothing of the header": {0, "", time.Hour, "no answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			c, r := newClient(t, serve(t, func(w http.ResponseWriter, req *http.Request) {
				if tt.status != 0 {
					w.WriteHeader(tt.status)
				}
				for req.Context().Err() == nil {
					if tt.status != 0 {
						if _, err := io.WriteString(w, tt.chunk); err != nil {
							return
						}
						_ = http.NewResponseController(w).Flush()
					}
					select {
					case <-req.Context().Done():
					case <-time.After(tt.pause):
					}
				}
			}), timeout(150*time.Millisecond))
			start := time.Now()
			if tt.want == "" {
				wantRejection(t, c, t.Context(), signedIn(), identity.ErrNotSignedIn)
			} else {
				wantError(t, c, r, tt.want)
			}
			if d := time.Since(start); d > 20*time.Second { // it would never end
				t.Errorf("took %v", d)
			}
		})
	}
}

// TestBrokenConnections: also a connection that breaks is asked over once.
func TestBrokenConnections(t *testing.T) {
	say := func(text string) func(net.Conn) {
		return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
	}
	for name, tt := range map[string]struct {
		answer func(net.Conn)
		want   string // empty: not looked at
	}{
		"closed":        {say(""), "the application closed the connection early"},
		"reset":         {func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }, ""},
		"not HTTP":      {say(canaryAnswer + "\r\n\r\n"), "the connection broke, or the answer is not HTTP"},
		"bad header":    {say("HTTP/1.1 200 OK\r\n" + canaryAnswer + "\r\n\r\n"), "the connection broke, or the answer is not HTTP"},
		"bad status":    {say("HTTP/1.1 2x0 " + canaryAnswer + "\r\n\r\n"), "the connection broke, or the answer is not HTTP"},
		"bad length":    {say("HTTP/1.1 200 OK\r\nContent-Length: " + canaryAnswer + "\r\n\r\n"), "the connection broke, or the answer is not HTTP"},
		"two lengths":   {say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}" + canaryAnswer), "the connection broke, or the answer is not HTTP"},
		"bad chunk":     {say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + canaryAnswer + "\r\n"), "the connection broke, or the answer is not HTTP"},
		"cut body":      {say("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"email\":\"" + canaryAnswer), "the application closed the connection early"},
		"cut, yet JSON": {say("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}"), "the application closed the connection early"},
		"cut chunks":    {say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"), "the application closed the connection early"},
		"long header":   {say("HTTP/1.1 200 OK\r\nX: " + strings.Repeat(canaryAnswer, 20000)), "the connection broke, or the answer is not HTTP"},
		"endless 1xx": {func(conn net.Conn) {
			_, _ = io.WriteString(conn, strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", 20000))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			c, r := newClient(t, serveRaw(t, func(conn net.Conn, _ string) { calls.Add(1); tt.answer(conn) }))
			wantError(t, c, r, tt.want)
			if n := calls.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestSwitchingProtocols(t *testing.T) {
	c, r := newClient(t, serveRaw(t, func(conn net.Conn, _ string) {
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n{}")
		_, _ = conn.Read(make([]byte, 1))
	}))
	wantError(t, c, r, "the answer has the status 101")
}

func TestRefused(t *testing.T) {
	unused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := unused.Addr().String()
	unused.Close()
	c, r := newClient(t, "http://"+at)
	wantError(t, c, r, "dial tcp "+at+": connect: connection refused")
}

// TestClosedWhileIdle: an application may close a connection that nobody
// used for a while, and that is nobody's failure.
func TestClosedWhileIdle(t *testing.T) {
	s := httptest.NewServer(answering(200, "{}"))
	defer s.Close()
	c, r := newClient(t, s.URL)
	for range 3 {
		if _, err := c.Ask(t.Context(), "", signedIn()); err != nil {
			t.Fatal(err, r.all())
		}
		s.CloseClientConnections()
	}
}

func TestCallerLeaves(t *testing.T) {
	arrived := make(chan struct{}, 1)
	c, r := newClient(t, serve(t, func(_ http.ResponseWriter, req *http.Request) {
		arrived <- struct{}{}
		<-req.Context().Done()
	}), timeout(time.Minute))
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-arrived; cancel(errors.New(canaryAnswer)) }()
	wantRejection(t, c, ctx, signedIn(), identity.ErrUserinfoUnavailable)
	wantRejection(t, c, ctx, signedIn(), identity.ErrUserinfoUnavailable) // and has left before
	if errs := r.all(); len(errs) != 0 {
		t.Errorf("the operator is told: %v", errs)
	}

	// Out of time is another matter, whoever's limit it is.
	late, stop := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New(canaryAnswer))
	defer stop()
	wantRejection(t, c, late, signedIn(), identity.ErrUserinfoUnavailable)
	if errs := r.all(); len(errs) != 1 || errs[0] != errNoAnswer {
		t.Errorf("got %v, want %v", errs, errNoAnswer)
	}
}

func TestCertificates(t *testing.T) {
	s := httptest.NewUnstartedServer(answering(200, `{"email":"a@x.io"}`))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	plainURL := serve(t, answering(200, "{}"))
	for name, tt := range map[string]struct {
		url    string
		change func(*http.Transport)
		want   string
	}{
		"good":              {s.URL, func(*http.Transport) {}, ""},
		"unknown authority": {s.URL, func(tr *http.Transport) { tr.TLSClientConfig = nil }, "the application's certificate is signed by an unknown authority"},
		"other host":        {s.URL, func(tr *http.Transport) { tr.TLSClientConfig.ServerName = canaryQuery + ".example" }, "the application's certificate is for another host"},
		"expired": {s.URL, func(tr *http.Transport) {
			tr.TLSClientConfig.Time = func() time.Time { return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) }
		}, "the application's certificate has expired or is not yet valid"},
		"no TLS": {strings.Replace(plainURL, "http:", "https:", 1), func(*http.Transport) {}, "the application does not speak TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := shared.Clone()
			t.Cleanup(tr.CloseIdleConnections)
			tr.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
			tt.change(tr)
			c, r := newClient(t, tt.url)
			c.http = tr
			if tt.want != "" {
				wantError(t, c, r, tt.want)
				return
			}
			if _, err := c.Ask(t.Context(), "", signedIn()); err != nil {
				t.Error(err, r.all())
			}
		})
	}
}

func TestProxyRefuses(t *testing.T) {
	proxy, err := url.Parse(serve(t, answering(407, canaryAnswer)))
	if err != nil {
		t.Fatal(err)
	}
	proxy.User = url.UserPassword(canaryUser, canaryPass)
	tr := shared.Clone()
	t.Cleanup(tr.CloseIdleConnections)
	tr.Proxy = http.ProxyURL(proxy)
	c, r := newClient(t, "https://app.invalid/me")
	c.http = tr
	wantError(t, c, r, "connect through the proxy: status 407")
}

// TestNoName: the resolver finds nothing, or nobody answers it.
func TestNoName(t *testing.T) {
	for want, dns := range map[string]*net.DNSError{
		"dial tcp: lookup app.invalid: no such host": {Err: "no such host", Name: "app.invalid", IsNotFound: true},
		"dial tcp: lookup app.invalid: i/o timeout":  {Err: "i/o timeout", Name: "app.invalid", IsTimeout: true},
	} {
		tr := shared.Clone()
		tr.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: dns}
		}
		c, r := newClient(t, "http://app.invalid/me")
		c.http = tr
		wantError(t, c, r, want)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestNoErrorTellsAnything has the transport say all that it was told.
func TestNoErrorTellsAnything(t *testing.T) {
	for name, wrap := range map[string]func(error) error{
		"plain":   func(err error) error { return err },
		"wrapped": func(err error) error { return fmt.Errorf("failed: %w", err) },
		"of URL":  func(err error) error { return &url.Error{Op: "Get", URL: err.Error(), Err: io.EOF} },
	} {
		t.Run(name, func(t *testing.T) {
			c, r := newClient(t, "http://app.invalid/me")
			c.http = roundTripper(func(req *http.Request) (*http.Response, error) {
				var all strings.Builder
				_ = req.Write(&all)
				return nil, wrap(errors.New(all.String()))
			})
			wantError(t, c, r, "")
		})
	}
}
