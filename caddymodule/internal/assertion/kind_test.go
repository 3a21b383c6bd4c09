package assertion

import (
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// TestKinds checks that a token must have the claims of its kind and none of another
// kind.
func TestKinds(t *testing.T) {
	keys := keysOf(t, Source{URL: newKeyServer(t, jwk("k1", p256())).URL}, nil)
	for _, test := range []struct {
		demand, refuse []Requirement
		payload        string // more claims
		want           *identity.Rejection
	}{
		{[]Requirement{{"token_use", []string{"id"}}}, nil, `"token_use":"id"`, nil},
		{[]Requirement{{"token_use", []string{"id"}}}, nil, `"token_use":"access"`, identity.ErrAssertionKind},
		{[]Requirement{{"token_use", []string{"id"}}}, nil, `"x":1`, identity.ErrAssertionKind},
		{[]Requirement{{"scp", nil}}, nil, `"scp":"access"`, nil},
		{[]Requirement{{"scp", nil}}, nil, `"scp":["access"]`, nil},
		{[]Requirement{{"scp", nil}}, nil, `"scp":""`, identity.ErrAssertionKind},
		{[]Requirement{{"scp", nil}}, nil, `"scp":null`, identity.ErrAssertionKind},
		{[]Requirement{{"scp", nil}}, nil, `"scp":[]`, identity.ErrAssertionKind},
		{[]Requirement{{"scp", nil}}, nil, `"x":1`, identity.ErrAssertionKind},
		{nil, []Requirement{{"cid", nil}}, `"x":1`, nil},
		{nil, []Requirement{{"cid", nil}}, `"cid":null`, nil},
		{nil, []Requirement{{"cid", nil}}, `"cid":"app"`, identity.ErrAssertionKind},
		{nil, []Requirement{{"cid", nil}}, `"cid":0`, identity.ErrAssertionKind},
		{nil, []Requirement{{"is_anonymous", []string{"true"}}}, `"is_anonymous":false`, nil},
		{nil, []Requirement{{"is_anonymous", []string{"true"}}}, `"is_anonymous":true`, identity.ErrAssertionKind},
		{nil, []Requirement{{"is_anonymous", []string{"true"}}}, `"is_anonymous":"true"`, identity.ErrAssertionKind},
		{nil, []Requirement{{"firebase.sign_in_provider", []string{"anonymous"}}}, `"firebase":{"sign_in_provider":"anonymous"}`, identity.ErrAssertionKind},
		{nil, []Requirement{{"firebase.sign_in_provider", []string{"anonymous"}}}, `"firebase":{"sign_in_provider":"phone"}`, nil},
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
