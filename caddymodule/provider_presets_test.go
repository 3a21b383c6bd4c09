package caddymodule_test

import (
	"crypto"
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// exampleOf returns the example Caddyfile of a preset.
func exampleOf(t testing.TB, preset string) string {
	t.Helper()
	return string(testutil.File(t, filepath.Join("..", "testdata", "presets", preset+".caddyfile")))
}

// identityOf returns the option identity in the example of a preset, with the keys of a
// test.
func identityOf(t testing.TB, preset, keys string) string {
	t.Helper()
	_, text, ok := strings.Cut(exampleOf(t, preset), "\t\tidentity "+preset+" {\n")
	text, _, closed := strings.Cut(text, "\n\t\t}\n")
	if !ok || !closed {
		t.Fatalf("no identity in the example of %s", preset)
	}
	if before, after, ok := strings.Cut(text, "jwks http://oathkeeper:4456/.well-known/jwks.json"); ok {
		text = before + "jwks " + keys + after
	} else {
		text += "\njwks " + keys
	}
	return "identity " + preset + " {\n" + text + "\n}\n"
}

// now returns the time claims of a token.
func (p providerToken) now() map[string]any {
	now := time.Now()
	return map[string]any{"iat": now.Unix(), "exp": now.Add(p.lifetime).Unix()}
}

// with returns the token with changed claims; nil removes a claim.
func (p providerToken) with(changes map[string]any) string {
	claims := replaceMembers(replaceMembers(p.claims, p.now()), changes)
	key, kid := p.key()
	return p.write(p.method, key, map[string]any{"kid": kid}, claims)
}

// key returns the provider's key and its ID.
func (p providerToken) key() (crypto.Signer, string) {
	if p.method == jwt.SigningMethodES256 {
		return layerP256(), kidEC
	}
	return layerRSA(), kidRSA
}

// write signs claims. header holds members of the JOSE header that are added to those of
// p.
func (p providerToken) write(method jwt.SigningMethod, key any, header, claims map[string]any) string {
	t := jwt.NewWithClaims(method, jwt.MapClaims(claims))
	delete(t.Header, "typ")
	maps.Copy(t.Header, p.header)
	maps.Copy(t.Header, header)
	text, err := t.SignedString(key)
	if err != nil {
		panic(err)
	}
	return text
}

// wrongTokens returns tokens with claims that every preset rejects, and those in p.wrong.
func (p providerToken) wrongTokens() map[string]wrongToken {
	all := map[string]wrongToken{
		"expired":         invalid(map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}),
		"without an end":  invalid(map[string]any{"exp": nil}),
		"not valid yet":   invalid(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}),
		"no issuer":       invalid(map[string]any{"iss": nil}),
		"a user's issuer": invalid(map[string]any{"iss": "https://evil.example"}),
	}
	if p.verified != "" {
		for name, value := range map[string]any{
			"unverified": false, "unverified, text": "false", "unverified, number": 0, "a word": "verified", "a time": "2026-01-01T00:00:00Z", "a list": []any{true, false}, "an object": map[string]any{"value": true},
		} {
			all[name] = notVerified(map[string]any{p.verified: value})
		}
		if p.preset != "entra" { // the domain is allowed
			all["no statement"] = notVerified(map[string]any{p.verified: nil})
			all["1"] = notVerified(map[string]any{p.verified: 1})
		}
		if p.preset == "oathkeeper" { // the example has its own source for verified, which accepts any affirmative value
			delete(all, "a time")
			delete(all, "1")
		}
	}
	maps.Copy(all, p.wrong)
	return all
}

