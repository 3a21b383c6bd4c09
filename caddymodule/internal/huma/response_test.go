package huma

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestIssuedAt checks that lifetimes count from before the attempt, not from its
// response.
func TestIssuedAt(t *testing.T) {
	var called time.Time
	c := testClient(t, testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		called = time.Now()
		time.Sleep(20 * time.Millisecond)
		_, _ = io.WriteString(w, goodResponse)
	}))
	g, err := c.SignIn(t.Context(), person())
	if err != nil {
		t.Fatal(err)
	}
	if g.IssuedAt().After(called) {
		t.Error("issued after the call came in")
	}
}

// TestH08_UnusableResponses checks unusable responses. Package wire rejects those that
// are not a JSON object.
func TestH08_UnusableResponses(t *testing.T) {
	const token = `"authToken":"` + canaryToken + `"`
	tests := map[string]struct {
		body    string
		in      string // error of sign-in; empty: none
		up      string // error of sign-up; empty: none
		upToken bool   // sign-up returns a token
	}{
		"html":           {"<html>" + canaryResponse, "not JSON", "not JSON", false},
		"two values":     {"{" + token + "} {" + token + "}", "not JSON", "not JSON", false},
		"array":          {"[{" + token + "}]", "not a JSON object", "not a JSON object", false},
		"no member":      {"{}", "no token", "", false},
		"uid alone":      {`{"uid":"u1"}`, "no token", "", false},
		"empty token":    {`{"authToken":""}`, "no token", "", false},
		"null token":     {`{"authToken":null}`, "no token", "", false},
		"number token":   {`{"authToken":12}`, "no token", "", false},
		"object token":   {`{"authToken":{"a":"` + canaryResponse + `"}}`, "no token", "", false},
		"other case":     {`{"authtoken":"` + canaryToken + `"}`, "no token", "", false},
		"token alone":    {"{" + token + "}", "", "", true},
		"64 KiB and one": {strings.Repeat("x", 64<<10+1), "longer than 64 KiB", "longer than 64 KiB", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := testClient(t, testutil.ServeResponse(t, 200, test.body))
			g, err := c.SignIn(t.Context(), person())
			checkWhy(t, g, err, test.in)
			if err == nil && g == nil {
				t.Error("sign in without a token or an error")
			}
			g, err = c.SignUp(t.Context(), person())
			checkWhy(t, g, err, test.up)
			if (g != nil) != test.upToken {
				t.Errorf("sign up: token %v", g)
			}
		})
	}
}

func checkWhy(t *testing.T, g *exchange.Token, err error, why string) {
	t.Helper()
	if why == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if g != nil {
		t.Error("a token with an error")
	}
	if e := testutil.As[*exchange.ResponseError](t, err); e.Reason != why {
		t.Errorf("got %q, want %q", e.Reason, why)
	}
}

// TestC09_Lifetimes checks lifetimes as package wire parses them. More than ten years
// count as unknown.
func TestC09_Lifetimes(t *testing.T) {
	tests := map[string]int64{
		`900`: 900, `"3887999.603985"`: 3887999, `" 3600 "`: 3600, `0`: 0, `-5`: 0, `null`: 0,
		`315360000`: 315360000, `315360001`: 0, `1e18`: 0, `"1e18"`: 0,
	}
	for in, want := range tests {
		body := `{"authToken":"t","authTokenExpiresIn":` + in + `,"expiresIn":` + in + `}`
		g, err := readToken(exchange.OpSignIn, response{[]byte(body), time.Now()})
		if err != nil || g == nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		var got struct{ AuthTokenExpiresIn, RefreshTokenExpiresIn, ExpiresIn int64 }
		if err := json.Unmarshal([]byte(jsonOf(g)), &got); err != nil {
			t.Fatal(err)
		}
		if got.AuthTokenExpiresIn != want || got.RefreshTokenExpiresIn != want || got.ExpiresIn != want {
			t.Errorf("%s: got %+v, want %d", in, got, want)
		}
	}
}

func TestResponseMembers(t *testing.T) {
	const prefix = `{"uid":"%s","authToken":"t","authTokenExpiresIn":0,"refreshToken":"%s","refreshTokenExpiresIn":%d,"expiresIn":%[3]d}`
	tests := []struct {
		body         string
		uid, refresh string
		expires      int
	}{
		{`{"authToken":"t"}`, "", "", 0},
		{`{"authToken":"t","uid":4711}`, "4711", "", 0},
		{`{"authToken":"t","uid":null,"refreshToken":null}`, "", "", 0},
		{`{"authToken":"t","uid":{"a":1},"refreshToken":7}`, "", "", 0},
		{`{"authToken":"t","uid":true,"refreshToken":"r"}`, "", "r", 0},
		{`{"authToken":"t","refreshTokenExpiresIn":50}`, "", "", 50},
		{`{"authToken":"t","expiresIn":null,"refreshTokenExpiresIn":50}`, "", "", 50},
		{`{"authToken":"t","expiresIn":40,"refreshTokenExpiresIn":50}`, "", "", 40},
		{`{"authToken":"t","expiresIn":"x","refreshTokenExpiresIn":50}`, "", "", 0},
		{`{"authToken":"first","authToken":"t","more":[1,{"a":null}]}`, "", "", 0},
	}
	for _, test := range tests {
		g, err := readToken(exchange.OpSignIn, response{[]byte(test.body), time.Now()})
		if err != nil {
			t.Errorf("%s: %v", test.body, err)
			continue
		}
		if got, want := jsonOf(g), fmt.Sprintf(prefix, test.uid, test.refresh, test.expires); got != want {
			t.Errorf("%s\n got %s\nwant %s", test.body, got, want)
		}
	}
}

func TestStatusErrors(t *testing.T) {
	tests := []struct {
		status int
		body   string
		code   string
	}{
		{300, "", ""},
		{400, `{"code":100010,"message":"` + canaryResponse + `"}`, "100010"},
		{400, `{"code":"100010"}`, "100010"},
		{400, `{"code":"` + canaryResponse + `"}`, ""},
		{400, `{"code":"+00100010"}`, "100010"},
		{400, `{"code":0}`, ""},
		{400, `{"code":1.5}`, ""},
		{400, `{"code":99999999999999999999}`, ""},
		{400, `{"code":null}`, ""},
		{400, `[{"code":1}]`, ""},
		{401, `{"code":100006}`, "100006"}, // H14
		{403, `{"code":300011}`, "300011"},
		{404, "", ""},
		{409, `{}`, ""},
		{500, "<html>" + canaryResponse, ""},
		{503, strings.Repeat(canaryResponse, 10000), ""},
	}
	for _, test := range tests {
		c := testClient(t, testutil.ServeResponse(t, test.status, test.body))
		_, in := c.SignIn(t.Context(), person())
		_, up := c.SignUp(t.Context(), person())
		consent := c.SignConsent(t.Context(), person())
		for op, err := range map[exchange.Op]error{exchange.OpSignIn: in, exchange.OpSignUp: up, exchange.OpConsent: consent} {
			e := testutil.As[*exchange.StatusError](t, err)
			if *e != (exchange.StatusError{Op: op, Status: test.status, Code: test.code}) {
				t.Errorf("%d %.40s: got %+v", test.status, test.body, *e)
			}
		}
	}
}
