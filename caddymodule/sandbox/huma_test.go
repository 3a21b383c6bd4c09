package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestRegisterAndSignIn(t *testing.T) {
	fake, c := start(t, Config{})

	want(t, c.post(signInPath, aliceSignIn), 403, codeUserUnknown)
	want(t, c.post(consentPath, `{"email":"alice@example.com"}`), 403, codeUserUnknown)
	up := c.post(signUpPath, aliceSignUp)
	want(t, up, 201, 0)
	want(t, c.post(signUpPath, strings.Replace(aliceSignUp, "alice", "ALICE", 1)), 400, codeUserExists)
	in := c.post(signInPath, strings.Replace(aliceSignIn, "alice", "aLiCe", 1))
	want(t, in, 200, 0)
	consent := c.post(consentPath, `{"email":"alice@example.com"}`)
	want(t, consent, 201, 0)
	if consent.text != "" {
		t.Errorf("sign-consent answered %q", consent.text)
	}

	users := fake.Users()
	if len(users) != 1 || users[0].Email != "alice@example.com" || !users[0].Consented {
		t.Fatalf("users: %s", compact(t, users))
	}
	for _, r := range []reply{up, in} {
		if r.member(t, "uid") != users[0].UID || r.member(t, "authTokenExpiresIn") != 900.0 || r.member(t, "expiresIn") != 3888000.0 {
			t.Errorf("answer: %s", r.text)
		}
	}
	if up.member(t, "authToken") == in.member(t, "authToken") {
		t.Error("the same token twice")
	}
}

func TestAddressesFoldASCIIOnly(t *testing.T) {
	fake, c := start(t, Config{})
	for _, email := range []string{"kelvin@example.com", "\u212aelvin@example.com", "İ@example.com", "i@example.com"} {
		body := strings.Replace(aliceSignUp, "alice@example.com", email, 1)
		want(t, c.post(signUpPath, body), 201, 0)
	}
	if n := len(fake.Users()); n != 4 {
		t.Errorf("%d users, want 4", n)
	}
}

