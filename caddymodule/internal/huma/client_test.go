package huma

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func sha256Hex(key, text string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// TestWireFormat checks the bytes that are sent: names in Huma's spelling, and the
// signed body.
func TestWireFormat(t *testing.T) {
	full := func(cfg *Config) {
		cfg.Language, cfg.Timezone = "en", "Europe/Vienna"
		cfg.ActivationCode = masked.New("123456")
		cfg.Attributes = map[string]string{"gender": "x", "dob": "", "givenName": "loses"}
		cfg.HeaderUp = []Header{
			{"X-Time", masked.New("at {sig.timestamp}")},
			{"Authorization", masked.New("Bearer b")},
			{"Idempotency-Key", masked.New("never")},
			{"content-length", masked.New("7")},
		}
	}
	tests := []struct {
		name   string
		call   func(*Client) error
		change func(*Config)
		path   string
		body   string
	}{
		{
			name:   "sign in",
			call:   func(c *Client) error { _, err := c.SignIn(t.Context(), person()); return err },
			change: func(*Config) {},
			path:   "/api/integration/v1/auth/signin",
			body:   `{"clientId":"c1","projectId":"p1","email":"canary.mail@example.org"}`,
		}, {
			name:   "sign in, everything",
			call:   func(c *Client) error { _, err := c.SignIn(t.Context(), person()); return err },
			change: full,
			path:   "/api/integration/v1/auth/signin",
			body:   `{"clientId":"c1","projectId":"p1","email":"canary.mail@example.org","language":"en"}`,
		}, {
			name: "sign up, nothing known",
			call: func(c *Client) error {
				_, err := c.SignUp(t.Context(), login.Person{Email: masked.New("a@example.org"), ClientType: login.Android})
				return err
			},
			change: func(*Config) {},
			path:   "/api/integration/v1/auth/signup",
			body:   `{"clientId":"c2","projectId":"p1","ipAddress":"0.0.0.0","email":"a@example.org"}`,
		}, {
			name:   "sign up, everything",
			call:   func(c *Client) error { _, err := c.SignUp(t.Context(), person()); return err },
			change: full,
			path:   "/api/integration/v1/auth/signup",
			body: `{"clientId":"c1","projectId":"p1","ipAddress":"203.0.113.7","email":"canary.mail@example.org",` +
				`"userAttributes":{"familyName":"Birdwhistle","gender":"x","givenName":"Canarella"},` +
				`"timezone":"Europe/Vienna","language":"en","validationData":{"activationCode":"123456"}}`,
		}, {
			name: "sign in, everything of another edition",
			call: func(c *Client) error { _, err := c.SignIn(t.Context(), person()); return err },
			change: func(cfg *Config) {
				full(cfg)
				cfg.SignInCall = CallOptions{
					Path: "/auth/v1/private/sign%2Fin", Omit: []string{"language"},
					Body: map[string]json.RawMessage{"method": json.RawMessage(`4`), "__proto__": json.RawMessage(`{"a":[]}`), `"`: json.RawMessage(`"x\""`)},
				}
			},
			path: "/auth/v1/private/sign%2Fin",
			body: `{"clientId":"c1","projectId":"p1","email":"canary.mail@example.org","\"":"x\"","__proto__":{"a":[]},"method":4}`,
		}, {
			name: "sign up, everything of another edition",
			call: func(c *Client) error { _, err := c.SignUp(t.Context(), person()); return err },
			change: func(cfg *Config) {
				full(cfg)
				cfg.SignUpCall = CallOptions{
					Path: "/signup", Omit: []string{"ipAddress", "userAttributes", "timezone", "language", "validationData"},
					Body: map[string]json.RawMessage{"ipAddress": json.RawMessage(`null`)},
				}
			},
			path: "/signup",
			body: `{"clientId":"c1","projectId":"p1","email":"canary.mail@example.org","ipAddress":null}`,
		}, {
			name:   "sign consent",
			call:   func(c *Client) error { return c.SignConsent(t.Context(), person()) },
			change: func(*Config) {},
			path:   "/api/integration/v1/auth/sign-consent",
			body:   `{"email":"canary.mail@example.org"}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := make(chan string, 1)
			api := testutil.ServeRaw(t, func(conn net.Conn, request string) {
				got <- request
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(goodResponse), goodResponse)
			})
			before := time.Now().Unix()
			if err := test.call(testClient(t, api+"/base%2F1/?"+canaryQuery, test.change)); err != nil {
				t.Fatal(err)
			}
			head, body, _ := strings.Cut(<-got, "\r\n\r\n")
			if body != test.body {
				t.Errorf("body\n got %s\nwant %s", body, test.body)
			}
			lines := strings.Split(head, "\r\n")
			want := map[string]bool{
				"POST /base%2F1" + test.path + " HTTP/1.1":    true,
				"Host: " + strings.TrimPrefix(api, "http://"): true,
				"User-Agent: caddy-huma":                      true,
				"Content-Length: " + strconv.Itoa(len(body)):  true,
				"Accept: application/json":                    true,
				"Accept-Encoding: identity":                   true,
				"Content-Type: application/json":              true,
				"deploymentId: d1":                            true,
				"signature: " + sha256Hex(canarySecret, body): true,
			}
			if strings.Contains(test.name, "everything") {
				want["Authorization: Bearer b"] = true
			}
			for _, line := range lines {
				if at, found := strings.CutPrefix(line, "X-Time: at "); found {
					if ts, err := strconv.ParseInt(at, 10, 64); err != nil || ts < before || ts > time.Now().Unix() {
						t.Errorf("timestamp in %q", line)
					}
					continue
				}
				if !want[line] {
					t.Errorf("unexpected line %q", line)
				}
				delete(want, line)
			}
			for line := range want {
				t.Errorf("missing line %q", line)
			}
		})
	}
}

func TestIPAddress(t *testing.T) {
	for in, want := range map[string]string{
		"":                 "0.0.0.0",
		"@":                "0.0.0.0",
		"203.0.113.7:4711": "0.0.0.0",
		"203.0.113.7":      "203.0.113.7",
		"::ffff:192.0.2.1": "192.0.2.1",
		"fe80::1%eth0":     "fe80::1",
		"2001:DB8::1":      "2001:db8::1",
	} {
		if got := ipAddress(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestAttempts uses a Do that makes several attempts: each is signed anew and sends the
// whole body, and sign-up is sent only once.
func TestAttempts(t *testing.T) {
	var (
		mu     sync.Mutex
		nonces = map[string]bool{}
		calls  = map[string]int{}
	)
	api := testutil.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		calls[r.URL.Path]++
		nonces[r.Header.Get("Authorization")] = true
		if !strings.Contains(string(body), canaryEmail) {
			t.Error("an attempt without its body")
		}
		if calls[r.URL.Path] < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, goodResponse)
	})
	var ops []exchange.Op
	c := testClient(t, api, func(cfg *Config) {
		cfg.Signer, _ = NewSigner(SignatureConfig{Algorithm: "hawk", ID: "h", Secret: masked.New(canarySecret)})
		cfg.Do = func(ctx context.Context, op exchange.Op, call func(context.Context) error) error {
			ops = append(ops, op)
			var err error
			for range 3 {
				if err = call(ctx); err == nil {
					return nil
				}
			}
			return err
		}
	})
	g, err := c.SignIn(t.Context(), person())
	if err != nil || g == nil {
		t.Fatal(err)
	}
	if n := calls["/api/integration/v1/auth/signin"]; n != 3 || len(nonces) != 3 {
		t.Errorf("%d attempts with %d signatures, want 3 and 3", n, len(nonces))
	}
	_, err = c.SignUp(t.Context(), person())
	if e := testutil.As[*exchange.StatusError](t, err); e.Status != 503 {
		t.Error(e)
	}
	if n := calls["/api/integration/v1/auth/signup"]; n != 1 {
		t.Errorf("sign up was sent %d times", n)
	}
	if fmt.Sprint(ops) != "[sign in sign up]" {
		t.Errorf("ops %v", ops)
	}
}

func TestUnknownClientType(t *testing.T) {
	c := testClient(t, "http://127.0.0.1:1", func(cfg *Config) {
		cfg.Do = func(context.Context, exchange.Op, func(context.Context) error) error {
			t.Error("a call")
			return nil
		}
	})
	p := person()
	p.ClientType = login.Web
	if _, err := c.SignIn(t.Context(), p); err == nil || err.Error() != "sign in: no client id is set for this client type" {
		t.Error(err)
	}
	if _, err := c.SignUp(t.Context(), p); err == nil {
		t.Error("no error")
	}
}
