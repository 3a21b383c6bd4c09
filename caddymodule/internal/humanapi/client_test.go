package humanapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/connect"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestWireFormat checks the bytes that are sent.
func TestWireFormat(t *testing.T) {
	scopes := func(cfg *Config) { cfg.ExtraScopes = []string{"launch/patient", "openid"} }
	noEmail := connect.Person{ID: masked.New("user 7/ü")}
	tests := []struct {
		name   string
		typ    connect.TokenType
		user   connect.Person
		change func(*Config)
		body   string
	}{
		{"session", connect.SessionToken, user(), func(*Config) {},
			`{"client_id":"c1","client_user_id":"canary-user-4711","type":"session","client_secret":"canary-secret-1f9c",` +
				`"client_user_email":"canary.mail@example.org"}`},
		{"session, no address", connect.SessionToken, noEmail, func(*Config) {},
			`{"client_id":"c1","client_user_id":"user 7/ü","type":"session","client_secret":"canary-secret-1f9c"}`},
		{"session, scopes", connect.SessionToken, user(), scopes,
			`{"client_id":"c1","client_user_id":"canary-user-4711","type":"session","client_secret":"canary-secret-1f9c",` +
				`"client_user_email":"canary.mail@example.org","extra_scopes":["launch/patient","openid"]}`},
		{"id", connect.IDToken, user(), func(*Config) {},
			`{"client_id":"c1","client_user_id":"canary-user-4711","type":"id","client_secret":"canary-secret-1f9c"}`},
		{"id, scopes", connect.IDToken, user(), scopes,
			`{"client_id":"c1","client_user_id":"canary-user-4711","type":"id","client_secret":"canary-secret-1f9c",` +
				`"extra_scopes":["launch/patient","openid"]}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := make(chan string, 1)
			api := testutil.ServeRaw(t, func(conn net.Conn, request string) {
				got <- request
				response := good[test.typ]
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(response), response)
			})
			if _, err := testClient(t, api+"/base/?q", test.change).Token(t.Context(), test.typ, test.user); err != nil {
				t.Fatal(err)
			}
			want := "POST /base/v1/connect/token HTTP/1.1\r\n" +
				"Host: " + strings.TrimPrefix(api, "http://") + "\r\n" +
				"User-Agent: caddy-huma\r\n" +
				fmt.Sprintf("Content-Length: %d\r\n", len(test.body)) +
				"Accept: application/json\r\n" +
				"Accept-Encoding: identity\r\n" +
				"Content-Type: application/json\r\n" +
				"\r\n" + test.body
			if request := <-got; request != want {
				t.Errorf("got\n%s\nwant\n%s", request, want)
			}
		})
	}
}

// TestUserIDs checks that user ids are sent unchanged.
func TestUserIDs(t *testing.T) {
	var got struct {
		ID string `json:"client_user_id"`
	}
	c := testClient(t, testutil.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&got)
		_, _ = io.WriteString(w, goodID)
	}))
	for _, id := range []string{"a", `"\<>&`, "a\u2028\x00\n", "Zoë", "用户", strings.Repeat("x", 5000), " "} {
		if _, err := c.Token(t.Context(), connect.IDToken, connect.Person{ID: masked.New(id)}); err != nil || got.ID != id {
			t.Errorf("%q arrived as %q, %v", id, got.ID, err)
		}
	}
}

// TestNotCalled checks requests that must never be sent.
func TestNotCalled(t *testing.T) {
	c := testClient(t, "http://127.0.0.1:1", func(cfg *Config) {
		cfg.Do = func(context.Context, exchange.Op, func(context.Context) error) error {
			t.Error("a call")
			return nil
		}
	})
	for _, typ := range []connect.TokenType{"", "access", "SESSION"} {
		if g, err := c.Token(t.Context(), typ, user()); err == nil || g != nil {
			t.Errorf("%q: %v", typ, err)
		}
	}
	for _, id := range []string{"", "a\xffb", "\xed\xa0\x80"} {
		g, err := c.Token(t.Context(), connect.IDToken, connect.Person{ID: masked.New(id)})
		if err == nil || g != nil || err.Error() != "id token: the user's id is empty or not valid UTF-8" {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// TestAttempts uses a Do that makes several attempts: each sends the whole body, and
// the token's lifetime counts from before the successful one.
func TestAttempts(t *testing.T) {
	for _, typ := range types {
		var n atomic.Int32
		var last atomic.Int64
		api := testutil.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			last.Store(time.Now().UnixNano())
			if body, _ := io.ReadAll(r.Body); !strings.Contains(string(body), canaryUser) {
				t.Error("an attempt without its body")
			}
			if n.Add(1) < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			time.Sleep(20 * time.Millisecond)
			_, _ = io.WriteString(w, good[typ])
		})
		var third time.Time
		c := testClient(t, api, func(cfg *Config) {
			cfg.Do = func(ctx context.Context, op exchange.Op, call func(context.Context) error) error {
				if op != typ.Op() {
					t.Errorf("op %s", op)
				}
				var err error
				for range 3 {
					third = time.Now()
					if err = call(ctx); err == nil {
						return nil
					}
				}
				return err
			}
		})
		g, err := c.Token(t.Context(), typ, user())
		if err != nil || g == nil || n.Load() != 3 {
			t.Fatal(err, n.Load())
		}
		if m := g.IssuedAt(); m.Before(third.Round(0)) || m.UnixNano() > last.Load() {
			t.Errorf("issued %v, called %v, arrived %v", m, third, time.Unix(0, last.Load()))
		}
	}
}
