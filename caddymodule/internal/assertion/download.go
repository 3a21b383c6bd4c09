package assertion

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/neterror"
)

// maxResponse is the maximum length of a response body in bytes.
const maxResponse = 256 << 10

// transport is used for all fetches without Source.CA. A transport does not follow
// redirects. Keys are fetched a few times per hour, so connections are not reused.
var transport = &http.Transport{
	Proxy:                  http.ProxyFromEnvironment,
	DisableKeepAlives:      true,
	DisableCompression:     true, // a small response cannot expand to a large one
	ForceAttemptHTTP2:      true,
	MaxResponseHeaderBytes: 64 << 10,
}

// Errors of a fetch. They contain no text of the response.
var (
	errCompressed = errors.New("the response is compressed, although the request does not allow it (Accept-Encoding: identity): disable compression for this URL on the key server")
	errNoKey      = errors.New("no key has this ID")
	errTooLong    = errors.New("the response is longer than 256 KiB")
	errPanicked   = errors.New("panic while reading the response")
	errTimedOut   = errors.New("timed out")
)

// statusError is a response status other than 200.
type statusError int

func (e statusError) Error() string {
	text := fmt.Sprintf("unexpected status %d", int(e))
	if e >= 300 && e < 400 {
		text += "; redirects are not followed"
	}
	return text
}

// transportFor returns the transport for the certificate authorities in PEM form, or
// transport if there are none.
func transportFor(ca string) (*http.Transport, error) {
	if ca == "" {
		return transport, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(ca)) {
		return nil, errCA
	}
	t := transport.Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}

// download returns the body of the response to a GET of url.
func download(ctx context.Context, t *http.Transport, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, errURL
	}
	req.Header.Set("Accept", "*/*")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "caddy-huma")
	res, err := t.RoundTrip(req)
	if err != nil {
		return nil, redactError(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, statusError(res.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxResponse+1))
	switch {
	case err != nil:
		return nil, redactError(ctx, err)
	case len(b) > maxResponse:
		return nil, errTooLong
	case isCompressed(res.Header, b):
		return nil, errCompressed
	}
	return b, nil
}

// gzipMagic are the first bytes of gzip data (RFC 1952, section 2.3.1).
var gzipMagic = []byte{0x1f, 0x8b}

// isCompressed reports whether a body is compressed, according to its header or, for
// gzip, its first bytes. Other values of Content-Encoding do not count, because object
// stores send what an upload happened to name, such as utf-8.
func isCompressed(header http.Header, body []byte) bool {
	for encoding := range strings.SplitSeq(strings.Join(header["Content-Encoding"], ","), ",") {
		switch strings.ToLower(strings.TrimSpace(encoding)) {
		case "gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd":
			return true
		}
	}
	return bytes.HasPrefix(body, gzipMagic)
}

// redactError converts an error of a call to one that is safe to log.
func redactError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errTimedOut
	}
	return neterror.Plain("the key server", true, err)
}
