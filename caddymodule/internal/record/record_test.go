package record

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// roundTrip makes a call through a Recorder and returns the response body.
func roundTrip(t *testing.T, r *Recorder, transport http.RoundTripper, address string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(`{"clientId":"c1","email":"canary@x.io"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header["signature"] = []string{canary}
	resp, err := r.Watch(transport).RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func transport(t *testing.T, config *tls.Config) *http.Transport {
	tr := &http.Transport{TLSClientConfig: config}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// TestCallIsAsItWas checks that recording changes neither request nor response, and
// that the record is masked.
func TestCallIsAsItWas(t *testing.T) {
	const body = `{"code":300011,"message":"canary"}`
	var sent string
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		sent = fmt.Sprintf("%s %d %s %s", r.Header.Get("signature"), r.ContentLength, r.URL, b)
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, body)
	}))
	defer srv.Close()
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	tr := transport(t, &tls.Config{RootCAs: pool})
	var r Recorder
	address := strings.Replace(srv.URL, "https://", "https://user:canary@", 1) + "/a%2Fb/signin?token=canary"
	for range 2 { // the second call reuses the connection
		got, err := roundTrip(t, &r, tr, address)
		if err != nil || got != body {
			t.Fatalf("%v: %s", err, got)
		}
	}
	if want := `canary 39 /a%2Fb/signin?token=canary {"clientId":"c1","email":"canary@x.io"}`; sent != want {
		t.Errorf("the service got %s", sent)
	}
	calls := r.Calls()
	if len(calls) != 2 {
		t.Fatalf("%d calls", len(calls))
	}
	for _, c := range calls {
		if c.Status != 403 || c.Method != "POST" || c.URL != srv.URL+"/a%2Fb/signin" || c.Request.Body != `{"clientId":"c1","email":"***"}` ||
			c.Response.Body != `{"code":300011,"message":"***"}` || c.Err != nil || c.Took <= 0 {
			t.Errorf("%+v", c)
		}
		if n := c.Network; n.TLS == nil || n.Connected != srv.Listener.Addr().String() || time.Since(n.Date).Abs() > time.Minute || n.Host != "127.0.0.1" || n.Addresses != nil {
			t.Errorf("%+v", n)
		}
		if strings.Contains(fmt.Sprint(c.Request, c.Response, c.URL), canary) {
			t.Errorf("the canary is kept: %v", c)
		}
	}
}

// TestRepeating checks that recording does not change whether the transport can retry a
// request.
func TestRepeating(t *testing.T) {
	for name, repeats := range map[string]bool{"once": false, "again": true} {
		t.Run(name, func(t *testing.T) {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/", strings.NewReader("x"))
			if !repeats {
				req.GetBody = nil
			}
			got := false
			_, _ = new(Recorder).Watch(testutil.RoundTripper(func(r *http.Request) (*http.Response, error) {
				got = r.GetBody != nil
				return nil, errors.New("no")
			})).RoundTrip(req)
			if got != repeats {
				t.Errorf("it may be repeated: %t", got)
			}
		})
	}
}

func TestWhatGoesWrong(t *testing.T) {
	untrusted := testutil.NewServer(t, http.NotFoundHandler())
	untrusted.StartTLS()
	cut := testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `{"canary"`)
	})
	for _, c := range []struct {
		name         string
		address, err string
		ok           func(Call) bool
	}{
		{"closed port", "http://" + testutil.FreeAddress(t), "connection refused", func(c Call) bool {
			return c.Status == 0 && c.Network.Dial != nil && c.Network.Connected == "" && c.Network.Failure != nil
		}},
		{"not trusted", untrusted.URL, "the service's certificate is not trusted: unknown authority", func(c Call) bool {
			return c.Network.Handshake != nil && c.Network.TLS == nil && c.Network.Dial == nil && c.Network.Connected != ""
		}},
		{"cut", cut, "closed the connection before the response was complete", func(c Call) bool {
			return c.Status == 200 && c.Response.Body == "(not JSON, 9 bytes)"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Recorder
			_, err := roundTrip(t, &r, transport(t, nil), c.address)
			calls := r.Calls()
			if err == nil || len(calls) != 1 || calls[0].Err == nil || !strings.Contains(calls[0].Err.Error(), c.err) || !c.ok(calls[0]) {
				t.Errorf("%v: %+v", err, calls)
			}
		})
	}
}

// TestProxy checks that the record names the proxy, without its password.
func TestProxy(t *testing.T) {
	proxy := testutil.ServeResponse(t, http.StatusBadGateway, "")
	u, _ := url.Parse(strings.Replace(proxy, "http://", "http://user:canary@", 1))
	tr := transport(t, nil)
	tr.Proxy = http.ProxyURL(u)
	var r Recorder
	if _, err := roundTrip(t, &r, tr, "http://huma.invalid/x"); err != nil {
		t.Fatal(err)
	}
	if c := r.Calls()[0]; c.Proxy != u.Host || c.Status != http.StatusBadGateway || c.URL != "http://huma.invalid/x" {
		t.Errorf("%+v", c)
	}
}

// TestLookedAtMeanwhile checks that Calls returns a call that has not ended.
func TestLookedAtMeanwhile(t *testing.T) {
	received, end := make(chan struct{}), make(chan struct{})
	address := testutil.Serve(t, func(http.ResponseWriter, *http.Request) {
		close(received)
		<-end
	})
	var r Recorder
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = roundTrip(t, &r, transport(t, nil), address) })
	<-received
	if c := r.Calls(); len(c) != 1 || c[0].Status != 0 || c[0].Network.Connected == "" {
		t.Errorf("%+v", c)
	}
	close(end)
	wg.Wait()
	if c := r.Calls(); c[0].Status != http.StatusOK {
		t.Errorf("%+v", c)
	}
}

// TestCallerLeaves checks that a canceled call ends with an error.
func TestCallerLeaves(t *testing.T) {
	address := testutil.Serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	var r Recorder
	if _, err := r.Watch(transport(t, nil)).RoundTrip(req); err == nil {
		t.Fatal("a response")
	}
	if c := r.Calls()[0]; c.Err == nil || c.Err.Error() != "timed out" {
		t.Errorf("%v", c.Err)
	}
}
