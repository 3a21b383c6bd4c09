package humanapi

import (
	"context"
	"net/url"
	"testing"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/connect"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Secrets that no error may contain.
const (
	canarySecret   = "canary-secret-1f9c"
	canaryUser     = "canary-user-4711"
	canaryEmail    = "canary.mail@example.org"
	canaryToken    = "canary-token-5a"
	canaryRefresh  = "canary-refresh-token-6b"
	canaryHuman    = "canary-human-id-7c"
	canaryResponse = "canary-response-text-8e"
	canaryQuery    = "canary-query-9f"
)

var canaries = []string{
	canarySecret, canaryUser, canaryEmail, canaryToken, canaryRefresh, canaryHuman, canaryResponse, canaryQuery,
}

const (
	goodSession = `{"session_token":"` + canaryToken + `","human_id":"` + canaryHuman + `","expires_in":3600}`
	goodID      = `{"token_type":"Bearer","id_token":"` + canaryToken + `","id_refresh_token":"` + canaryRefresh +
		`","id_token_expires_in":86400}`
)

var (
	types = []connect.TokenType{connect.SessionToken, connect.IDToken}
	good  = map[connect.TokenType]string{connect.SessionToken: goodSession, connect.IDToken: goodID}
)

func user() connect.Person {
	return connect.Person{ID: masked.New(canaryUser), Email: masked.New(canaryEmail)}
}

// testClient returns a Client of the service at api. change may modify the config.
func testClient(t testing.TB, api string, change ...func(*Config)) *Client {
	t.Helper()
	u, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{API: u, ClientID: "c1", ClientSecret: masked.New(canarySecret), HTTP: testutil.Transport(t), Do: once}
	for _, c := range change {
		c(&cfg)
	}
	return New(cfg)
}

// once implements Config.Do with one attempt.
func once(ctx context.Context, _ exchange.Op, call func(context.Context) error) error {
	return call(ctx)
}

// refusal requests a token of type tt and returns the status error.
func refusal(t testing.TB, api string, tt connect.TokenType) *exchange.StatusError {
	t.Helper()
	_, err := testClient(t, api).Token(t.Context(), tt, user())
	testutil.NoSecrets(t, err, canaries...)
	e := testutil.As[*exchange.StatusError](t, err)
	if e.Op != tt.Op() {
		t.Errorf("op %s", e.Op)
	}
	return e
}

// jsonOf returns the JSON of g at the time it was issued.
func jsonOf(g *exchange.Token) string { return string(g.AppendJSON(nil, g.IssuedAt())) }
