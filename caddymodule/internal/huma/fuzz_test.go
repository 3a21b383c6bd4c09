package huma

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func FuzzReadResponse(f *testing.F) {
	for _, s := range []string{
		goodResponse, "", "null", "[]", "{}", "\ufeff{}", `{"authToken":""}`, `{"authToken":"t","uid":1}`,
		`{"authToken":"t","expiresIn":"3887999.603985"}`, `{"authToken":"\ud800","authTokenExpiresIn":1e18}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_ = readCode(body)
		g, err := readToken(exchange.OpSignIn, response{body, time.Now()})
		if err != nil {
			if g != nil {
				t.Error("a token with an error")
			}
			_ = testutil.As[*exchange.ResponseError](t, err)
			return
		}
		if g == nil {
			return
		}
		var got struct {
			AuthToken                                            *string
			UID, RefreshToken                                    *string
			AuthTokenExpiresIn, RefreshTokenExpiresIn, ExpiresIn *uint64
		}
		if err := json.Unmarshal([]byte(jsonOf(g)), &got); err != nil {
			t.Fatalf("%q: %v", jsonOf(g), err)
		}
		if got.AuthToken == nil || *got.AuthToken == "" {
			t.Error("a token without a token")
		}
		if got.UID == nil || got.RefreshToken == nil || got.AuthTokenExpiresIn == nil ||
			got.RefreshTokenExpiresIn == nil || got.ExpiresIn == nil {
			t.Errorf("a member is missing: %s", jsonOf(g))
		}
	})
}
