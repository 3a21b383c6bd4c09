package huma

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// What no error may ever show.
const (
	canarySecret  = "canary-secret-1f9c"
	canaryHeader  = "canary-header-77ab"
	canaryCode    = "canary-activation-3d"
	canaryEmail   = "canary.mail@example.org"
	canaryFirst   = "Canarella"
	canaryLast    = "Birdwhistle"
	canaryToken   = "canary-auth-token-5a"
	canaryRefresh = "canary-refresh-token-6b"
	canaryAnswer  = "canary-answer-text-8e"
	canaryQuery   = "canary-query-9f"
)

var canaries = []string{
	canarySecret, canaryHeader, canaryCode, canaryEmail, canaryFirst, canaryLast,
	canaryToken, canaryRefresh, canaryAnswer, canaryQuery,
}

const goodAnswer = `{"uid":"u1","authToken":"` + canaryToken + `","authTokenExpiresIn":900,` +
	`"refreshToken":"` + canaryRefresh + `","expiresIn":3888000}`

func person() exchange.Person {
	return exchange.Person{
		Email:      masked.New(canaryEmail),
		FirstName:  masked.New(canaryFirst),
		LastName:   masked.New(canaryLast),
		ClientIP:   "203.0.113.7",
		ClientType: exchange.IOS,
	}
}

// testTransport has a connection pool of its own.
func testTransport(t testing.TB) *http.Transport {
	tr := &http.Transport{MaxConnsPerHost: 4, MaxIdleConnsPerHost: 4}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// testClient is a client of the service at api; change may adapt it.
func testClient(t testing.TB, api string, change ...func(*Config)) *Client {
	t.Helper()
	u, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := NewSigner(SignatureConfig{Secret: masked.New(canarySecret)})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		API:          u,
		ProjectID:    "p1",
		DeploymentID: "d1",
		ClientIDs:    map[exchange.ClientType]string{exchange.IOS: "c1", exchange.Android: "c2"},
		Signer:       signer,
		HTTP:         testTransport(t),
	}
	for _, c := range change {
		c(&cfg)
	}
	return New(cfg)
}

// serve runs handler and returns its address.
func serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// serveAnswer answers every call with one status and body.
func serveAnswer(t testing.TB, status int, body string) string {
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// serveRaw hands each whole request and its connection to answer, and closes
// the connection afterwards.
func serveRaw(t testing.TB, answer func(conn net.Conn, request string)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if request, err := readRaw(conn); err == nil {
				answer(conn, request)
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String()
}

// readRaw reads one request byte for byte.
func readRaw(conn net.Conn) (string, error) {
	r := bufio.NewReader(conn)
	var head strings.Builder
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		head.WriteString(line)
		if n, found := strings.CutPrefix(line, "Content-Length: "); found {
			for _, d := range strings.TrimSpace(n) {
				length = length*10 + int(d-'0')
			}
		}
		if line == "\r\n" {
			break
		}
	}
	body := make([]byte, length)
	_, err := io.ReadFull(r, body)
	return head.String() + string(body), err
}

func withTimeout(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func asStatus(t testing.TB, err error) *exchange.StatusError {
	t.Helper()
	var e *exchange.StatusError
	if !errors.As(err, &e) {
		t.Fatalf("got %T %v, want a StatusError", err, err)
	}
	return e
}

func asTransport(t testing.TB, err error) *exchange.TransportError {
	t.Helper()
	var e *exchange.TransportError
	if !errors.As(err, &e) {
		t.Fatalf("got %T %v, want a TransportError", err, err)
	}
	return e
}

func asAnswer(t testing.TB, err error) *exchange.AnswerError {
	t.Helper()
	var e *exchange.AnswerError
	if !errors.As(err, &e) {
		t.Fatalf("got %T %v, want an AnswerError", err, err)
	}
	return e
}

// answerOf is what g answers at the moment of the call that granted it.
func answerOf(g *exchange.Grant) string { return string(g.AppendJSON(nil, g.Minted())) }
