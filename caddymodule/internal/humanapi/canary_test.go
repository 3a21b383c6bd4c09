package humanapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestNoErrorTellsAnything uses a service and a transport whose errors contain
// everything they were given, and more, and checks that errors of the client repeat
// none of it. Package wire tests further errors of a transport.
func TestNoErrorTellsAnything(t *testing.T) {
	everything := func(r *http.Request) string {
		var all strings.Builder
		_ = r.Write(&all)
		return all.String() + goodSession + goodID + canaryResponse
	}
	echo := func(status int, form string) testutil.RoundTripper {
		return func(r *http.Request) (*http.Response, error) {
			all := everything(r)
			body := all
			if form != "" {
				body = fmt.Sprintf(form, all, all, all)
			}
			h := http.Header{"Retry-After": {all}, "Location": {canaryResponse}, "X-Humanapi-Request-Id": {all}}
			return &http.Response{
				StatusCode: status, Status: all, Header: h, Request: r, Body: io.NopCloser(strings.NewReader(body)),
			}, nil
		}
	}
	fail := testutil.RoundTripper(func(r *http.Request) (*http.Response, error) { return nil, errors.New(everything(r)) })
	const form = `{"errorCode":%q,"message":%q,"requestId":%q}`
	for name, rt := range map[string]http.RoundTripper{
		"200": echo(200, ""), "200 JSON": echo(200, form), "302": echo(302, form), "401": echo(401, form),
		"403": echo(403, form), "404": echo(404, form), "500": echo(500, form),
		"code in it": echo(403, `{"errorCode":%q,"requestId":%q,"message":"INVALID_CLIENT_ID","detail":%q}`),
		"transport":  fail,
	} {
		t.Run(name, func(t *testing.T) {
			c := testClient(t, "https://human.invalid/base?"+canaryQuery, func(cfg *Config) { cfg.HTTP = rt })
			for _, typ := range types {
				g, err := c.Token(t.Context(), typ, user())
				if err == nil || g != nil {
					t.Fatal("no error")
				}
				testutil.NoSecrets(t, err, canaries...)
			}
		})
	}
	_, err := testClient(t, "https://human.invalid").Token(t.Context(), "access", user())
	testutil.NoSecrets(t, err, canaries...)
}

// TestPrint checks that values with secrets do not print them.
func TestPrint(t *testing.T) {
	c := testClient(t, "https://human.invalid")
	for _, v := range []any{c, *c, c.cfg, &c.cfg, user(), c.cfg.ClientSecret} {
		testutil.NoSecrets(t, v, canaries...)
	}
	for _, typ := range types {
		g, err := read(typ, good[typ])
		if err != nil {
			t.Fatal(err)
		}
		testutil.NoSecrets(t, g, canaries...)
		if strings.Contains(jsonOf(g), canaryRefresh) {
			t.Error("the refresh token is handed out")
		}
	}
}
