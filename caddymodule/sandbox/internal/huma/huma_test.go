package huma

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/sandboxtest"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

func TestSignUpAndSignIn(t *testing.T) {
	fake, c := start(t, config.Config{})

	sandboxtest.Want(t, c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn), 403, CodeUserUnknown)
	sandboxtest.Want(t, c.Post(sandboxtest.Consent, `{"email":"alice@example.com"}`), 403, CodeUserUnknown)
	up := c.Post(sandboxtest.SignUp, sandboxtest.AliceSignUp)
	sandboxtest.Want(t, up, 201, 0)
	sandboxtest.Want(t, c.Post(sandboxtest.SignUp, strings.Replace(sandboxtest.AliceSignUp, "alice", "ALICE", 1)), 400, CodeUserExists)
	in := c.Post(sandboxtest.SignIn, strings.Replace(sandboxtest.AliceSignIn, "alice", "aLiCe", 1))
	sandboxtest.Want(t, in, 200, 0)
	consent := c.Post(sandboxtest.Consent, `{"email":"alice@example.com"}`)
	sandboxtest.Want(t, consent, 201, 0)
	if consent.Text != "" {
		t.Errorf("response to sign-consent: %q", consent.Text)
	}

	users := fake.List(0)
	if len(users) != 1 || users[0].Email != "alice@example.com" || !users[0].Consented {
		t.Fatalf("users: %s", sandboxtest.Compact(t, users))
	}
	for _, r := range []sandboxtest.Response{up, in} {
		if r.Member(t, "uid") != users[0].UID || r.Member(t, "authTokenExpiresIn") != 900.0 || r.Member(t, "expiresIn") != 3888000.0 {
			t.Errorf("response: %s", r.Text)
		}
	}
	if up.Member(t, "authToken") == in.Member(t, "authToken") {
		t.Error("the same token was issued twice")
	}
}

func TestAddressesFoldASCIIOnly(t *testing.T) {
	fake, c := start(t, config.Config{})
	for _, email := range []string{"kelvin@example.com", "\u212aelvin@example.com", "İ@example.com", "i@example.com"} {
		body := strings.Replace(sandboxtest.AliceSignUp, "alice@example.com", email, 1)
		sandboxtest.Want(t, c.Post(sandboxtest.SignUp, body), 201, 0)
	}
	if n := len(fake.List(0)); n != 4 {
		t.Errorf("%d users, want 4", n)
	}
}

func TestTokensAreJWTs(t *testing.T) {
	fake, c := start(t, config.Config{AuthTokenLifetime: caddy.Duration(time.Minute), RefreshTokenLifetime: caddy.Duration(time.Hour)})
	user, _ := fake.Create("alice@example.com", nil)
	in := c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn)
	for member, lifetime := range map[string]float64{"authToken": 60, "refreshToken": 3600} {
		token, _ := in.Member(t, member).(string)
		parts := strings.Split(token, ".")
		if len(parts) != 3 {
			t.Fatalf("%s has %d parts", member, len(parts))
		}
		decoded := make([]map[string]any, 2)
		for i := range decoded {
			b, err := base64.RawURLEncoding.DecodeString(parts[i])
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, &decoded[i]); err != nil {
				t.Fatal(err)
			}
		}
		head, claims := decoded[0], decoded[1]
		if head["alg"] != "HS256" || head["typ"] != "JWT" {
			t.Errorf("%s header: %v", member, head)
		}
		exp, _ := claims["exp"].(float64)
		iat, _ := claims["iat"].(float64)
		if exp-iat != lifetime || claims["sub"] != user.UID || claims["jti"] == "" || claims["clientId"] != "c1" {
			t.Errorf("%s claims: %v", member, claims)
		}
	}
}

