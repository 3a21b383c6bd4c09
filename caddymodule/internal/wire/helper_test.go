package wire

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	goodResponse   = `{"token":"t"}`
	requestBody    = `{"email":"canary.mail@example.org"}`
	canaryResponse = "canary-response-text-8e"
)

// post makes one attempt at a call of the service at api. change may modify the call.
func post(ctx context.Context, t testing.TB, api string, change ...func(*Call)) ([]byte, error) {
	t.Helper()
	return postOn(ctx, t, testutil.Transport(t), api, change...)
}

func postOn(ctx context.Context, t testing.TB, tr http.RoundTripper, api string, change ...func(*Call)) ([]byte, error) {
	t.Helper()
	u, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	c := Call{Op: exchange.OpSignIn, URL: Endpoint(u, "/call"), Header: Header(), Body: []byte(requestBody)}
	for _, ch := range change {
		ch(&c)
	}
	return Post(ctx, tr, c)
}

func once(c *Call) { c.Op, c.Once = exchange.OpSignUp, true }

func withTimeout(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
