package userinfo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

func TestMain(m *testing.M) {
	code := m.Run()
	shared.CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// What no error may ever show.
const (
	canaryBearer = "canary-bearer-41d7"
	canaryCookie = "canary-cookie-9a02"
	canaryQuery  = "canary-query-77c1"
	canaryAnswer = "canary-answer-b3e8"
	canaryUser   = "canary-user-0f5d"
	canaryPass   = "canary-pass-5c66"
)

func checkCanaries(t testing.TB, err error) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if text := fmt.Sprintf(verb, err); strings.Contains(text, "canary") {
				t.Errorf("%s shows %q", verb, text)
			}
		}
	}
}

// signedIn is the header of somebody with a session.
func signedIn() http.Header {
	return http.Header{"Authorization": {"Bearer " + canaryBearer}, "Cookie": {"session=" + canaryCookie}}
}

// recorder keeps the errors of a client.
type recorder struct {
	mu   sync.Mutex
	errs []error
}

func (r *recorder) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

func (r *recorder) all() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.errs
}

// newClient is a client of the application at url; change may adapt it.
func newClient(t testing.TB, url string, change ...func(*Config)) (*Client, *recorder) {
	t.Helper()
	r := new(recorder)
	cfg := Config{URL: url + "?key=" + canaryQuery, OnError: r.add, Timeout: 2 * time.Second}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, r
}

func forward(names ...string) func(*Config) {
	return func(cfg *Config) { cfg.ForwardHeaders = names }
}

func timeout(d time.Duration) func(*Config) { return func(cfg *Config) { cfg.Timeout = d } }

// serve runs an application and returns its address.
func serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(func() { shared.CloseIdleConnections(); s.Close() })
	return s.URL
}

// answering is an application with one answer for all.
func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// serveRaw hands each whole request and its connection to answer, and closes
// the connection afterwards.
func serveRaw(t testing.TB, answer func(conn net.Conn, request string)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
				if request, err := readRaw(bufio.NewReader(conn)); err == nil {
					answer(conn, request)
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); shared.CloseIdleConnections(); running.Wait() })
	return "http://" + l.Addr().String()
}

// readRaw reads a request without a body, byte for byte.
func readRaw(r *bufio.Reader) (string, error) {
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		head.WriteString(line)
		if line == "\r\n" {
			return head.String(), nil
		}
	}
}

// rawOf asks an application that keeps the request, and returns that.
func rawOf(t *testing.T, host string, header http.Header, change ...func(*Config)) string {
	t.Helper()
	seen := make(chan string, 1)
	url := serveRaw(t, func(conn net.Conn, request string) {
		seen <- request
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
	})
	c, _ := newClient(t, url+"/me", change...)
	if _, err := c.Ask(t.Context(), host, header); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(<-seen, strings.TrimPrefix(url, "http://"), "APP")
}

// wantRejection fails unless asking is rejected in just that way.
func wantRejection(t testing.TB, c *Client, ctx context.Context, header http.Header, want *identity.Rejection) {
	t.Helper()
	d, err := c.Ask(ctx, "site.example", header)
	var got *identity.Rejection
	if !errors.As(err, &got) || got != want {
		t.Fatalf("got %v, want %v", err, want)
	}
	if !isEmpty(d) {
		t.Fatal("a document beside the rejection")
	}
}

// wantError fails unless the application could not say who is asking, for the
// reason text.
func wantError(t testing.TB, c *Client, r *recorder, text string) {
	t.Helper()
	wantRejection(t, c, t.Context(), signedIn(), identity.ErrUserinfoUnavailable)
	errs := r.all()
	if len(errs) != 1 {
		t.Fatalf("%d errors, want 1: %v", len(errs), errs)
	}
	checkCanaries(t, errs[0])
	if text != "" && errs[0].Error() != text {
		t.Errorf("got %q, want %q", errs[0], text)
	}
}

// isEmpty reports whether a document says nothing at all.
func isEmpty(d claims.Document) bool { return d == (claims.Document{}) }

func lookup(t testing.TB, d claims.Document, path string) any {
	t.Helper()
	p, err := claims.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	return d.Lookup(p)
}
