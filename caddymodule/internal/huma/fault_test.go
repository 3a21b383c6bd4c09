package huma

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"path"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func TestH09_RedirectIsNotFollowed(t *testing.T) {
	var seen atomic.Int32
	other := testutil.Serve(t, func(http.ResponseWriter, *http.Request) { seen.Add(1) })
	api := testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", other+"/api")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	c := testClient(t, api)
	_, in := c.SignIn(t.Context(), person())
	_, up := c.SignUp(t.Context(), person())
	for _, err := range []error{in, up, c.SignConsent(t.Context(), person())} {
		if e := testutil.As[*exchange.StatusError](t, err); e.Status != http.StatusTemporaryRedirect {
			t.Error(e)
		}
	}
	if seen.Load() != 0 {
		t.Errorf("the other host saw %d requests", seen.Load())
	}
}

func TestH10_ResetSignUpIsSentOnce(t *testing.T) {
	var n atomic.Int32
	api := testutil.ServeRaw(t, func(conn net.Conn, _ string) {
		n.Add(1)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		// Transports retry requests on a reused connection.
		if _, err := testutil.ReadRequest(conn); err == nil {
			n.Add(1)
			testutil.Reset(conn)
		}
	})
	c := testClient(t, api, func(cfg *Config) {
		cfg.HeaderUp = []Header{{"X-Idempotency-Key", masked.New("1")}, {"idempotency-key", masked.New("1")}}
	})
	if err := c.SignConsent(t.Context(), person()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := c.SignUp(ctx, person())
	if e := testutil.As[*exchange.TransportError](t, err); !e.Sent || e.Timeout {
		t.Errorf("%+v", e)
	}
	if n.Load() != 2 {
		t.Errorf("%d requests, want 2", n.Load())
	}
}

// TestH10_SignUpIsSentOnce checks that a transport may retry any call except sign-up,
// because it retries requests that have GetBody.
func TestH10_SignUpIsSentOnce(t *testing.T) {
	repeatable := make(map[string]bool)
	c := testClient(t, "https://huma.invalid", func(cfg *Config) {
		cfg.HTTP = testutil.RoundTripper(func(r *http.Request) (*http.Response, error) {
			repeatable[path.Base(r.URL.Path)] = r.GetBody != nil
			return nil, io.EOF
		})
	})
	_, _ = c.SignIn(t.Context(), person())
	_, _ = c.SignUp(t.Context(), person())
	_ = c.SignConsent(t.Context(), person())
	if want := map[string]bool{"signin": true, "signup": false, "sign-consent": true}; !maps.Equal(repeatable, want) {
		t.Errorf("repeatable: %v", repeatable)
	}
}