func TestRefreshAndSignOut(t *testing.T) {
	var passed atomic.Int64
	fake, c := startAt(t, config.Config{}, func() time.Time { return time.Now().Add(time.Duration(passed.Load())) })
	user, _ := fake.Create("alice@example.com", nil)

	in := c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn)
	refresh := fmt.Sprintf(`{"refreshToken":%q}`, in.Member(t, "refreshToken"))
	passed.Store(int64(time.Hour))
	got := c.Post(sandboxtest.Refresh, refresh)
	sandboxtest.Want(t, got, 200, 0)
	left, _ := got.Member(t, "refreshTokenExpiresIn").(float64)
	if got.Member(t, "expiresIn") != 900.0 || left < 3888000-3605 || left > 3888000-3600 || got.Member(t, "authToken") == in.Member(t, "authToken") {
		t.Errorf("refresh: %s", got.Text)
	}

	sandboxtest.Want(t, c.Post(sandboxtest.Refresh, fmt.Sprintf(`{"refreshToken":%q}`, in.Member(t, "authToken"))), 401, CodeTokenWrong)
	for _, token := range []string{"", "a.b.c", "x", in.Member(t, "refreshToken").(string) + "x"} {
		sandboxtest.Want(t, c.Post(sandboxtest.Refresh, fmt.Sprintf(`{"refreshToken":%q}`, token)), 401, CodeTokenWrong)
	}

	sandboxtest.Want(t, c.Post(sandboxtest.SignOut, `{"deviceAgent":"a"}`), 400, CodeInvalidRequest)
	sandboxtest.Want(t, c.Post(sandboxtest.SignOut, `{"deviceAgent":"a","userId":"unknown"}`), 403, CodeUserUnknown)
	sandboxtest.Want(t, c.Post(sandboxtest.SignOut, fmt.Sprintf(`{"deviceAgent":"a","userId":"other","refreshToken":%q}`, in.Member(t, "refreshToken"))), 403, CodeForbiddenID)
	sandboxtest.Want(t, c.Post(sandboxtest.SignOut, fmt.Sprintf(`{"deviceAgent":"a","userId":%q}`, user.UID)), 200, 0)
	out := c.Post(sandboxtest.SignOut, fmt.Sprintf(`{"deviceAgent":"a","isActive":true,"updateDateTime":"2024-01-02T03:04:05Z","refreshToken":%q}`, in.Member(t, "refreshToken")))
	sandboxtest.Want(t, out, 200, 0)
	if out.Member(t, "id") != user.UID {
		t.Errorf("sign-out: %s", out.Text)
	}
	sandboxtest.Want(t, c.Post(sandboxtest.Refresh, refresh), 401, CodeTokenWrong)

	later := c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn)
	passed.Add(int64(46 * 24 * time.Hour))
	sandboxtest.Want(t, c.Post(sandboxtest.Refresh, fmt.Sprintf(`{"refreshToken":%q}`, later.Member(t, "refreshToken"))), 401, CodeTokenExpired)
	fresh := c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn)
	fake.Reset()
	sandboxtest.Want(t, c.Post(sandboxtest.Refresh, fmt.Sprintf(`{"refreshToken":%q}`, fresh.Member(t, "refreshToken"))), 401, CodeTokenWrong)
}

func TestOlderResponses(t *testing.T) {
	fake, c := start(t, config.Config{Edition: config.EditionMiddle, LifetimesAsStrings: true})
	up := c.Post(sandboxtest.SignUp, sandboxtest.AliceSignUp)
	sandboxtest.Want(t, up, 201, 0)
	if up.Text != fmt.Sprintf(`{"uid":%q}`, fake.List(0)[0].UID) {
		t.Errorf("sign-up: %s", up.Text)
	}
	in := c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn)
	if in.Member(t, "authTokenExpiresIn") != "900" || in.Member(t, "expiresIn") != "3888000" {
		t.Errorf("sign-in: %s", in.Text)
	}
}

func TestSignUpKeepsProfile(t *testing.T) {
	fake, c := start(t, config.Config{})
	body := `{"clientId":"c3","projectId":"p1","email":"bob@example.com","ipAddress":"2001:db8::1","password":"invented",` +
		`"userAttributes":{"givenName":"Bob"},"validationData":{"activationCode":"1"},"ssoEnabled":true,"timezone":"Europe/Berlin"}`
	sandboxtest.Want(t, c.Post(sandboxtest.SignUp, body), 201, 0)
	p := fake.List(0)[0].Profile
	attributes, _ := p["userAttributes"].(map[string]any)
	if attributes["givenName"] != "Bob" || p["timezone"] != "Europe/Berlin" || p["ssoEnabled"] != true {
		t.Errorf("profile: %v", p)
	}
	if _, found := p["password"]; found {
		t.Error("the profile has the password")
	}
}

