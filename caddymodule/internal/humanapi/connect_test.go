package humanapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/connect"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestConnect tests package connect with this client: which calls are made, and how
// often, with a Do that retries what may be retried.
func TestConnect(t *testing.T) {
	const window = `{"error":{"errorCode":"SESSION_TOKEN_GENERATION_NOT_ALLOWED"}}`
	for _, test := range []struct {
		name    string
		status  int    // status of the response for a session token
		session string // body of that response
		called  string
		code    exchange.Code
	}{
		{"new user", 200, goodSession, "session", ""},
		{"connected", 403, window, "session id", ""},
		{"connected, by the status", 403, "Forbidden", "session id", ""},
		{"connected, with another status", 400, window, "session id", ""},
		{"connected, as an outage", 503, window, "session id", ""},
		{"our secret", 401, `{"code":"INVALID_CLIENT_ID_OR_SECRET"}`, "session", exchange.CodeConfig},
		{"our secret, as a refusal", 403, `{"message":"INVALID_CLIENT_ID_OR_SECRET: no"}`, "session", exchange.CodeConfig},
		{"our contract, as an outage", 503, `{"message":"CLIENT_TOKEN_GENERATION_NOT_ALLOWED"}`, "session", exchange.CodeConfig},
		{"unauthorized", 401, "", "session", exchange.CodeConfig},
		{"wrong type", 400, `{"error":"INVALID_TOKEN_TYPE"}`, "session", exchange.CodeRejected},
		{"outage", 503, "", "session session session", exchange.CodeUnavailable},
		{"limited", 429, "", "session session session", exchange.CodeUnavailable},
		{"error", 500, "", "session", exchange.CodeUnavailable},
		{"moved", 302, "", "session", exchange.CodeBadResponse},
		{"garbage", 200, "<html>", "session", exchange.CodeBadResponse},
	} {
		t.Run(test.name, func(t *testing.T) {
			var called []string
			api := testutil.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				var b struct{ Type string }
				_ = json.NewDecoder(r.Body).Decode(&b)
				called = append(called, b.Type)
				if b.Type == "id" {
					_, _ = io.WriteString(w, goodID)
					return
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.session)
			})
			c := &connect.Exchange{Person: user(), API: testClient(t, api, func(cfg *Config) {
				cfg.Do = func(ctx context.Context, _ exchange.Op, call func(context.Context) error) (err error) {
					for range 3 {
						if err = call(ctx); !exchange.IsTransient(err) {
							break
						}
					}
					return err
				}
			})}
			token, outcome, err := c.Run(t.Context())
			var e *exchange.Error
			switch errors.As(err, &e); {
			case test.code == "":
				if err != nil || token == nil || outcome != exchange.OutcomeSignedIn {
					t.Errorf("got %v, %q, %v", token, outcome, err)
				}
			case e == nil || e.Code != test.code || token != nil:
				t.Errorf("got %v, want %s", err, test.code)
			}
			if got := strings.Join(called, " "); got != test.called {
				t.Errorf("called %s, want %s", got, test.called)
			}
			testutil.NoSecrets(t, err, canaries...)
		})
	}
}
