package account

import (
	"net/http"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/neterror"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestE5_ResponseHeader checks that at most 64 KiB of the response header of a service
// are read.
func TestE5_ResponseHeader(t *testing.T) {
	ca := testutil.NewAuthority(t.TempDir(), "ours")
	var p option.Errors
	transport := NewTransport(TLSFiles{CA: testutil.File(t, ca.File)}, 1, &p).Build()
	defer transport.CloseIdleConnections()
	if len(p) > 0 {
		t.Fatal(p.Err())
	}
	testutil.WantHeaderLimit(t, ca, func(url string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
		if err != nil {
			return err
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return neterror.Plain("the service", true, err)
		}
		return resp.Body.Close()
	})
}
