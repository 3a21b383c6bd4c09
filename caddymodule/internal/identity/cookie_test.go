package identity

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
)

// encodedTokens is a Verifier of tokens that are unsigned, but may stand in a cookie.
type encodedTokens struct{}

func (encodedTokens) Verify(_ context.Context, token, _ string) (claims.Document, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[2] != "good" {
		return claims.Document{}, ErrAssertionSignature
	}
	return claims.Decode(token)
}

// tokenFor returns a token that encodedTokens accepts.
func tokenFor(payload string) string { return "e30." + b64(payload) + ".good" }

func TestB7_CookieWithVerify(t *testing.T) {
	config := Config{Email: "{http.request.cookie.__session} email", UserID: "{http.request.cookie.__session} sub", Verify: true, Verifier: encodedTokens{}}
	i := mustNew(t, config)
	good, other := tokenFor(`{"email":"a@x.io","sub":"u-1"}`), tokenFor(`{"email":"b@x.io","sub":"u-2"}`)
	request := func(lines ...string) *Request {
		r := fromProxy("__session", other, "X-Session", other, "Authorization", "Bearer "+other)
		r.RemoteAddr = untrustedPeer
		r.Placeholders = placeholders{"http.request.cookie.__session": other}
		r.Header["Cookie"] = lines
		return r
	}
	for _, lines := range [][]string{
		{"__session=" + good},
		{"a=b; __session=" + good + "; c=d"},
		{"a=b;__session=" + good + ";"},
		{"  __session=" + good + "\t"},
		{"a=b", "__session=" + good},
		{"__Session=" + other + "; __session=" + good},
		{"__session.0=" + other + "; x__session=" + other + "; __session=" + good},
		{"a=__session=" + other + "; __session=" + good},
	} {
		if u := wantUser(t, i, request(lines...), "a@x.io"); u.ID.Reveal() != "u-1" {
			t.Errorf("id %q", u.ID.Reveal())
		}
	}
	for _, tt := range []struct {
		line string
		want *Rejection
	}{
		{"", ErrNoCookie},
		{"a=b", ErrNoCookie},
		{"__SESSION=" + good, ErrNoCookie},
		{"__session", ErrEmpty},
		{"__session=", ErrEmpty},
		{"__session=" + good + "; __session=" + good, ErrDuplicateCookie},
		{"__session=" + good + "; __session=" + other, ErrDuplicateCookie},
		{"__session=" + good + "; __session", ErrDuplicateCookie},
		{"__session=; __session=" + good, ErrDuplicateCookie},
		{"__session=" + good + "; __session =" + other, ErrDuplicateCookie},
		{"__session=" + good + ";\t__session\t=" + other, ErrDuplicateCookie},
		{"__session=" + good + "; __session=%", ErrDuplicateCookie},
		{`__session="` + good + `"`, ErrAssertionMalformed},
		{"__session=Bearer " + good, ErrAssertionMalformed},
		{"__session=" + good + ", __session=" + other, ErrAssertionMalformed},
		{"__session=" + good + " " + other, ErrAssertionMalformed},
		{`__session={"email":"a@x.io"}`, ErrAssertionMalformed},
		{"__session=%65" + good, ErrAssertionMalformed},
		{"__session=" + strings.TrimSuffix(good, "good"), ErrAssertionSignature},
		{"__session=" + tokenFor(`{}`), ErrNoClaim},
		{"__session=" + tokenFor(`{"email":"a@x.io","email_verified":false}`), ErrEmailDenied},
	} {
		wantRejection(t, i, request(tt.line), tt.want)
	}
	wantRejection(t, i, request(), ErrNoCookie)
	wantRejection(t, i, request("__session="+good, "__session="+other), ErrDuplicateCookie)

	byID := config
	byID.ByID = true
	if u, err := mustNew(t, byID).Identify(t.Context(), request("__session="+good)); err != nil || u.ID.Reveal() != "u-1" {
		t.Errorf("%q, %v", u.ID.Reveal(), err)
	}
	if _, err := mustNew(t, byID).Identify(t.Context(), request("__session")); !strings.Contains(err.Error(), "option user_id") {
		t.Error(err)
	}
	// With trust proxies the request must also come from a proxy.
	config.Trust = trustProxy()
	proxied := mustNew(t, config)
	wantRejection(t, proxied, request("__session="+good), ErrUntrustedPeer)
	r := request("__session=" + good)
	r.RemoteAddr = proxyPeer
	wantUser(t, proxied, r, "a@x.io")
	if headers := i.Headers(); len(headers) != 2 || headers[0] != "Cookie" || headers[1] != "Cookie" {
		t.Errorf("headers %q", headers)
	}
	for _, v := range i.Explain(t.Context(), request("__session="+good)) {
		if !strings.HasSuffix(v.Source, "the signed assertion in the cookie __session") || v.Rejection != nil {
			t.Errorf("%s: %s, %v", v.Option, v.Source, v.Rejection)
		}
	}
}

func TestB7_CookieWithoutVerify(t *testing.T) {
	const advice = `"email {http.request.cookie.session} <claim>" and "verify { … }"`
	for _, source := range []string{"{http.request.cookie.session}", "{http.request.cookie.session} user.mail upn"} {
		for _, trust := range []Trust{{}, trustProxy(), {Mode: TrustForwardAuth}} {
			_, err := New(Config{Email: source, Trust: trust})
			wantError(t, err, "email: ", "set by the client", advice, validSources)
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one error: %v", err)
			}
		}
	}
	_, err := New(Config{Preset: "basic_auth", UserID: "{http.request.cookie.id}", Name: "{http.request.cookie.name}"})
	wantError(t, err, "user_id: ", "{http.request.cookie.id} <claim>", "\nname: ", "{http.request.cookie.name} <claim>")
	// With verify, a cookie without a path is not verified.
	_, err = New(Config{Email: "{http.request.cookie.session} email", Name: "{http.request.cookie.name}", Verify: true, Verifier: encodedTokens{}})
	wantError(t, err, "name: ", "set by the client")
	_, err = New(Config{Email: "{http.request.cookie.session} email", AuthServer: fakeAuthServer{}})
	wantError(t, err, "email: ", "set by the client")
	for _, name := range []string{"", "a b", "a;b", "a=b", "ä"} {
		_, err = New(Config{Email: "{http.request.cookie." + name + "} email", Verify: true, Verifier: encodedTokens{}})
		wantError(t, err, "email: ")
	}
}

// FuzzCookie compares findCookie with the standard library: every cookie that it finds is
// counted.
func FuzzCookie(f *testing.F) {
	for _, line := range []string{"s=a.b.c", "s=a; s=b", "s = a", "s;s", `s="a"`, "a=s=b", "s=a,s=b", "\ts\t=\ta\t;", "S=a", "s=é", "s=\r"} {
		f.Add(line, "x=y")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		lines := []string{first, second}
		value, count := findCookie(lines, "s")
		known := (&http.Request{Header: http.Header{"Cookie": lines}}).CookiesNamed("s")
		if len(known) > count {
			t.Fatalf("%d cookies, %d are known: %q", count, len(known), lines)
		}
		valid := !strings.ContainsFunc(value, isInvalidInToken) // others are rejected
		if count == 1 && len(known) == 1 && valid && strings.Trim(known[0].Value, " \t") != value {
			t.Fatalf("%q, known as %q: %q", value, known[0].Value, lines)
		}
		if strings.Count(first+second, "s") < count {
			t.Fatalf("%d cookies: %q", count, lines)
		}
	})
}