func TestRejectedHeaders(t *testing.T) {
	fake, c := start(t, config.Config{})
	fake.Create("alice@example.com", nil)
	tests := []struct {
		name   string
		path   string
		change func(*http.Request)
		status int
		code   int
	}{
		{"no deployment", sandboxtest.SignIn, func(r *http.Request) { r.Header.Del("deploymentId") }, 400, CodeInvalidRequest},
		{"blank deployment", sandboxtest.SignIn, func(r *http.Request) { r.Header.Set("deploymentId", " ") }, 400, CodeInvalidRequest},
		{"two deployments", sandboxtest.SignIn, func(r *http.Request) { r.Header.Add("deploymentId", "d1") }, 400, CodeInvalidRequest},
		{"other deployment", sandboxtest.SignIn, func(r *http.Request) { r.Header.Set("deploymentId", "d2") }, 403, CodeForbiddenID},
		{"no signature", sandboxtest.SignIn, func(r *http.Request) { r.Header.Del("signature") }, 400, CodeInvalidRequest},
		{"wrong signature", sandboxtest.SignIn, func(r *http.Request) { r.Header.Set("signature", sandboxtest.HMAC("other", sandboxtest.AliceSignIn)) }, 401, CodeUnauthorized},
		{"upper-case signature", sandboxtest.SignIn, func(r *http.Request) { r.Header.Set("signature", strings.ToUpper(r.Header.Get("signature"))) }, 401, CodeUnauthorized},
		{"form", sandboxtest.SignIn, func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 415, CodeInvalidRequest},
		{"no content type", sandboxtest.SignIn, func(r *http.Request) { r.Header.Del("Content-Type") }, 415, CodeInvalidRequest},
		{"latin-1", sandboxtest.SignIn, func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=latin1") }, 415, CodeInvalidRequest},
		{"compressed", sandboxtest.SignIn, func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415, CodeInvalidRequest},
		{"charset", sandboxtest.SignIn, func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=UTF-8") }, 200, 0},
		{"no user agent", sandboxtest.Refresh, func(r *http.Request) { r.Header.Del("userAgent") }, 400, CodeInvalidRequest},
		{"no user agent", sandboxtest.SignOut, func(r *http.Request) { r.Header.Del("userAgent") }, 400, CodeInvalidRequest},
		{"wrong method", sandboxtest.SignIn, func(r *http.Request) { r.Method = http.MethodPut }, 405, CodeInvalidRequest},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := c.Request(http.MethodPost, test.path, sandboxtest.AliceSignIn)
			test.change(r)
			got := c.Send(r)
			sandboxtest.Want(t, got, test.status, test.code)
			if test.status == 405 && got.Header.Get("Allow") != "POST" {
				t.Errorf("Allow: %q", got.Header.Get("Allow"))
			}
		})
	}
}

