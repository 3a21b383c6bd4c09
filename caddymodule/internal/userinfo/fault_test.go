package userinfo

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
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// Errors of net/http for broken connections are tested in package wire, their
// conversion in neterror, and JSON documents in claims. These tests are about the
// client's handling of a response.

// TestUnavailable checks all other responses of an application.
func TestUnavailable(t *testing.T) {
	const good = `{"email":"a@x.io"}`
	type test struct {
		status int
		body   string
		want   string
	}
	tests := map[string]test{
		"page":              {200, "<html>" + canaryResponse, "parse response: not valid JSON"},
		"null in a text":    {200, `"null"`, "parse response: not a JSON object or array"},
		"two nulls":         {200, "null null", "parse response: more than one JSON value"},
		"rest":              {200, good + canaryResponse, "parse response: more than one JSON value"},
		"one byte too long": {200, good + strings.Repeat(" ", maxResponse+1-len(good)), "the response is longer than 256 KiB"},
	}
	for _, status := range []int{201, 204, 206, 299, 400, 402, 404, 407, 429, 500, 503, 599} {
		tests[fmt.Sprint(status)] = test{status, good, fmt.Sprintf("unexpected status %d", status)}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			c, r := newClient(t, testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.Header().Set("Retry-After", "0")
				w.Header().Set("X-Reason", canaryResponse)
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			wantError(t, c, r, tt.want)
			if n := calls.Load(); n != 1 {
				t.Errorf("%d calls, want 1", n)
			}
		})
	}
}

func TestRedirect(t *testing.T) {
	var seen atomic.Int32
	target := testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		seen.Add(1)
		_, _ = io.WriteString(w, `{"email":"evil@x.io"}`)
	})
	for _, status := range []int{300, 301, 302, 303, 304, 305, 307, 308} {
		c, r := newClient(t, testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", target+"/"+canaryResponse)
			w.Header().Set("Refresh", "0; url="+target)
			w.WriteHeader(status)
		}))
		wantError(t, c, r, fmt.Sprintf("unexpected status %d: redirects are not followed; use a path that responds with 401 if the user is not signed in", status))
	}
	if n := seen.Load(); n != 0 {
		t.Errorf("the redirect's target saw %d requests", n)
	}
}

func TestCompressedResponse(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(bytes.Repeat([]byte(" "), 10<<20))
	_, _ = io.WriteString(z, `{"email":"a@x.io"}`)
	_ = z.Close()
	for name, body := range map[string]string{"packed": packed.String(), "claims to be": `{"email":"a@x.io"}`} {
		t.Run(name, func(t *testing.T) {
			sent := make(chan string, 1)
			c, r := newClient(t, testutil.Serve(t, func(w http.ResponseWriter, req *http.Request) {
				sent <- req.Header.Get("Accept-Encoding")
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = io.WriteString(w, body)
			}))
			wantError(t, c, r, "the response is compressed, but compression was not requested")
			if encoding := <-sent; encoding != "identity" {
				t.Errorf("sent Accept-Encoding %s", encoding)
			}
		})
	}
	c, _ := newClient(t, testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "identity")
		_, _ = io.WriteString(w, "{}")
	}))
	if _, err := c.Fetch(t.Context(), "", withCredentials()); err != nil {
		t.Error(err)
	}
}

// TestEndless checks that an endless body reaches a limit, at any speed.
func TestEndless(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int // 0: no header at all
		chunk  string
		pause  time.Duration
		want   string // empty: not signed in
	}{
		{"slow", 200, " ", 5 * time.Millisecond, "timed out waiting for the response"},
		{"fast", 200, strings.Repeat(" ", 32<<10), 0, "the response is longer than 256 KiB"},
		{"slow 401", 401, " ", 5 * time.Millisecond, ""},
		{"fast 403", 403, strings.Repeat(" ", 32<<10), 0, ""},
		{"no header", 0, "", time.Hour, "timed out waiting for the response"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, r := newClient(t, testutil.Serve(t, func(w http.ResponseWriter, req *http.Request) {
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
				wantRejection(t, c, t.Context(), withCredentials(), map[int]*identity.Rejection{401: identity.ErrUnauthenticated, 403: identity.ErrForbidden}[tt.status])
			} else {
				wantError(t, c, r, tt.want)
			}
			if d := time.Since(start); d > 20*time.Second { // it would never end without a limit
				t.Errorf("took %v", d)
			}
		})
	}
}

// TestBrokenConnections checks that a call is not repeated after its connection breaks.
func TestBrokenConnections(t *testing.T) {
	for _, tt := range []struct {
		name     string
		response string
		want     string // empty: any error
	}{
		{"closed", "", "the application closed the connection before the response was complete"},
		{"not HTTP", canaryResponse + "\r\n\r\n", "connection lost, or the response is not HTTP"},
		{"cut, yet JSON", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}", "the application closed the connection before the response was complete"},
		{"long header", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat(canaryResponse, 20000), "the application sent a response header of more than 64 KiB"},
		{"endless 1xx", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", 20000), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var calls atomic.Int32
			c, r := newClient(t, testutil.ServeRaw(t, func(conn net.Conn, _ string) {
				calls.Add(1)
				_, _ = io.WriteString(conn, tt.response)
			}))
			wantError(t, c, r, tt.want)
			if n := calls.Load(); n != 1 {
				t.Errorf("%d calls, want 1", n)
			}
		})
	}
}

func TestSwitchingProtocols(t *testing.T) {
	c, r := newClient(t, testutil.ServeRaw(t, func(conn net.Conn, _ string) {
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n{}")
		_, _ = conn.Read(make([]byte, 1))
	}))
	start := time.Now()
	wantError(t, c, r, "unexpected status 101")
	if d := time.Since(start); d > time.Second {
		t.Errorf("took %v", d)
	}
}

// TestClosedWhileIdle checks that a connection closed by the application while idle
// causes no error.
func TestClosedWhileIdle(t *testing.T) {
	s := testutil.NewServer(t, testutil.Respond(200, "{}"))
	s.Start()
	c, r := newClient(t, s.URL)
	for range 3 {
		if _, err := c.Fetch(t.Context(), "", withCredentials()); err != nil {
			t.Fatal(err, r.All())
		}
		s.CloseClientConnections()
	}
}

// TestDeadlineOfTheCaller checks that a deadline is an error of the application, even if
// the caller set it.
func TestDeadlineOfTheCaller(t *testing.T) {
	c, r := newClient(t, testutil.Serve(t, func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }), timeout(time.Minute))
	late, stop := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New(canaryResponse))
	defer stop()
	wantRejection(t, c, late, withCredentials(), identity.ErrUserinfoUnavailable)
	if errs := r.All(); len(errs) != 1 || errs[0] != subrequest.ErrTimeout {
		t.Errorf("got %v, want %v", errs, subrequest.ErrTimeout)
	}
}