// TestProviderTokens checks that each provider's own token identifies the user, and that
// other tokens do not, with the example of the provider's preset.
func TestProviderTokens(t *testing.T) {
	keys := serveKeys(t, layerP256(), layerRSA())
	for _, row := range presets.All() {
		if row.Provider != nil {
			tokenOfProvider(t, row.Name)
		}
	}
	for _, p := range providerTokens {
		t.Run(p.preset, func(t *testing.T) {
			d := open(t, "SITE {\nhuma_token {\nHUMA\n"+identityOf(t, p.preset, keys)+"\n}\n}")
			bearer := func(token string) func(*http.Request) { return header("Authorization", "Bearer "+token) }
			good := p.with(nil)
			d.wantTokenOf(t, adaAddress, path, bearer(good))
			d.wantNames(t, adaAddress, p.first, p.last)
			for name, changes := range p.right {
				t.Run(name, func(t *testing.T) { d.wantTokenOf(t, adaAddress, path, bearer(p.with(changes))) })
			}
			for name, wrong := range p.wrongTokens() {
				t.Run(name, func(t *testing.T) { d.wantRejection(t, wrong.status, wrong.code, path, bearer(p.with(wrong.claims))) })
			}
			if p.verified != "" {
				d.wantTokenOf(t, adaAddress, path, bearer(p.with(map[string]any{p.verified: "true"})))
			}

			claims := replaceMembers(p.claims, p.now())
			_, kid := p.key()
			d.wantRejection(t, 401, "identity_invalid", path, bearer(p.write(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, claims)))
			d.wantRejection(t, 401, "identity_invalid", path, bearer(p.write(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, map[string]any{"alg": p.method.Alg(), "kid": kid}, claims)))
			d.wantRejection(t, 401, "identity_invalid", path, bearer(p.write(jwt.SigningMethodHS256, []byte("secret"), map[string]any{"kid": kid}, claims)))
			d.wantRejection(t, 401, "identity_invalid", path, bearer(p.write(jwt.SigningMethodRS256, otherRSA(), map[string]any{"kid": kidRSA}, claims)))
			d.wantRejection(t, 401, "identity_invalid", path, bearer(strings.Join(strings.Split(good, ".")[:2], ".")+"."))
			d.wantRejection(t, 401, "identity_invalid", path, bearer("opaque-token"))
			d.wantRejection(t, 401, "identity_missing", path)
			d.wantRejection(t, 401, "identity_ambiguous", path, bearer(good), bearer(good))
			for _, other := range providerTokens {
				if other.preset != p.preset {
					d.wantRejection(t, 401, "identity_invalid", path, bearer(other.with(nil)))
				}
			}
			d.notLogged(t, "@clinic.example", "@evil.example", "@other.example", "eyJ", "Zo")
		})
	}
}

// TestProviderIDs checks that human_api_token identifies users by the provider's ID, and
// also requires a verified address.
func TestProviderIDs(t *testing.T) {
	keys := serveKeys(t, layerP256(), layerRSA())
	for _, p := range providerTokens {
		t.Run(p.preset, func(t *testing.T) {
			huma := newHuma(t, sandbox.Config{})
			s := serve(t, "SITE {\nhuman_api_token {\n"+humanAPIToken.credentials(huma)+identityOf(t, p.preset, keys)+"}\n}")
			request := func(changes map[string]any) *response {
				return s.request("GET", humanAPIToken.path, header("Authorization", "Bearer "+p.with(changes)))
			}
			humanAPIToken.token(t, request(nil))
			if calls := huma.Calls().Calls; len(calls) != 1 || calls[0].ClientUserID != p.id {
				t.Errorf("calls %+v, want one for %s", calls, p.id)
			}
			if p.verified != "" {
				request(map[string]any{p.verified: false}).problem(t, 403, "email_unverified")
				request(map[string]any{p.verified: nil, "email": nil}).problem(t, 401, "identity_missing")
			}
		})
	}
}

// TestDerivedKeys checks that presets with a custom issuer fetch the keys from that
// issuer, also with the option ca.
func TestDerivedKeys(t *testing.T) {
	for preset, at := range map[string]struct{ issuer, keys string }{
		"keycloak": {"/realms/patients", "/realms/patients/protocol/openid-connect/certs"},
		"zitadel":  {"", "/oauth/v2/keys"},
		"supabase": {"/auth/v1", "/auth/v1/.well-known/jwks.json"},
		"cognito":  {"/cn-north-1_AbC123", "/cn-north-1_AbC123/.well-known/jwks.json"},
		"okta":     {"/oauth2/default", "/oauth2/default/v1/keys"},
	} {
		t.Run(preset, func(t *testing.T) {
			p := providerTokens[slices.IndexFunc(providerTokens, func(p providerToken) bool { return p.preset == preset })]
			var issuer string
			srv := testutil.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case at.keys:
					_, _ = w.Write(publicSet(layerP256(), layerRSA()))
				case at.issuer + "/.well-known/openid-configuration":
					_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer, "jwks_uri": strings.TrimSuffix(issuer, at.issuer) + at.keys})
				default:
					w.WriteHeader(http.StatusNotFound)
				}
			}))
			srv.StartTLS()
			issuer = srv.URL + at.issuer
			ca, _ := testutil.WriteCertificate(t.TempDir(), &srv.TLS.Certificates[0])
			identity, _, _ := strings.Cut(identityOf(t, preset, "KEYS"), "\njwks ")
			lines := slices.DeleteFunc(strings.Split(identity, "\n"), func(line string) bool {
				option, _, _ := strings.Cut(strings.TrimSpace(line), " ")
				return slices.Contains([]string{"domain", "project", "user_pool", "issuer"}, option)
			})
			d := open(t, "SITE {\nhuma_token {\nHUMA\n"+strings.Join(lines, "\n")+"\nissuer "+issuer+"\nca "+ca+"\n}\n}\n}")
			d.wantTokenOf(t, adaAddress, path, header("Authorization", "Bearer "+p.with(map[string]any{"iss": issuer})))
			d.wantRejection(t, 401, "identity_invalid", path, header("Authorization", "Bearer "+p.with(nil)))
		})
	}
}