func TestRejectedBodies(t *testing.T) {
	fake, c := start(t, config.Config{})
	fake.Create("alice@example.com", nil)
	signUp := func(email, ip string) string {
		return fmt.Sprintf(`{"clientId":"c1","projectId":"p1","email":%q,"ipAddress":%q}`, email, ip)
	}
	tests := []struct {
		name, path, body string
		status, code     int
	}{
		{"empty", sandboxtest.SignIn, ``, 400, CodeInvalidRequest},
		{"null", sandboxtest.SignIn, `null`, 400, CodeInvalidRequest},
		{"list", sandboxtest.SignIn, `[]`, 400, CodeInvalidRequest},
		{"cut", sandboxtest.SignIn, sandboxtest.AliceSignIn[:20], 400, CodeInvalidRequest},
		{"two values", sandboxtest.SignIn, sandboxtest.AliceSignIn + sandboxtest.AliceSignIn, 400, CodeInvalidRequest},
		{"byte order mark", sandboxtest.SignIn, "\ufeff" + sandboxtest.AliceSignIn, 400, CodeInvalidRequest},
		{"not UTF-8", sandboxtest.SignIn, strings.Replace(sandboxtest.AliceSignIn, "alice", "al\xffce", 1), 400, CodeInvalidRequest},
		{"too long", sandboxtest.SignIn, sandboxtest.AliceSignIn + strings.Repeat(" ", service.MaxBody), 413, CodeInvalidRequest},
		{"unknown member", sandboxtest.SignIn, strings.Replace(sandboxtest.AliceSignIn, "{", `{"ipAddress":"192.0.2.1",`, 1), 400, CodeInvalidRequest},
		{"other case", sandboxtest.SignIn, strings.Replace(sandboxtest.AliceSignIn, "clientId", "clientID", 1), 400, CodeInvalidRequest},
		{"member twice", sandboxtest.SignIn, strings.Replace(sandboxtest.AliceSignIn, "{", `{"email":"bob@example.com",`, 1), 400, CodeInvalidRequest},
		{"number", sandboxtest.SignIn, strings.Replace(sandboxtest.AliceSignIn, `"p1"`, `1`, 1), 400, CodeInvalidRequest},
		{"null member", sandboxtest.SignIn, strings.Replace(sandboxtest.AliceSignIn, "{", `{"language":null,`, 1), 400, CodeInvalidRequest},
		{"no email", sandboxtest.SignIn, `{"clientId":"c1","projectId":"p1"}`, 400, CodeInvalidRequest},
		{"no client", sandboxtest.SignIn, `{"projectId":"p1","email":"alice@example.com"}`, 400, CodeInvalidRequest},
		{"no project", sandboxtest.SignIn, `{"clientId":"c1","email":"alice@example.com"}`, 400, CodeInvalidRequest},
		{"other project", sandboxtest.SignIn, strings.Replace(sandboxtest.AliceSignIn, "p1", "p2", 1), 403, CodeProjectInvalid},
		{"other client", sandboxtest.SignIn, strings.Replace(sandboxtest.AliceSignIn, "c1", "c4", 1), 403, CodeClientInvalid},
		{"empty client", sandboxtest.SignIn, strings.Replace(sandboxtest.AliceSignIn, "c1", "", 1), 403, CodeClientInvalid},
		{"sign-up: no address", sandboxtest.SignUp, sandboxtest.AliceSignIn, 400, CodeInvalidRequest},
		{"sign-up: not an address", sandboxtest.SignUp, signUp("bob@example.com", "localhost"), 400, CodeInvalidRequest},
		{"sign-up: address with zone", sandboxtest.SignUp, signUp("bob@example.com", "fe80::1%eth0"), 400, CodeInvalidRequest},
		{"sign-up: empty email", sandboxtest.SignUp, signUp("", "192.0.2.1"), 400, CodeInvalidRequest},
		{"sign-up: not an email", sandboxtest.SignUp, signUp("bob", "192.0.2.1"), 400, CodeInvalidRequest},
		{"sign-up: two at signs", sandboxtest.SignUp, signUp("a@b@example.com", "192.0.2.1"), 400, CodeInvalidRequest},
		{"sign-up: space", sandboxtest.SignUp, signUp("bob @example.com", "192.0.2.1"), 400, CodeInvalidRequest},
		{"sign-up: long email", sandboxtest.SignUp, signUp(strings.Repeat("b", 250)+"@example.com", "192.0.2.1"), 400, CodeInvalidRequest},
		{"sign-up: text for object", sandboxtest.SignUp, strings.Replace(sandboxtest.AliceSignUp, "{", `{"userAttributes":"x",`, 1), 400, CodeInvalidRequest},
		{"sign-up: text for boolean", sandboxtest.SignUp, strings.Replace(sandboxtest.AliceSignUp, "{", `{"ssoEnabled":"true",`, 1), 400, CodeInvalidRequest},
		{"consent: unknown member", sandboxtest.Consent, `{"email":"alice@example.com","clientId":"c1"}`, 400, CodeInvalidRequest},
		{"consent: no email", sandboxtest.Consent, `{}`, 400, CodeInvalidRequest},
		{"refresh: no token", sandboxtest.Refresh, `{"deviceAgent":"a"}`, 400, CodeInvalidRequest},
		{"sign-out: no agent", sandboxtest.SignOut, `{"userId":"x"}`, 400, CodeInvalidRequest},
		{"sign-out: not a time", sandboxtest.SignOut, `{"deviceAgent":"a","updateDateTime":"today"}`, 400, CodeInvalidRequest},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sandboxtest.Want(t, c.Post(test.path, test.body), test.status, test.code)
		})
	}
	if n := len(fake.List(0)); n != 1 {
		t.Errorf("%d users, want 1", n)
	}
}
