package humanapi

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
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/wire/wiretest"
)

func TestH05_H06_RetryAfter(t *testing.T) {
	for _, status := range []int{429, 503} {
		for header, want := range map[string]time.Duration{
			"": 0, "1": time.Second, "86400": 24 * time.Hour, "-1": 0, "soon": 0,
			"Sat, 01 Mar 2025 12:00:30 GMT": 0,
		} {
			api := wiretest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", header)
				w.WriteHeader(status)
			})
			e := refusal(t, api, exchange.SessionToken)
			if e.Status != status || e.RetryAfter != want || e.Definite || !exchange.IsTransient(e) || exchange.IsOutage(e) != (status == 503) {
				t.Errorf("%d %q: %+v", status, header, e)
			}
		}
	}
}

func TestH07_EndlessBody(t *testing.T) {
	for name, test := range map[string]struct {
		chunk string
		pause time.Duration
	}{
		"a byte at a time": {"x", 10 * time.Millisecond},
		"silent":           {"x", time.Hour},
		"fast":             {strings.Repeat("x", 32<<10), 0},
	} {
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
				_, err := testClient(t, api).Token(withTimeout(t, 150*time.Millisecond), exchange.IDToken, user())
				if d := time.Since(start); d > time.Second {
					t.Errorf("took %v", d)
				}
				switch {
				case status == 503:
					_ = wiretest.AsStatus(t, err)
				case test.pause == 0:
					_ = wiretest.AsAnswer(t, err)
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
	_, _ = io.WriteString(z, goodSession)
	_ = z.Close()
	api := wiretest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	})
	_, err := testClient(t, api).Token(t.Context(), exchange.SessionToken, user())
	if e := wiretest.AsAnswer(t, err); e.Why != "not JSON" {
		t.Error(e)
	}
}

func TestH09_RedirectIsNotFollowed(t *testing.T) {
	var seen atomic.Int32
	other := wiretest.Serve(t, func(http.ResponseWriter, *http.Request) { seen.Add(1) })
	for _, status := range []int{301, 302, 303, 304, 307, 308} {
		api := wiretest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", other+"/v1/connect/token")
			w.WriteHeader(status)
		})
		for _, typ := range types {
			if e := refusal(t, api, typ); e.Status != status {
				t.Errorf("%d: %v", status, e)
			}
		}
	}
	if seen.Load() != 0 {
		t.Errorf("the other host saw %d requests", seen.Load())
	}
}

// TestH14_Unauthorized: a status alone is no decision of the service's code.
func TestH14_Unauthorized(t *testing.T) {
	for _, body := range []string{"", "<html>" + canaryAnswer, `{"message":"` + canaryAnswer + `"}`} {
		e := refusal(t, wiretest.ServeAnswer(t, 401, body), exchange.SessionToken)
		if *e != (exchange.StatusError{Op: exchange.OpSession, Status: 401}) {
			t.Errorf("%+v", e)
		}
	}
}

func TestH15_Certificate(t *testing.T) {
	var seen atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	_, err := testClient(t, s.URL).Token(t.Context(), exchange.SessionToken, user())
	e := wiretest.AsTransport(t, err)
	if e.Sent || e.Error() != "session token: the service's certificate is signed by an unknown authority" || seen.Load() != 0 {
		t.Errorf("%+v", e)
	}
}

func TestH17_CookiesAreForgotten(t *testing.T) {
	var cookies atomic.Int32
	c := testClient(t, wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "" || r.Header.Get("If-None-Match") != "" || r.Header.Get("Authorization") != "" {
			cookies.Add(1)
		}
		w.Header().Set("Set-Cookie", "session="+canaryAnswer)
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		_, _ = io.WriteString(w, goodID)
	}))
	for range 3 {
		g, err := c.Token(t.Context(), exchange.IDToken, user())
		if err != nil || strings.Contains(answerOf(g), canaryAnswer) {
			t.Fatal(err)
		}
	}
	if cookies.Load() != 0 {
		t.Error("a cookie came back")
	}
}

func TestTransportErrors(t *testing.T) {
	say := func(text string) func(net.Conn, string) {
		return func(conn net.Conn, _ string) { _, _ = io.WriteString(conn, text) }
	}
	for _, test := range []struct {
		name          string
		api           string
		sent, timeout bool
		text          string // empty: not looked at
	}{
		{"refused", wiretest.Unused(t), false, false, ""},
		{"reset", wiretest.ServeRaw(t, func(conn net.Conn, _ string) { wiretest.Reset(conn) }), true, false, ""},
		{"closed", wiretest.ServeRaw(t, say("")), true, false, "id token: the service closed the connection early"},
		{"no answer", wiretest.ServeRaw(t, func(net.Conn, string) { time.Sleep(200 * time.Millisecond) }), true, true, "id token: context deadline exceeded"},
		{"not HTTP", wiretest.ServeRaw(t, say(canaryAnswer+"\r\n\r\n")), true, false, "id token: the connection broke, or the answer is not HTTP"},
		{"truncated", wiretest.ServeRaw(t, say("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"id_token\":\""+canaryToken)), true, false,
			"id token: the service closed the connection early"},
		{"reset body", wiretest.ServeRaw(t, func(conn net.Conn, _ string) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
			time.Sleep(20 * time.Millisecond)
			wiretest.Reset(conn)
		}), true, false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, err := testClient(t, test.api).Token(withTimeout(t, 100*time.Millisecond), exchange.IDToken, user())
			e := wiretest.AsTransport(t, err)
			if g != nil || e.Op != exchange.OpID || e.Sent != test.sent || e.Timeout != test.timeout {
				t.Errorf("%+v", e)
			}
			if test.text != "" && e.Error() != test.text {
				t.Errorf("got %q, want %q", e, test.text)
			}
			if !exchange.IsTransient(err) || !exchange.IsOutage(err) {
				t.Error("not an outage")
			}
			checkCanaries(t, err)
		})
	}
}

func TestCanceled(t *testing.T) {
	arrived := make(chan struct{}, 1)
	api := wiretest.Serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees a caller leave
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-arrived; cancel(errors.New(canaryAnswer)) }()
	_, err := testClient(t, api).Token(ctx, exchange.SessionToken, user())
	if e := wiretest.AsTransport(t, err); !e.Sent || e.Timeout || !errors.Is(e, context.Canceled) || exchange.IsOutage(err) {
		t.Errorf("%+v", e)
	}
	checkCanaries(t, err)
}
