package cli

import (
	"crypto/elliptic"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestCommandIdentityOfTokens: with verify in userinfo, the command fetches the keys,
// verifies the token and calls the application, as the server does.
func TestCommandIdentityOfTokens(t *testing.T) {
	key := testutil.NewECKey(elliptic.P256())
	var provider *httptest.Server
	provider = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v any
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			v = map[string]string{"issuer": provider.URL, "jwks_uri": provider.URL + "/keys"}
		case "/keys":
			v = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public()}}}
		default:
			v = map[string]string{"sub": "u-1", "email": "alice@x.example"}
		}
		_ = json.NewEncoder(w).Encode(v)
	}))
	defer provider.Close()
	token := func(sub, client string) string {
		claims := jwt.MapClaims{"iss": provider.URL, "azp": client, "sub": sub, "exp": time.Now().Add(time.Hour).Unix()}
		return testutil.Must(jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(key))
	}
	config := func(issuer string) string {
		return testutil.WriteFile(t, "Caddyfile", "http://localhost {\nhuma_token {\nuserinfo "+provider.URL+"/userinfo {\nemail email\nverify {\nissuer "+issuer+"\nrequire azp clinic\n}\ncache 1m\n}\n}\n}\n")
	}
	for _, tt := range []struct {
		config, token string
		parts         []string
	}{
		{config(provider.URL), token("u-1", "clinic"), []string{"email in the application's response", "alice@x.example", "sub in", "u-1", "→ alice@x.example\n"}},
		{config(provider.URL), token("u-1", "another"), []string{"no user: 401 identity_invalid", "option require"}},
		{config(provider.URL), token("u-2", "clinic"), []string{"no user: 401 identity_invalid", "is not the claim sub"}},
		{config(provider.URL + "/"), token("u-1", "clinic"), []string{"note: fetch discovery document: ", "slash at its end", "no user: 503 identity_unavailable"}},
	} {
		out, err := runCommand(t, IdentityCommand(), "--config", tt.config, "-H", "Authorization: Bearer "+tt.token)
		if (err == nil) != strings.Contains(tt.parts[len(tt.parts)-1], "→") {
			t.Errorf("%v: %v", tt.parts, err)
		}
		wantInOrder(t, out, tt.parts...)
	}
	if out, err := runCommand(t, IdentityCommand(), "--config", config("clinic"), "-H", "Authorization: x"); err == nil || !strings.Contains(out, "does not load: issuer: ") {
		t.Errorf("%v: %s", err, out)
	}
}
