package caddymodule_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/faultproxy"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestH04_AConnectionThatDiesSilently checks that an HTTP/2 connection that no longer
// responds, and that all calls share, is replaced within seconds.
func TestH04_AConnectionThatDiesSilently(t *testing.T) {
	s := sandbox.New(sandbox.Config{})
	srv := testutil.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("a call by %s", r.Proto)
		}
		s.ServeHTTP(w, r)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.CloseClientConnections)
	ca := writeFile(t, "ca.pem", string(testutil.CertificatePEM(srv.Certificate())))
	proxy, err := faultproxy.New(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	l := &faultyService{&fakeHuma{Server: s, URL: "https://" + proxy.Addr()}, proxy}
	site := serve(t, simpleSite(l.fakeHuma, "tls {\nca "+ca+"\n}\ntimeout 2s\nattempt_timeout 1s\nbreaker {\nopen 500ms\n}"))

	request := func(n int) *response {
		return site.request("GET", "/private/huma-token?client_type=ios", as(fmt.Sprintf("user%d@x.example", n)))
	}
	request(0).tokens(t)
	l.setFault(t, faultproxy.Fault{Kind: faultproxy.Hang})
	if a := request(1); a.StatusCode == 200 {
		t.Fatal("the fault does not affect an existing connection")
	}
	l.setFault(t, faultproxy.Fault{})
	back := time.Now()
	n := 2
	eventually(t, 25*time.Second, "a new connection to the service is used", func() bool {
		n++
		return request(n).StatusCode == 200
	})
	t.Logf("recovered after %s", time.Since(back).Round(time.Millisecond))
}
