package wire

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestH15_Certificates checks that the error names the reason, and that nothing was
// sent.
func TestH15_Certificates(t *testing.T) {
	var seen atomic.Int32
	s := testutil.NewServer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	s.StartTLS()
	trusting := func(change func(*http.Transport)) *http.Transport {
		tr := testutil.Transport(t)
		tr.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		change(tr)
		return tr
	}
	plain := testutil.ServeResponse(t, 200, goodResponse)
	tests := []struct {
		name, api string
		transport *http.Transport
		want      string
	}{
		{"unknown authority", s.URL, testutil.Transport(t), "the service's certificate is not trusted: unknown authority"},
		{"wrong host", s.URL, trusting(func(tr *http.Transport) { tr.TLSClientConfig.ServerName = "huma.invalid" }),
			"the service's certificate is not valid for this host"},
		{"expired", s.URL, trusting(func(tr *http.Transport) {
			tr.TLSClientConfig.Time = func() time.Time { return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) }
		}), "the service's certificate has expired or is not yet valid"},
		{"no TLS", strings.Replace(plain, "http:", "https:", 1), testutil.Transport(t), "the service does not speak TLS"},
	}
	for _, test := range tests {
		_, err := postOn(t.Context(), t, test.transport, test.api)
		e := testutil.As[*exchange.TransportError](t, err)
		if e.Sent || e.Timeout || e.Error() != "sign in: "+test.want {
			t.Errorf("%s: %+v", test.name, e)
		}
	}
	if seen.Load() != 0 {
		t.Error("a request went out")
	}
}

// TestH15_NoName checks a host that the resolver does not find, and a resolver that
// does not respond.
func TestH15_NoName(t *testing.T) {
	for want, dns := range map[string]*net.DNSError{
		"sign in: dial tcp: lookup huma.invalid: no such host": {Err: "no such host", Name: "huma.invalid", IsNotFound: true},
		"sign in: dial tcp: lookup huma.invalid: i/o timeout":  {Err: "i/o timeout", Name: "huma.invalid", IsTimeout: true},
	} {
		tr := testutil.Transport(t)
		tr.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: dns}
		}
		_, err := postOn(t.Context(), t, tr, "https://huma.invalid")
		if e := testutil.As[*exchange.TransportError](t, err); e.Sent || e.Timeout != dns.IsTimeout || e.Error() != want {
			t.Errorf("%+v", e)
		}
	}
}

func TestProxyRefuses(t *testing.T) {
	proxy, _ := url.Parse(testutil.ServeResponse(t, 407, canaryResponse))
	proxy.User = url.UserPassword("canary-user", "canary-password")
	tr := testutil.Transport(t)
	tr.Proxy = http.ProxyURL(proxy)
	_, err := postOn(t.Context(), t, tr, "https://huma.invalid")
	if e := testutil.As[*exchange.TransportError](t, err); e.Sent || e.Error() != "sign in: connect through the proxy: unexpected status 407" {
		t.Errorf("%+v", e)
	}
	testutil.NoSecrets(t, err, "canary")
}
