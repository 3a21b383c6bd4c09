package caddymodule_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// layer is a fake of an authentication layer: the auth server that forward_auth calls,
// or a proxy in front. The user that it sends does not depend on the request.
type layer struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	header http.Header
}

// newLayer starts an auth server that accepts every request and sends no user.
func newLayer(t testing.TB) *layer {
	l := &layer{status: 200}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status, headers := l.response()
		maps.Copy(w.Header(), headers)
		w.WriteHeader(status)
	}))
	t.Cleanup(func() {
		l.CloseClientConnections()
		l.Close()
	})
	return l
}

// setHeaders sets the headers of every response, with status 200.
func (l *layer) setHeaders(headers http.Header) { l.setResponse(200, headers) }

func (l *layer) setResponse(status int, headers http.Header) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status, l.header = status, headers
}

func (l *layer) response() (int, http.Header) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status, l.header
}

// hostport returns the server's address without the scheme.
func (l *layer) hostport() string { return strings.TrimPrefix(l.URL, "http://") }

// proxyTo starts the layer as a proxy in front of a site, as `trust proxies` requires: it
// removes the headers in own from the client's request and adds its own headers.
func (l *layer) proxyTo(t testing.TB, site string, own ...string) *httptest.Server {
	target, err := url.Parse(site)
	if err != nil {
		t.Fatal(err)
	}
	transport := new(http.Transport)
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			for _, name := range own {
				r.Out.Header.Del(name)
			}
			_, headers := l.response()
			for name, values := range headers {
				r.Out.Header[name] = append(r.Out.Header[name], values...)
			}
		},
	})
	t.Cleanup(func() {
		proxy.CloseClientConnections()
		proxy.Close()
		transport.CloseIdleConnections()
	})
	return proxy
}

// forwardAuth returns a site that calls the layer as an auth server.
func forwardAuth(l *layer, more, identity string) string {
	return forwardAuthTrust(l, more, identity, "trust forward_auth")
}

func forwardAuthTrust(l *layer, more, identity, trust string) string {
	return `SITE {
		forward_auth ` + l.URL + ` {
			uri /verify
			` + more + `
		}
		huma_token {
			HUMA
			` + identity + `
			` + trust + `
		}
		respond "the application, for {header.Remote-Email}" 404
	}`
}