func TestTokensAreJWTs(t *testing.T) {
	fake, c := start(t, Config{AuthTokenLifetime: time.Minute, RefreshTokenLifetime: time.Hour})
	user := fake.AddUser("alice@example.com")
	in := c.post(signInPath, aliceSignIn)
	for member, lifetime := range map[string]float64{"authToken": 60, "refreshToken": 3600} {
		token, _ := in.member(t, member).(string)
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
	fake := New(Config{})
	var passed atomic.Int64
	fake.state.now = func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
	srv := httptest.NewServer(fake)
	t.Cleanup(srv.Close)
	c := newClient(t, srv.URL)
	user := fake.AddUser("alice@example.com")

	in := c.post(signInPath, aliceSignIn)
	refresh := fmt.Sprintf(`{"refreshToken":%q}`, in.member(t, "refreshToken"))
	passed.Store(int64(time.Hour))
	got := c.post(refreshPath, refresh)
	want(t, got, 200, 0)
	left, _ := got.member(t, "refreshTokenExpiresIn").(float64)
	if got.member(t, "expiresIn") != 900.0 || left < 3888000-3605 || left > 3888000-3600 || got.member(t, "authToken") == in.member(t, "authToken") {
		t.Errorf("refresh: %s", got.text)
	}

	want(t, c.post(refreshPath, fmt.Sprintf(`{"refreshToken":%q}`, in.member(t, "authToken"))), 401, codeTokenWrong)
	for _, token := range []string{"", "a.b.c", "x", in.member(t, "refreshToken").(string) + "x"} {
		want(t, c.post(refreshPath, fmt.Sprintf(`{"refreshToken":%q}`, token)), 401, codeTokenWrong)
	}

	want(t, c.post(signOutPath, `{"deviceAgent":"a"}`), 400, codeInvalidRequest)
	want(t, c.post(signOutPath, `{"deviceAgent":"a","userId":"nobody"}`), 403, codeUserUnknown)
	want(t, c.post(signOutPath, fmt.Sprintf(`{"deviceAgent":"a","userId":"other","refreshToken":%q}`, in.member(t, "refreshToken"))), 403, codeForbiddenID)
	want(t, c.post(signOutPath, fmt.Sprintf(`{"deviceAgent":"a","userId":%q}`, user.UID)), 200, 0)
	out := c.post(signOutPath, fmt.Sprintf(`{"deviceAgent":"a","isActive":true,"updateDateTime":"2024-01-02T03:04:05Z","refreshToken":%q}`, in.member(t, "refreshToken")))
	want(t, out, 200, 0)
	if out.member(t, "id") != user.UID {
		t.Errorf("sign-out: %s", out.text)
	}
	want(t, c.post(refreshPath, refresh), 401, codeTokenWrong)

	again := c.post(signInPath, aliceSignIn)
	passed.Add(int64(46 * 24 * time.Hour))
	want(t, c.post(refreshPath, fmt.Sprintf(`{"refreshToken":%q}`, again.member(t, "refreshToken"))), 401, codeTokenExpired)
	fresh := c.post(signInPath, aliceSignIn)
	fake.Reset()
	want(t, c.post(refreshPath, fmt.Sprintf(`{"refreshToken":%q}`, fresh.member(t, "refreshToken"))), 401, codeTokenWrong)
	if n := fake.Calls().ByOp[OpRefresh]; n != 1 {
		t.Errorf("%d refresh calls since the reset", n)
	}
}

func TestOlderAnswers(t *testing.T) {
	fake, c := start(t, Config{SignUpWithoutToken: true, LifetimesAsStrings: true})
	up := c.post(signUpPath, aliceSignUp)
	want(t, up, 201, 0)
	if up.text != fmt.Sprintf(`{"uid":%q}`, fake.Users()[0].UID) {
		t.Errorf("sign-up: %s", up.text)
	}
	in := c.post(signInPath, aliceSignIn)
	if in.member(t, "authTokenExpiresIn") != "900" || in.member(t, "expiresIn") != "3888000" {
		t.Errorf("sign-in: %s", in.text)
	}
}

func TestSignUpKeepsProfile(t *testing.T) {
	fake, c := start(t, Config{Prefix: "/huma/"})
	c.url += "/huma"
	body := `{"clientId":"c3","projectId":"p1","email":"bob@example.com","ipAddress":"2001:db8::1","password":"invented",` +
		`"userAttributes":{"givenName":"Bob"},"validationData":{"activationCode":"1"},"ssoEnabled":true,"timezone":"Europe/Berlin"}`
	want(t, c.post(signUpPath, body), 201, 0)
	p := fake.Users()[0].Profile
	attributes, _ := p["userAttributes"].(map[string]any)
	if attributes["givenName"] != "Bob" || p["timezone"] != "Europe/Berlin" || p["ssoEnabled"] != true {
		t.Errorf("profile: %v", p)
	}
	if _, found := p["password"]; found {
		t.Error("the password was kept")
	}
}

func TestRefusedHeads(t *testing.T) {
	fake, c := start(t, Config{})
	fake.AddUser("alice@example.com")
	tests := []struct {
		name   string
		path   string
		change func(*http.Request)
		status int
		code   int
	}{
		{"no deployment", signInPath, func(r *http.Request) { r.Header.Del("deploymentId") }, 400, codeInvalidRequest},
		{"blank deployment", signInPath, func(r *http.Request) { r.Header.Set("deploymentId", " ") }, 400, codeInvalidRequest},
		{"two deployments", signInPath, func(r *http.Request) { r.Header.Add("deploymentId", "d1") }, 400, codeInvalidRequest},
		{"other deployment", signInPath, func(r *http.Request) { r.Header.Set("deploymentId", "d2") }, 403, codeForbiddenID},
		{"no signature", signInPath, func(r *http.Request) { r.Header.Del("signature") }, 400, codeInvalidRequest},
		{"wrong signature", signInPath, func(r *http.Request) { r.Header.Set("signature", hexHMAC("other", aliceSignIn)) }, 401, codeUnauthorized},
		{"upper-case signature", signInPath, func(r *http.Request) { r.Header.Set("signature", strings.ToUpper(r.Header.Get("signature"))) }, 401, codeUnauthorized},
		{"form", signInPath, func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 415, codeInvalidRequest},
		{"no content type", signInPath, func(r *http.Request) { r.Header.Del("Content-Type") }, 415, codeInvalidRequest},
		{"latin-1", signInPath, func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=latin1") }, 415, codeInvalidRequest},
		{"compressed", signInPath, func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415, codeInvalidRequest},
		{"charset", signInPath, func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=UTF-8") }, 200, 0},
		{"no user agent", refreshPath, func(r *http.Request) { r.Header.Del("userAgent") }, 400, codeInvalidRequest},
		{"no user agent", signOutPath, func(r *http.Request) { r.Header.Del("userAgent") }, 400, codeInvalidRequest},
		{"wrong method", signInPath, func(r *http.Request) { r.Method = http.MethodPut }, 405, codeInvalidRequest},
		{"trailing slash", signInPath + "/", func(*http.Request) {}, 404, codeInvalidRequest},
		{"nothing there", "/api", func(*http.Request) {}, 404, codeInvalidRequest},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := c.request(http.MethodPost, test.path, aliceSignIn)
			test.change(r)
			got := c.must(r)
			want(t, got, test.status, test.code)
			if test.status == 405 && got.header.Get("Allow") != "POST" {
				t.Errorf("Allow: %q", got.header.Get("Allow"))
			}
		})
	}
}

func TestRefusedBodies(t *testing.T) {
	fake, c := start(t, Config{})
	fake.AddUser("alice@example.com")
	signUp := func(email, ip string) string {
		return fmt.Sprintf(`{"clientId":"c1","projectId":"p1","email":%q,"ipAddress":%q}`, email, ip)
	}
	tests := []struct {
		name, path, body string
		status, code     int
	}{
		{"empty", signInPath, ``, 400, codeInvalidRequest},
		{"null", signInPath, `null`, 400, codeInvalidRequest},
		{"list", signInPath, `[]`, 400, codeInvalidRequest},
		{"cut", signInPath, aliceSignIn[:20], 400, codeInvalidRequest},
		{"two values", signInPath, aliceSignIn + aliceSignIn, 400, codeInvalidRequest},
		{"byte order mark", signInPath, "\ufeff" + aliceSignIn, 400, codeInvalidRequest},
		{"not UTF-8", signInPath, strings.Replace(aliceSignIn, "alice", "al\xffce", 1), 400, codeInvalidRequest},
		{"too long", signInPath, aliceSignIn + strings.Repeat(" ", maxBody), 413, codeInvalidRequest},
		{"unknown member", signInPath, strings.Replace(aliceSignIn, "{", `{"ipAddress":"192.0.2.1",`, 1), 400, codeInvalidRequest},
		{"other case", signInPath, strings.Replace(aliceSignIn, "clientId", "clientID", 1), 400, codeInvalidRequest},
		{"member twice", signInPath, strings.Replace(aliceSignIn, "{", `{"email":"bob@example.com",`, 1), 400, codeInvalidRequest},
		{"number", signInPath, strings.Replace(aliceSignIn, `"p1"`, `1`, 1), 400, codeInvalidRequest},
		{"null member", signInPath, strings.Replace(aliceSignIn, "{", `{"language":null,`, 1), 400, codeInvalidRequest},
		{"no email", signInPath, `{"clientId":"c1","projectId":"p1"}`, 400, codeInvalidRequest},
		{"no client", signInPath, `{"projectId":"p1","email":"alice@example.com"}`, 400, codeInvalidRequest},
		{"no project", signInPath, `{"clientId":"c1","email":"alice@example.com"}`, 400, codeInvalidRequest},
		{"other project", signInPath, strings.Replace(aliceSignIn, "p1", "p2", 1), 403, codeProjectInvalid},
		{"other client", signInPath, strings.Replace(aliceSignIn, "c1", "c4", 1), 403, codeClientInvalid},
		{"empty client", signInPath, strings.Replace(aliceSignIn, "c1", "", 1), 403, codeClientInvalid},
		{"sign-up: no address", signUpPath, aliceSignIn, 400, codeInvalidRequest},
		{"sign-up: not an address", signUpPath, signUp("bob@example.com", "localhost"), 400, codeInvalidRequest},
		{"sign-up: address with zone", signUpPath, signUp("bob@example.com", "fe80::1%eth0"), 400, codeInvalidRequest},
		{"sign-up: empty email", signUpPath, signUp("", "192.0.2.1"), 400, codeInvalidRequest},
		{"sign-up: not an email", signUpPath, signUp("bob", "192.0.2.1"), 400, codeInvalidRequest},
		{"sign-up: two at signs", signUpPath, signUp("a@b@example.com", "192.0.2.1"), 400, codeInvalidRequest},
		{"sign-up: space", signUpPath, signUp("bob @example.com", "192.0.2.1"), 400, codeInvalidRequest},
		{"sign-up: long email", signUpPath, signUp(strings.Repeat("b", 250)+"@example.com", "192.0.2.1"), 400, codeInvalidRequest},
		{"sign-up: text for object", signUpPath, strings.Replace(aliceSignUp, "{", `{"userAttributes":"x",`, 1), 400, codeInvalidRequest},
		{"sign-up: text for boolean", signUpPath, strings.Replace(aliceSignUp, "{", `{"ssoEnabled":"true",`, 1), 400, codeInvalidRequest},
		{"consent: unknown member", consentPath, `{"email":"alice@example.com","clientId":"c1"}`, 400, codeInvalidRequest},
		{"consent: no email", consentPath, `{}`, 400, codeInvalidRequest},
		{"refresh: no token", refreshPath, `{"deviceAgent":"a"}`, 400, codeInvalidRequest},
		{"sign-out: no agent", signOutPath, `{"userId":"x"}`, 400, codeInvalidRequest},
		{"sign-out: not a time", signOutPath, `{"deviceAgent":"a","updateDateTime":"today"}`, 400, codeInvalidRequest},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want(t, c.post(test.path, test.body), test.status, test.code)
		})
	}
	if n := len(fake.Users()); n != 1 {
		t.Errorf("%d users, want 1", n)
	}
}

func TestSignUpsAtOnceMakeOneUser(t *testing.T) {
	fake := New(Config{})
	const callers = 1000
	var created, refused atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			r := httptest.NewRequest(http.MethodPost, signUpPath, strings.NewReader(aliceSignUp))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("deploymentId", "d1")
			r.Header.Set("signature", hexHMAC("sandbox-secret", aliceSignUp))
			w := httptest.NewRecorder()
			fake.ServeHTTP(w, r)
			switch w.Code {
			case 201:
				created.Add(1)
			case 400:
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	if created.Load() != 1 || refused.Load() != callers-1 || len(fake.Users()) != 1 {
		t.Errorf("%d created, %d refused, %d users", created.Load(), refused.Load(), len(fake.Users()))
	}
	log := fake.Calls()
	if log.ByOp[OpSignUp] != callers || log.ByUser["alice@example.com"][OpSignUp] != callers || len(log.Calls) != callers || log.InFlight != 0 {
		t.Errorf("log: %v, %v, %d calls, %d in flight", log.ByOp, log.ByUser, len(log.Calls), log.InFlight)
	}
}
