package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestTLS: each certificate that apps refuse is explained, and a private authority can be
// trusted.
func TestTLS(t *testing.T) {
	ca := testutil.NewAuthority(t.TempDir(), "canary authority")
	expired, other := testutil.Loopback(), &x509.Certificate{DNSNames: []string{"canary.example"}}
	expired.NotBefore, expired.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	for name, c := range map[string]struct {
		certificate *tls.Certificate
		ca          string
		want        string
	}{
		"trusted":           {ca.Server(), ca.File, ""},
		"unknown authority": {ca.Server(), "", "connection problem: certificate is not trusted: unknown authority: apps refuse → --ca"},
		"self-signed":       {testutil.SelfSigned(testutil.Loopback()), ca.File, "connection problem: unknown authority → --ca"},
		"another host":      {ca.Issue(other), ca.File, "connection problem: not valid for this host → correct the host"},
		"expired":           {ca.Issue(expired), ca.File, "connection problem: expired → renew"},
	} {
		t.Run(name, func(t *testing.T) {
			f := new(fake)
			s := testutil.NewServer(t, f)
			s.TLS = &tls.Config{Certificates: []tls.Certificate{*c.certificate}}
			s.StartTLS()
			o := signedIn()
			o.ca = c.ca
			all := examine(t, s.URL, o)
			if c.want == "" {
				finds(t, all)
				return
			}
			finds(t, all, c.want)
			if f.served > 0 || resultOf(all, "token") != "skipped" || resultOf(all, "unauthenticated") != "skipped" {
				t.Errorf("%d requests: %+v", f.served, all)
			}
		})
	}
}

// TestConnection: servers that cannot be reached, or do not speak HTTP.
func TestConnection(t *testing.T) {
	ca := testutil.NewAuthority(t.TempDir(), "an authority")
	s := testutil.NewServer(t, new(fake))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{*ca.Server()}, ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	for name, c := range map[string]struct{ url, want string }{
		"no server":          {"http://" + testutil.FreeAddress(t), "connection problem: connection refused → the server is running"},
		"no TLS":             {strings.Replace(serve(t, new(fake)), "http:", "https:", 1), "connection problem: does not speak TLS → use http"},
		"client certificate": {s.URL, "connection problem: ends the TLS handshake → no client certificate"},
		"http to TLS":        {strings.Replace(s.URL, "https:", "http:", 1), "unauthenticated problem: this is an https port → https"},
		"no HTTP":            {testutil.ServeRaw(t, func(conn net.Conn, _ string) { _, _ = conn.Write([]byte("canary\r\n\r\n")) }), "connection problem: cannot get a response → check the host"},
		"half a response": {testutil.ServeRaw(t, func(conn net.Conn, _ string) {
			_, _ = conn.Write([]byte("HTTP/1.1 401 canary\r\nContent-Length: 100\r\n\r\ncanary"))
		}), "unauthenticated problem: closed the connection before the response was complete"},
		"an endless body": {testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
			for text := []byte(strings.Repeat(" canary", 1<<12)); ; {
				if _, err := w.Write(text); err != nil {
					return
				}
			}
		}), "unauthenticated problem: more than 1 MiB"},
		"8 MB of headers": {testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Canary", strings.Repeat("canary", 8<<17))
		}), "connection problem: header of more than 64 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options{timeout: defaultTimeout, ca: ca.File}
			finds(t, examine(t, c.url, o), c.want)
		})
	}
	p, err := newProbe("https://app.example", &options{timeout: defaultTimeout}, 0)
	if err != nil {
		t.Fatal(err)
	}
	e := p.connectionProblem(t.Context(), &net.DNSError{Err: "no such host", Name: "app.example"})
	if !strings.Contains(e.Detail, "lookup app.example: no such host") || !strings.Contains(e.Fix, "DNS") {
		t.Errorf("%+v", e)
	}
}

// TestPlainHTTP: credentials are not sent to a URL that redirects to https. http to
// another machine is a warning.
func TestPlainHTTP(t *testing.T) {
	f := &fake{respond: func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Cookie") != "" {
			t.Error("credentials are sent")
		}
		http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusPermanentRedirect)
		return true
	}}
	url := serve(t, f)
	t.Setenv("HTTP_PROXY", "") // only for requests to loopback
	o := signedIn()
	p, err := newProbe("http://app.example.com", &o, 0)
	if err != nil {
		t.Fatal(err)
	}
	dialer := new(net.Dialer)
	p.send = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", strings.TrimPrefix(url, "http://"))
	}}
	defer p.send.CloseIdleConnections()
	finds(t, p.check(t.Context()), "connection warning: without TLS → https", "unauthenticated problem: redirects to https → use the https URL")
	for host, local := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "[::1]": true, "10.0.0.7": true, "app": true, "app.example.com": false, "192.0.2.1": false,
	} {
		p, err := newProbe("http://"+host+":8080", &o, 0)
		if err != nil || p.isLocal() != local {
			t.Errorf("%s is local: %t, %v", host, !local, err)
		}
	}
}
