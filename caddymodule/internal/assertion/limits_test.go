package assertion

import (
	"errors"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestE5_ResponseHeader checks that at most 64 KiB of a response header are read. The
// body of the response is empty, so the error after a shorter header is about the body.
func TestE5_ResponseHeader(t *testing.T) {
	ca := testutil.NewAuthority(t.TempDir(), "ours")
	transport, err := transportFor(string(testutil.File(t, ca.File)))
	if err != nil {
		t.Fatal(err)
	}
	testutil.WantHeaderLimit(t, ca, func(url string) error {
		_, err := downloadSet(t.Context(), transport, url)
		if errors.Is(err, errNotJWKS) {
			return nil
		}
		return err
	})
}

// TestProxy checks that keys are fetched through the proxy in HTTPS_PROXY, with the
// option ca and without it.
func TestProxy(t *testing.T) {
	ca := testutil.NewAuthority(t.TempDir(), "ours")
	for name, pem := range map[string]string{"ca": string(testutil.File(t, ca.File)), "system": ""} {
		t.Run(name, func(t *testing.T) {
			testutil.WantProxied(t, func() {
				transport, err := transportFor(pem)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = download(t.Context(), transport, "https://service.invalid")
			})
		})
	}
}
