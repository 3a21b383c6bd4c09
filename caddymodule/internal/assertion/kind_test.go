package assertion

import (
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// TestKinds checks that a token must have the claims of its kind and none of another
// kind.
func TestKinds(t *testing.T) {
	keys := keysOf(t, Source{URL: newKeyServer(t, jwk("k1", p256())).URL}, nil)
	for _, test := range []struct {
		demand, refuse []presets.Claim
		payload        string // more claims
		want           *identity.Rejection
	}{
		{[]presets.Claim{claimOf("token_use", "id")}, nil, `"token_use":"id"`, nil},
		{[]presets.Claim{claimOf("token_use", "id")}, nil, `"token_use":"access"`, identity.ErrAssertionKind},
		{[]presets.Claim{claimOf("token_use", "id")}, nil, `"x":1`, identity.ErrAssertionKind},
		{[]presets.Claim{claimOf("scp")}, nil, `"scp":"access"`, nil},
		{[]presets.Claim{claimOf("scp")}, nil, `"scp":["access"]`, nil},
		{[]presets.Claim{claimOf("scp")}, nil, `"scp":""`, identity.ErrAssertionKind},
		{[]presets.Claim{claimOf("scp")}, nil, `"scp":null`, identity.ErrAssertionKind},
		{[]presets.Claim{claimOf("scp")}, nil, `"scp":[]`, identity.ErrAssertionKind},
		{[]presets.Claim{claimOf("scp")}, nil, `"x":1`, identity.ErrAssertionKind},
		{nil, []presets.Claim{claimOf("cid")}, `"x":1`, nil},
		{nil, []presets.Claim{claimOf("cid")}, `"cid":null`, nil},
		{nil, []presets.Claim{claimOf("cid")}, `"cid":"app"`, identity.ErrAssertionKind},
		{nil, []presets.Claim{claimOf("cid")}, `"cid":0`, identity.ErrAssertionKind},
		{nil, []presets.Claim{claimOf("is_anonymous", "true")}, `"is_anonymous":false`, nil},
		{nil, []presets.Claim{claimOf("is_anonymous", "true")}, `"is_anonymous":true`, identity.ErrAssertionKind},
		{nil, []presets.Claim{claimOf("is_anonymous", "true")}, `"is_anonymous":"true"`, identity.ErrAssertionKind},
		{nil, []presets.Claim{claimOf("firebase.sign_in_provider", "anonymous")}, `"firebase":{"sign_in_provider":"anonymous"}`, identity.ErrAssertionKind},
		{nil, []presets.Claim{claimOf("firebase.sign_in_provider", "anonymous")}, `"firebase":{"sign_in_provider":"phone"}`, nil},
	} {
		v := verifierOf(t, keys, func(c *Config) { c.Demand, c.Refuse = test.demand, test.refuse })
		payload := strings.TrimSuffix(string(asJSON(goodClaims(nil))), "}") + "," + test.payload + "}"
		token := signText(jwt.SigningMethodES256, p256(), `{"alg":"ES256","kid":"k1"}`, payload)
		if test.want == nil {
			accept(t, v, token)
		} else {
			reject(t, v, token, test.want)
		}
	}
	if !identity.ErrAssertionKind.IsInvalidToken() || identity.ErrAssertionKind.Reason != identity.ReasonInvalid {
		t.Error("it is not an invalid token")
	}
}

// TestWithoutAudience checks that a verifier without an audience rejects every token that
// has one.
func TestWithoutAudience(t *testing.T) {
	keys := keysOf(t, Source{URL: newKeyServer(t, jwk("k1", p256())).URL}, nil)
	v := verifierOf(t, keys, func(c *Config) { c.Audience, c.NoAudience = nil, true })
	accept(t, v, es256(object{"aud": nil}))
	for _, aud := range []any{audience, "", []string{}, []string{"a"}, 0, false, object{}} {
		reject(t, v, es256(object{"aud": aud}), identity.ErrAssertionAudience)
	}
}
