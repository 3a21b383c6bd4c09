package huma

import (
	"context"
	"net/url"
	"testing"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Secrets that no error may contain.
const (
	canarySecret   = "canary-secret-1f9c"
	canaryHeader   = "canary-header-77ab"
	canaryCode     = "canary-activation-3d"
	canaryEmail    = "canary.mail@example.org"
	canaryFirst    = "Canarella"
	canaryLast     = "Birdwhistle"
	canaryToken    = "canary-auth-token-5a"
	canaryRefresh  = "canary-refresh-token-6b"
	canaryResponse = "canary-response-text-8e"
	canaryQuery    = "canary-query-9f"
)

var canaries = []string{
	canarySecret, canaryHeader, canaryCode, canaryEmail, canaryFirst, canaryLast,
	canaryToken, canaryRefresh, canaryResponse, canaryQuery,
}

const goodResponse = `{"uid":"u1","authToken":"` + canaryToken + `","authTokenExpiresIn":900,` +
	`"refreshToken":"` + canaryRefresh + `","expiresIn":3888000}`

func person() login.Person {
	return login.Person{
		Email:      masked.New(canaryEmail),
		FirstName:  masked.New(canaryFirst),
		LastName:   masked.New(canaryLast),
		ClientIP:   "203.0.113.7",
		ClientType: login.IOS,
	}
}

// testClient returns a Client of the service at api. change may modify the config.
func testClient(t testing.TB, api string, change ...func(*Config)) *Client {
	t.Helper()
	u, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := NewSigner(SignatureConfig{Secret: masked.New(canarySecret)})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		API:          u,
		ProjectID:    "p1",
		DeploymentID: "d1",
		ClientIDs:    map[login.ClientType]string{login.IOS: "c1", login.Android: "c2"},
		Signer:       signer,
		HTTP:         testutil.Transport(t),
		Do:           once,
	}
	for _, c := range change {
		c(&cfg)
	}
	return New(cfg)
}

// once implements Config.Do with one attempt.
func once(ctx context.Context, _ exchange.Op, call func(context.Context) error) error {
	return call(ctx)
}

// jsonOf returns the JSON of g at the time it was issued.
func jsonOf(g *exchange.Token) string { return string(g.AppendJSON(nil, g.IssuedAt())) }
