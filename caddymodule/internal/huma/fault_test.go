package huma

import (
	"io"
	"maps"
	"net/http"
	"path"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestH10_SignUpIsSentOnce checks that a transport may retry any call except sign-up,
// because it retries requests that have GetBody.
func TestH10_SignUpIsSentOnce(t *testing.T) {
	repeatable := make(map[string]bool)
	c := testClient(t, "https://huma.invalid", func(cfg *Config) {
		cfg.HTTP = testutil.RoundTripper(func(r *http.Request) (*http.Response, error) {
			repeatable[path.Base(r.URL.Path)] = r.GetBody != nil
			return nil, io.EOF
		})
	})
	_, _ = c.SignIn(t.Context(), person())
	_, _ = c.SignUp(t.Context(), person())
	_ = c.SignConsent(t.Context(), person())
	if want := map[string]bool{"signin": true, "signup": false, "sign-consent": true}; !maps.Equal(repeatable, want) {
		t.Errorf("repeatable: %v", repeatable)
	}
}
