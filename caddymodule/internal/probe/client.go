package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// The limits of a response.
const (
	maxBody   = 1 << 20
	maxHeader = 64 << 10
)

// newTransport returns a transport that trusts the given certificate authorities, or
// those of the system if roots is nil.
func newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// request is a request to the endpoint.
type request struct {
	method      string // empty: GET
	anonymous   bool   // without credentials
	clientType  string // empty: none
	cacheBypass bool   // with Cache-Control: no-cache
	header      map[string]string
}

// response is a response of the endpoint, or the error if there is none. Its text may
// contain tokens and personal data, so it must not be printed.
type response struct {
	status    int
	header    http.Header
	body      masked.String
	truncated bool // the body has more than maxBody bytes
	tls       *tls.ConnectionState
	sent      time.Time
	received  time.Time
	err       error // nil if the response is complete
}

// do sends a request and reads the response. It does not follow redirects.
func (p *probe) do(ctx context.Context, r request) *response {
	if r.method == "" {
		r.method = http.MethodGet
	}
	defer p.progress.Step("waiting for the response to " + r.method)()
	u := *p.url
	if r.clientType != "" {
		query := u.Query()
		query.Set("client_type", r.clientType)
		u.RawQuery = query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), nil)
	if err != nil {
		return &response{err: err}
	}
	req.Header.Set("Accept", "*/*") // as apps and fetch send it
	req.Header.Set("User-Agent", "caddy-huma-probe")
	if !r.anonymous {
		for _, c := range p.credentials {
			req.Header.Set(c.name, c.value.Reveal())
		}
	}
	if r.cacheBypass {
		req.Header.Set("Cache-Control", "no-cache")
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	result := &response{sent: time.Now()}
	res, err := p.send.RoundTrip(req)
	if err != nil {
		result.err = err
		return result
	}
	defer res.Body.Close()
	result.status, result.header, result.tls = res.StatusCode, res.Header, res.TLS
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if len(body) > maxBody {
		body, result.truncated = body[:maxBody], true
	}
	result.body, result.received, result.err = masked.New(string(body)), time.Now(), err
	return result
}

// isToken reports whether the response is successful and contains a token.
func (r *response) isToken() bool {
	return r.err == nil && r.status >= 200 && r.status <= 299 && parse(r).recognize() != nil
}

// mediaType returns the media type of the response in lower case, or "" if there is none.
func (r *response) mediaType() string {
	t, _, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
	return t
}

// isHTML reports whether the response is a page.
func (r *response) isHTML() bool {
	start := strings.ToLower(strings.TrimSpace(r.body.Reveal()[:min(len(r.body.Reveal()), 256)]))
	return strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html") ||
		r.mediaType() == "text/html" && !strings.HasPrefix(start, "{")
}

// list returns the elements of a header that is a comma-separated list, in lower case.
func (r *response) list(name string) (elements []string) {
	for _, line := range r.header.Values(name) {
		for element := range strings.SplitSeq(line, ",") {
			if element = strings.ToLower(strings.TrimSpace(element)); element != "" {
				elements = append(elements, element)
			}
		}
	}
	return elements
}

// retryAfter returns the number of seconds in Retry-After, or 0.
func (r *response) retryAfter() int {
	seconds, err := strconv.Atoi(r.header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return seconds
}
