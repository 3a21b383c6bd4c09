package userinfo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func TestMain(m *testing.M) {
	code := m.Run()
	subrequest.CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// Secrets that no error may contain.
const (
	canaryBearer   = "canary-bearer-41d7"
	canaryCookie   = "canary-cookie-9a02"
	canaryQuery    = "canary-query-77c1"
	canaryResponse = "canary-response-b3e8"
)

// withCredentials returns the header of a request with credentials.
func withCredentials() http.Header {
	return http.Header{"Authorization": {"Bearer " + canaryBearer}, "Cookie": {"session=" + canaryCookie}}
}

// newClient returns a Client of the application at url, with a recorder of its errors.
// change may modify the config.
func newClient(t testing.TB, url string, change ...func(*subrequest.Config)) (*Client, *testutil.Recorder[error]) {
	t.Helper()
	r := new(testutil.Recorder[error])
	cfg := subrequest.Config{URL: url + "?key=" + canaryQuery, OnError: r.Add, Timeout: 2 * time.Second}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, r
}

func forward(names ...string) func(*subrequest.Config) {
	return func(cfg *subrequest.Config) { cfg.ForwardHeaders = names }
}

func timeout(d time.Duration) func(*subrequest.Config) {
	return func(cfg *subrequest.Config) { cfg.Timeout = d }
}

// rawOf calls an application and returns the bytes that it received.
func rawOf(t *testing.T, host string, header http.Header, change ...func(*subrequest.Config)) string {
	t.Helper()
	seen := make(chan string, 1)
	url := testutil.ServeRaw(t, func(conn net.Conn, request string) {
		seen <- request
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
	})
	c, _ := newClient(t, url+"/me", change...)
	if _, err := c.Fetch(t.Context(), host, header); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(<-seen, strings.TrimPrefix(url, "http://"), "APP")
}

// wantRejection fails unless Ask returns want.
func wantRejection(t testing.TB, c *Client, ctx context.Context, header http.Header, want *identity.Rejection) {
	t.Helper()
	d, err := c.Fetch(ctx, "site.example", header)
	var got *identity.Rejection
	if !errors.As(err, &got) || got != want {
		t.Fatalf("got %v, want %v", err, want)
	}
	if !isEmpty(d) {
		t.Fatal("a document and a rejection")
	}
}

// wantError fails unless Ask returns ErrUserinfoUnavailable and OnError receives text.
func wantError(t testing.TB, c *Client, r *testutil.Recorder[error], text string) {
	t.Helper()
	wantRejection(t, c, t.Context(), withCredentials(), identity.ErrUserinfoUnavailable)
	errs := r.All()
	if len(errs) != 1 {
		t.Fatalf("%d errors, want 1: %v", len(errs), errs)
	}
	testutil.NoSecrets(t, errs[0], "canary")
	if text != "" && errs[0].Error() != text {
		t.Errorf("got %q, want %q", errs[0], text)
	}
}

// isEmpty reports whether a document is empty.
func isEmpty(d claims.Document) bool { return d == (claims.Document{}) }

func lookup(t testing.TB, d claims.Document, path string) any {
	t.Helper()
	p, err := claims.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	return d.Lookup(p)
}
