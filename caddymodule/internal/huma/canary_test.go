package huma

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/wire/wiretest"
)

// checkCanaries prints err, and all that it wraps, in every way.
func checkCanaries(t testing.TB, err error) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			text := fmt.Sprintf(verb, err)
			for _, canary := range canaries {
				if strings.Contains(text, canary) {
					t.Errorf("%s in %s", canary, text)
				}
			}
		}
	}
}

// TestNoErrorTellsAnything has the service and the transport say all that they
// were told, and looks whether an error repeats any of it.
func TestNoErrorTellsAnything(t *testing.T) {
	echo := func(status int) wiretest.RoundTripper {
		return func(r *http.Request) (*http.Response, error) {
			var all strings.Builder
			_ = r.Write(&all)
			h := http.Header{"Retry-After": {all.String()}, "Location": {canaryAnswer}}
			return &http.Response{
				StatusCode: status, Status: all.String(), Header: h, Request: r,
				Body: io.NopCloser(strings.NewReader(all.String() + canaryAnswer)),
			}, nil
		}
	}
	fail := func(wrap func(error) error) wiretest.RoundTripper {
		return func(r *http.Request) (*http.Response, error) {
			var all strings.Builder
			_ = r.Write(&all)
			return nil, wrap(errors.New(all.String() + canaryAnswer))
		}
	}
	full := func(rt http.RoundTripper) func(*Config) {
		return func(cfg *Config) {
			cfg.HTTP = rt
			cfg.HeaderUp = []Header{{"Authorization", masked.New(canaryHeader)}}
			cfg.ActivationCode = masked.New(canaryCode)
		}
	}
	tests := map[string]http.RoundTripper{
		"200": echo(200), "302": echo(302), "403": echo(403), "500": echo(500),
		"plain": fail(func(err error) error { return err }),
		"url.Error": fail(func(err error) error {
			return &url.Error{Op: "Post", URL: "https://h/?" + canaryQuery, Err: err}
		}),
		"canceled inside": fail(func(err error) error { return fmt.Errorf("%w: %w", err, context.Canceled) }),
		"late inside":     fail(func(err error) error { return fmt.Errorf("%w: %w", err, context.DeadlineExceeded) }),
		"EOF inside":      fail(func(err error) error { return fmt.Errorf("%w: %w", err, io.EOF) }),
	}
	for name, rt := range tests {
		t.Run(name, func(t *testing.T) {
			c := testClient(t, "https://huma.invalid/base?"+canaryQuery, full(rt))
			_, in := c.SignIn(t.Context(), person())
			_, up := c.SignUp(t.Context(), person())
			if in == nil || up == nil {
				t.Fatal("no error")
			}
			consent := c.SignConsent(t.Context(), person())
			for _, err := range []error{in, up, consent} {
				checkCanaries(t, err)
				if errors.Is(err, context.Canceled) {
					t.Error("it looks like a caller who left")
				}
			}
		})
	}
}

// TestPrint: what holds secrets does not show them either.
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
	file, err := ParseConfig([]byte(`{"secret":"` + canarySecret + `","clients":{"ios":{"id":"c1","secret":"` + canaryAnswer + `"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{cfg, hawk, c, *c, c.cfg, c.cfg.Signer, c.cfg.HeaderUp, file, &file} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
			text := fmt.Sprintf(verb, v)
			for _, canary := range append([]string{fmt.Sprintf("%x", canarySecret)}, canaries...) {
				if strings.Contains(text, canary) {
					t.Errorf("%s of %T shows %s", verb, v, canary)
				}
			}
		}
	}
}
