package assertion

import (
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// TestB8_Require tests one requirement with several tokens.
func TestB8_Require(t *testing.T) {
	keys := keysOf(t, Source{URL: newKeyServer(t, jwk("k1", p256())).URL}, nil)
	for _, test := range []struct {
		claim   string
		values  []string
		payload string // more claims
		met     bool
	}{
		{"azp", []string{"clinic-app"}, `"azp":"clinic-app"`, true},
		{"azp", []string{"other", "clinic-app"}, `"azp":"clinic-app"`, true},
		{"azp", []string{"clinic-app"}, `"azp":["x","clinic-app"]`, true},
		{"azp", []string{"clinic-app"}, `"azp":"clinic-app2"`, false},
		{"azp", []string{"clinic-app"}, `"azp":"Clinic-App"`, false},
		{"azp", []string{"clinic-app"}, `"AZP":"clinic-app"`, false},
		{"azp", []string{"clinic-app"}, `"azp":" clinic-app"`, false},
		{"azp", []string{"clinic-app"}, `"x":1`, false},
		{"azp", []string{"null"}, `"azp":null`, false},
		{"azp", []string{"clinic-app"}, `"azp":[]`, false},
		{"azp", []string{"clinic-app"}, `"azp":[["clinic-app"]]`, false},
		{"azp", []string{"clinic-app"}, `"azp":{"clinic-app":true}`, false},
		{"azp", []string{"{}"}, `"azp":{}`, false},
		{"azp", []string{"x"}, `"azp":""`, false},
		{"realm_access.roles", []string{"patient"}, `"realm_access":{"roles":["staff","patient"]}`, true},
		{"realm_access.roles", []string{"patient"}, `"realm_access":{"roles":["staff"]},"roles":["patient"]`, false},
		{"realm_access.roles.1", []string{"patient"}, `"realm_access":{"roles":["staff","patient"]}`, true},
		{`https://clinic\.example/tenant`, []string{"a"}, `"https://clinic.example/tenant":"a"`, true},
		{"level", []string{"2"}, `"level":2`, true},
		{"level", []string{"2"}, `"level":"2"`, true},
		{"level", []string{"2"}, `"level":[1,2]`, true},
		{"level", []string{"2"}, `"level":2.0`, false},
		{"level", []string{"2.0"}, `"level":2.0`, true},
		{"level", []string{"12345678901234567890"}, `"level":12345678901234567890`, true},
		{"ok", []string{"true"}, `"ok":true`, true},
		{"ok", []string{"true"}, `"ok":"true"`, true},
		{"ok", []string{"true"}, `"ok":false`, false},
		{"ok", []string{"true"}, `"ok":1`, false},
		{"ok", []string{"false"}, `"ok":false`, true},
		{"ok", []string{"false"}, `"x":1`, false},
	} {
		v := verifierOf(t, keys, func(c *Config) { c.Require = []presets.Claim{claimOf(test.claim, test.values...)} })
		payload := strings.TrimSuffix(string(asJSON(goodClaims(nil))), "}") + "," + test.payload + "}"
		token := signText(jwt.SigningMethodES256, p256(), `{"alg":"ES256","kid":"k1"}`, payload)
		if test.met {
			accept(t, v, token)
		} else {
			reject(t, v, token, identity.ErrAssertionRequirement)
		}
	}
	if !identity.ErrAssertionRequirement.IsInvalidToken() || identity.ErrAssertionRequirement.Reason != identity.ReasonInvalid {
		t.Error("it is not an invalid token")
	}
}

// TestB8_All checks that all requirements must hold, in addition to all other checks.
func TestB8_All(t *testing.T) {
	v := verifierOf(t, keysOf(t, Source{URL: newKeyServer(t, jwk("k1", p256())).URL}, nil), func(c *Config) {
		c.Require = []presets.Claim{claimOf("groups", "a", "b"), claimOf("groups", "c"), claimOf("azp", "x")}
	})
	accept(t, v, es256(object{"groups": []string{"c", "b"}, "azp": "x"}))
	for _, changes := range []object{
		{"groups": []string{"a", "b"}, "azp": "x"}, {"groups": "c", "azp": "x"}, {"groups": []string{"a", "c"}}, {},
	} {
		reject(t, v, es256(changes), identity.ErrAssertionRequirement)
	}
	met := object{"groups": []string{"a", "c"}, "azp": "x"}
	reject(t, v, es256(changed(met, object{"aud": "elsewhere"})), identity.ErrAssertionAudience)
	reject(t, v, es256(changed(met, object{"iss": "elsewhere"})), identity.ErrAssertionIssuer)
	reject(t, v, es256(changed(met, object{"exp": 1})), identity.ErrAssertionExpired)

	// The requirements of a load balancer's token are about its payload.
	aws, _ := awsVerifier(t, func(c *Config) { c.Require = []presets.Claim{claimOf("hd", "x.example")} })
	accept(t, aws, awsToken(nil, object{"hd": "x.example"}))
	reject(t, aws, awsToken(object{"hd": "x.example"}, nil), identity.ErrAssertionRequirement)
}

// TestB8_NoAudience checks that the claim of the client replaces the audience, with any
// audience in the token.
func TestB8_NoAudience(t *testing.T) {
	keys := keysOf(t, Source{URL: newKeyServer(t, jwk("k1", p256())).URL}, nil)
	for _, claim := range []string{"azp", "client_id", "cid", "appid"} {
		v := verifierOf(t, keys, func(c *Config) { c.Audience, c.Require = nil, []presets.Claim{claimOf(claim, "clinic-app")} })
		for _, aud := range []any{"account", nil, []string{"a", "b"}, 1} {
			accept(t, v, es256(object{"aud": aud, claim: "clinic-app"}))
			reject(t, v, es256(object{"aud": aud, claim: "another-app"}), identity.ErrAssertionRequirement)
			reject(t, v, es256(object{"aud": aud}), identity.ErrAssertionRequirement)
		}
	}
}

func TestRequirementErrors(t *testing.T) {
	keys := keysOf(t, Source{URL: "https://x"}, nil)
	for _, test := range []struct {
		r    presets.Claim
		want string
	}{
		{claimOf("", "x"), "must have a claim"},
		{claimOf("a..b", "x"), `the path "a..b"`},
		{claimOf(`a\b`, "x"), "backslash"},
		{claimOf("azp"), "azp must have at least one value"},
		{claimOf("azp", "a", ""), "azp must not have an empty value"},
	} {
		v, err := New(Config{Keys: keys, Issuer: issuer, Audience: []string{audience}, Require: []presets.Claim{test.r}})
		if v != nil || err == nil || !strings.HasPrefix(err.Error(), "require: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: got %v", test.r, err)
		}
	}
}
