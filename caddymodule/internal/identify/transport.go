package identify

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"sync"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/textfile"
)

// transports are the transports for the option ca, by the content of its file. Configs
// with the same certificate authorities share one, so that connections outlive a reload.
// They are never removed: a certificate authority changes a few times in the life of a
// process.
var transports sync.Map // string → *http.Transport

// transportFor returns the transport that trusts the certificate authorities in a PEM
// file, or nil if file is empty.
func transportFor(file string) (http.RoundTripper, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := textfile.Read(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("the file contains no certificate in PEM form")
	}
	t := subrequest.NewTransport()
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	shared, _ := transports.LoadOrStore(string(pem), t)
	return shared.(http.RoundTripper), nil
}
