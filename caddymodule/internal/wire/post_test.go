package wire

import (
	"bytes"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestStatuses checks that the status is evaluated before the body, and that only what
// Refused reads of an error body gets into the error.
func TestStatuses(t *testing.T) {
	long := strings.Repeat("x", 70<<10)
	for _, status := range []int{200, 201, 202, 204, 300, 400, 401, 403, 404, 429, 500, 503, 599} {
		for _, body := range []string{"", goodResponse, canaryResponse, long} {
			if status == 204 && body != "" {
				continue
			}
			api := testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Id", "7")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			})
			for _, statusOnly := range []bool{false, true} {
				got, err := post(t.Context(), t, api, func(c *Call) {
					c.StatusOnly = statusOnly
					c.ReadError = func(e *exchange.StatusError, h http.Header, b []byte) {
						if want := min(len(body), maxBody+1); len(b) != want || h.Get("X-Id") != "7" {
							t.Errorf("%d: read %d bytes, want %d, of %v", status, len(b), want, h)
						}
						e.RetryAfter = time.Minute
					}
				})
				switch {
				case status >= 300:
					if e := testutil.As[*exchange.StatusError](t, err); *e != (exchange.StatusError{Op: exchange.OpSignIn, Status: status, RetryAfter: time.Minute}) {
						t.Errorf("%d: %+v", status, e)
					}
				case statusOnly:
					if got != nil || err != nil {
						t.Errorf("%d: got %q, %v", status, got, err)
					}
				case body == long:
					if e := testutil.As[*exchange.ResponseError](t, err); e.Reason != "longer than 64 KiB" {
						t.Errorf("%d: %v", status, e)
					}
				case err != nil || !bytes.Equal(got, []byte(body)):
					t.Errorf("%d: got %q, %v", status, got, err)
				}
				testutil.NoSecrets(t, err, "canary")
			}
		}
	}
}

func TestH07_LongestResponse(t *testing.T) {
	for _, size := range []int{maxBody, maxBody + 1, 10 << 20} {
		got, err := post(t.Context(), t, testutil.ServeResponse(t, 200, strings.Repeat("x", size)))
		if size == maxBody {
			if err != nil || len(got) != maxBody {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			continue
		}
		if e := testutil.As[*exchange.ResponseError](t, err); e.Reason != "longer than 64 KiB" || got != nil {
			t.Errorf("%d: %v", size, e)
		}
	}
}

func TestEndpoint(t *testing.T) {
	for base, want := range map[string]string{
		"https://h.example":                     "https://h.example/v1/call",
		"https://h.example/":                    "https://h.example/v1/call",
		"https://h.example/base//":              "https://h.example/base/v1/call",
		"https://h.example/b%2Fc/?q=1#f":        "https://h.example/b%2Fc/v1/call",
		"https://h.example:8443/with%20space":   "https://h.example:8443/with%20space/v1/call",
		"https://h.example/a/../b":              "https://h.example/a/../b/v1/call",
		"https://u:p@h.example/?q":              "https://h.example/v1/call",
		"https://h.example/gr%C3%BC%C3%9Fe/%2F": "https://h.example/gr%C3%BC%C3%9Fe/%2F/v1/call",
		"http://[::1]:80":                       "http://[::1]:80/v1/call",
	} {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		if got := Endpoint(u, "/v1/call"); got.String() != want {
			t.Errorf("%s: got %s, want %s", base, got.String(), want)
		}
	}
}

// TestConnectionReuse makes 50 calls, some with errors, on one connection.
func TestConnectionReuse(t *testing.T) {
	var conns, n atomic.Int32
	s := testutil.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) % 5 {
		case 0:
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"code":300011,"message":"x"}`)
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, strings.Repeat("x", 60<<10))
		case 2:
			w.WriteHeader(http.StatusNoContent)
		default:
			_, _ = io.WriteString(w, goodResponse)
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	tr := testutil.Transport(t)
	for i := range 50 {
		_, _ = postOn(t.Context(), t, tr, s.URL, func(c *Call) { c.StatusOnly = i%7 == 3 })
	}
	if conns.Load() != 1 {
		t.Errorf("%d connections, want 1", conns.Load())
	}
}

func TestRequestID(t *testing.T) {
	longest := strings.Repeat("a", 128)
	for in, want := range map[string]string{
		"":                     "",
		"Az09._:-":             "Az09._:-",
		longest:                longest,
		longest + "a":          "",
		"a b":                  "",
		"a\nb":                 "",
		"alice@example.org":    "",
		"\u00fc":               "",
		"\xff":                 "",
		`a"`:                   "",
		"JKJaXm+/PLvHcESHA=":   "JKJaXm+/PLvHcESHA=",
		"Root=1-5e6722a7":      "Root=1-5e6722a7",
		"0af7651916cd43dd8448": "0af7651916cd43dd8448",
	} {
		if got := RequestID(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := RequestID("", "no id", "second", "third"); got != "second" {
		t.Errorf("got %q", got)
	}
}

func TestH05_RetryAfter(t *testing.T) {
	now := time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"":                               0,
		"0":                              0,
		"1":                              time.Second,
		"86400":                          24 * time.Hour,
		"-1":                             0,
		"+1":                             0,
		"1.5":                            0,
		"soon":                           0,
		"1s":                             0,
		"9223372037":                     math.MaxInt64,
		"99999999999999999999999":        math.MaxInt64,
		"Sat, 01 Mar 2025 12:00:30 GMT":  30 * time.Second,
		"Sat, 01 Mar 2025 11:59:00 GMT":  0,
		"Saturday, 01-Mar-25 12:01:00 G": 0,
		"Sat Mar  1 12:01:00 2025":       time.Minute,
		"Fri, 31 Dec 9999 23:59:59 GMT":  math.MaxInt64,
	} {
		if got := retryAfter(in, now); got != want {
			t.Errorf("%q: got %v, want %v", in, got, want)
		}
	}

	_, err := post(t.Context(), t, testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", " 7 ")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	if e := testutil.As[*exchange.StatusError](t, err); e.RetryAfter != 7*time.Second {
		t.Error(e.RetryAfter)
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "1", "-1", "86400", "9223372037", "Sat, 01 Mar 2025 12:00:30 GMT", "1e9"} {
		f.Add(s)
	}
	now := time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if d := retryAfter(value, now); d < 0 {
			t.Errorf("%q: %v", value, d)
		}
	})
}
