package huma

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestNoErrorTellsAnything uses a service and a transport whose errors contain
// everything they were given, and checks that errors of the client repeat none of it.
// Package wire tests further errors of a transport.
func TestNoErrorTellsAnything(t *testing.T) {
	echo := func(status int) testutil.RoundTripper {
		return func(r *http.Request) (*http.Response, error) {
			var all strings.Builder
			_ = r.Write(&all)
			h := http.Header{"Retry-After": {all.String()}, "Location": {canaryResponse}}
			return &http.Response{
				StatusCode: status, Status: all.String(), Header: h, Request: r,
				Body: io.NopCloser(strings.NewReader(all.String() + canaryResponse)),
			}, nil
		}
	}
	fail := testutil.RoundTripper(func(r *http.Request) (*http.Response, error) {
		var all strings.Builder
		_ = r.Write(&all)
		return nil, errors.New(all.String() + canaryResponse)
	})
	full := func(rt http.RoundTripper) func(*Config) {
		return func(cfg *Config) {
			cfg.HTTP = rt
			cfg.HeaderUp = []Header{{"Authorization", masked.New(canaryHeader)}}
			cfg.ActivationCode = masked.New(canaryCode)
		}
	}
	tests := map[string]http.RoundTripper{
		"200": echo(200), "302": echo(302), "403": echo(403), "500": echo(500),
		"transport": fail,
	}
	for name, rt := range tests {
		t.Run(name, func(t *testing.T) {
			c := testClient(t, "https://huma.invalid/base?"+canaryQuery, full(rt))
			_, in := c.SignIn(t.Context(), person())
			_, up := c.SignUp(t.Context(), person())
			if in == nil || up == nil {
				t.Fatal("no error")
			}
			for _, err := range []error{in, up, c.SignConsent(t.Context(), person())} {
				testutil.NoSecrets(t, err, canaries...)
			}
		})
	}
}

// TestPrint checks that values with secrets do not print them.
func TestPrint(t *testing.T) {
	cfg := SignatureConfig{Algorithm: "hawk", ID: "h", Secret: masked.New(canarySecret)}
	hawk, err := NewSigner(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := testClient(t, "https://huma.invalid", func(cfg *Config) {
		cfg.HeaderUp = []Header{{"Authorization", masked.New(canaryHeader)}}
		cfg.ActivationCode = masked.New(canaryCode)
	})
	file, err := ParseConfig([]byte(`{"secret":"` + canarySecret + `","clients":{"ios":{"id":"c1","secret":"` + canaryResponse + `"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{cfg, hawk, c, *c, c.cfg, c.cfg.Signer, c.cfg.HeaderUp, file, &file} {
		testutil.NoSecrets(t, v, canaries...)
	}
}
