package humanapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/wire/wiretest"
)

var verbs = []string{"%v", "%+v", "%#v", "%s", "%q", "%x"}

// checkCanaries prints err, and all that it wraps, in every way.
func checkCanaries(t testing.TB, err error) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		checkPrint(t, err)
	}
}

func checkPrint(t testing.TB, v any) {
	t.Helper()
	b, _ := json.Marshal(v)
	texts := []string{string(b)}
	for _, verb := range verbs {
		texts = append(texts, fmt.Sprintf(verb, v))
	}
	for _, text := range texts {
		for _, canary := range canaries {
			if strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
				t.Errorf("%T shows %s: %s", v, canary, text)
			}
		}
	}
}

// TestNoErrorTellsAnything has the service and the transport say all that they
// were told, and more, and looks whether an error repeats any of it.
func TestNoErrorTellsAnything(t *testing.T) {
	everything := func(r *http.Request) string {
		var all strings.Builder
		_ = r.Write(&all)
		return all.String() + goodSession + goodID + canaryAnswer
	}
	echo := func(status int, form string) wiretest.RoundTripper {
		return func(r *http.Request) (*http.Response, error) {
			all := everything(r)
			body := all
			if form != "" {
				body = fmt.Sprintf(form, all, all, all)
			}
			h := http.Header{"Retry-After": {all}, "Location": {canaryAnswer}, "X-Humanapi-Request-Id": {all}}
			return &http.Response{
				StatusCode: status, Status: all, Header: h, Request: r, Body: io.NopCloser(strings.NewReader(body)),
			}, nil
		}
	}
	fail := func(wrap func(error) error) wiretest.RoundTripper {
		return func(r *http.Request) (*http.Response, error) { return nil, wrap(errors.New(everything(r))) }
	}
	const form = `{"errorCode":%q,"message":%q,"requestId":%q}`
	for name, rt := range map[string]http.RoundTripper{
		"200": echo(200, ""), "200 JSON": echo(200, form), "302": echo(302, form), "401": echo(401, form),
		"403": echo(403, form), "404": echo(404, form), "500": echo(500, form),
		"code in it": echo(403, `{"errorCode":%q,"requestId":%q,"message":"INVALID_CLIENT_ID","detail":%q}`),
		"plain":      fail(func(err error) error { return err }),
		"url.Error": fail(func(err error) error {
			return &url.Error{Op: "Post", URL: "https://h/?" + canaryQuery, Err: err}
		}),
		"canceled inside": fail(func(err error) error { return fmt.Errorf("%w: %w", err, context.Canceled) }),
		"late inside":     fail(func(err error) error { return fmt.Errorf("%w: %w", err, context.DeadlineExceeded) }),
		"EOF inside":      fail(func(err error) error { return fmt.Errorf("%w: %w", err, io.EOF) }),
	} {
		t.Run(name, func(t *testing.T) {
			c := testClient(t, "https://human.invalid/base?"+canaryQuery, func(cfg *Config) { cfg.HTTP = rt })
			for _, typ := range types {
				g, err := c.Token(t.Context(), typ, user())
				if err == nil || g != nil {
					t.Fatal("no error")
				}
				checkCanaries(t, err)
				if errors.Is(err, context.Canceled) {
					t.Error("it looks like a caller who left")
				}
			}
		})
	}
	_, err := testClient(t, "https://human.invalid").Token(t.Context(), "access", user())
	checkCanaries(t, err)
}

// TestPrint: what holds secrets does not show them either.
func TestPrint(t *testing.T) {
	c := testClient(t, "https://human.invalid")
	for _, v := range []any{c, *c, c.cfg, &c.cfg, user(), c.cfg.ClientSecret} {
		checkPrint(t, v)
	}
	for _, typ := range types {
		g, err := read(typ, good[typ])
		if err != nil {
			t.Fatal(err)
		}
		checkPrint(t, g)
		if strings.Contains(answerOf(g), canaryRefresh) {
			t.Error("the refresh token is handed out")
		}
	}
}
