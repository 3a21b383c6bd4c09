package identity_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// This file defines a second time what the presets read, from the documentation of the
// layers and with independent code, so that FuzzIdentity can determine the expected
// user of a request.

// reading is a source of one value of a user, and the function that reads the value,
// according to the documentation of the layer.
type reading struct {
	from string // a header, or a placeholder in braces
	read func(text string) (value any, ok bool)
}

// testConfig is one config with its expected behavior.
type testConfig struct {
	name string
	*identity.Identifier
	email, id reading
	byID      bool // users are identified by their id
	names     []reading
	verified  reading
	denies    reading // says whether the address is verified, and only a no counts
	domain    string  // the only allowed domain; empty: any

	mode   identity.TrustMode
	any    bool // headers are accepted from any peer, because they are signed
	ranges bool // ranges of trusted peers are configured; otherwise the server's trusted_proxies
	// cookie is the cookie that holds the assertion. The header Cookie is read then.
	cookie string
	// upstream is the auth server that the last proxy must have chosen; empty: any.
	upstream string
	logins   bool
	// demands says that the email reading is only of verified addresses, and that a user
	// without one is rejected.
	demands bool
}

const (
	authServer = "auth.example:9091"
	within     = "10.0.0.0/8" // the range of trusted peers
)

// documented are the sources of the presets without the block verify.
var documented = map[string]testConfig{
	"authelia":  {email: bare("Remote-Email"), id: bare("Remote-User"), names: []reading{bare("Remote-Name")}},
	"authentik": {email: bare("X-Authentik-Email"), id: bare("X-Authentik-Uid"), names: []reading{bare("X-Authentik-Name")}},
	"azure_easy_auth": {
		email: reading{"X-Ms-Client-Principal", inClaims("email", "/claims/emailaddress", "emails", "aad:preferred_username", "aad:upn", "aad:/claims/upn")}, id: bare("X-Ms-Client-Principal-Id"),
		names: []reading{
			{"X-Ms-Client-Principal", inClaims("name")}, {"X-Ms-Client-Principal", inClaims("/claims/givenname", "given_name")},
			{"X-Ms-Client-Principal", inClaims("/claims/surname", "family_name")},
		},
	},
	"basic_auth":        {email: bare("{http.auth.user.id}"), id: bare("{http.auth.user.id}")},
	"caddy_jwt":         {email: bare("{http.auth.user.email}"), id: bare("{http.auth.user.id}"), names: []reading{bare("{http.auth.user.name}"), bare("{http.auth.user.given_name}"), bare("{http.auth.user.family_name}")}, denies: bare("{http.auth.user.email_verified}")},
	"caddy_security":    {email: bare("{http.auth.user.email}"), id: bare("{http.auth.user.sub}"), names: []reading{bare("{http.auth.user.name}")}},
	"caddy_tailscale":   {email: bare("{http.auth.user.tailscale_user}"), id: bare("{http.auth.user.id}"), names: []reading{bare("{http.auth.user.tailscale_name}")}, logins: true},
	"cloudflare_access": {email: bare("Cf-Access-Authenticated-User-Email"), id: reading{"Cf-Access-Jwt-Assertion", inDocument("sub")}},
	"gatekeeper":        {email: bare("X-Auth-Email"), id: bare("X-Auth-Subject"), names: []reading{bare("X-Auth-Name"), bare("X-Auth-Given-Name"), bare("X-Auth-Family-Name")}, denies: bare("X-Auth-Email-Verified")},
	"gcp_api_gateway": {
		email: reading{"X-Apigateway-Api-Userinfo", inDocument("email")}, id: reading{"X-Apigateway-Api-Userinfo", inDocument("sub")},
		names: []reading{{"X-Apigateway-Api-Userinfo", inDocument("name")}, {"X-Apigateway-Api-Userinfo", inDocument("given_name")}, {"X-Apigateway-Api-Userinfo", inDocument("family_name")}},
	},
	"google_iap":            {email: reading{"X-Goog-Authenticated-User-Email", afterLastColon(asIs)}, id: reading{"X-Goog-Authenticated-User-Id", afterLastColon(asIs)}},
	"istio":                 {email: bare("X-Jwt-Claim-Email"), id: bare("X-Jwt-Claim-Sub"), names: []reading{bare("X-Jwt-Claim-Name"), bare("X-Jwt-Claim-Given-Name"), bare("X-Jwt-Claim-Family-Name")}},
	"oathkeeper":            {email: bare("X-User-Email"), id: bare("X-User"), names: []reading{bare("X-User-Name"), bare("X-User-Given-Name"), bare("X-User-Family-Name")}, denies: bare("X-User-Email-Verified")},
	"oauth2_proxy":          {email: bare("X-Auth-Request-Email"), id: bare("X-Auth-Request-User"), names: []reading{bare("X-Auth-Request-Given-Name"), bare("X-Auth-Request-Family-Name")}, denies: bare("X-Auth-Request-Email-Verified")},
	"oauth2_proxy_upstream": {email: bare("X-Forwarded-Email"), id: bare("X-Forwarded-User"), names: []reading{bare("X-Forwarded-Given-Name"), bare("X-Forwarded-Family-Name")}, denies: bare("X-Forwarded-Email-Verified")},
	"pomerium":              {email: bare("X-Pomerium-Claim-Email"), id: bare("X-Pomerium-Claim-Sub"), names: []reading{bare("X-Pomerium-Claim-Name"), bare("X-Pomerium-Claim-Given-Name"), bare("X-Pomerium-Claim-Family-Name")}},
	"tailscale":             {email: bare("Tailscale-User-Login"), id: bare("Tailscale-User-Login"), names: []reading{bare("Tailscale-User-Name")}, logins: true},
	"vouch":                 {email: bare("X-Vouch-Idp-Claims-Email"), id: bare("X-Vouch-Idp-Claims-Sub"), names: []reading{bare("X-Vouch-Idp-Claims-Name"), bare("X-Vouch-Idp-Claims-Given-Name"), bare("X-Vouch-Idp-Claims-Family-Name")}, denies: bare("X-Vouch-Idp-Claims-Email-Verified")},
}

// documentedTokens are the sources with the block verify.
var documentedTokens = map[string]testConfig{
	"aws_alb":           {email: reading{"X-Amzn-Oidc-Data", inToken("email")}, id: reading{"X-Amzn-Oidc-Data", inToken("sub")}, names: namesIn("X-Amzn-Oidc-Data")},
	"cloudflare_access": {email: reading{"Cf-Access-Jwt-Assertion", inToken("email")}, id: reading{"Cf-Access-Jwt-Assertion", inToken("sub")}},
	"google_iap":        {email: reading{"X-Goog-Iap-Jwt-Assertion", afterLastColon(inToken("email"))}, id: reading{"X-Goog-Iap-Jwt-Assertion", afterLastColon(inToken("sub"))}},
	"oathkeeper":        {email: reading{"Authorization", inToken("email")}, id: reading{"Authorization", inToken("sub")}, names: namesIn("Authorization")},
	"pomerium":          {email: reading{"X-Pomerium-Jwt-Assertion", inToken("email")}, id: reading{"X-Pomerium-Jwt-Assertion", inToken("sub")}, names: namesIn("X-Pomerium-Jwt-Assertion")},
	"teleport":          {email: reading{"Teleport-Jwt-Assertion", inToken("username", "sub")}, id: reading{"Teleport-Jwt-Assertion", inToken("sub")}},
}

// bare reads the whole value.
func bare(from string) reading { return reading{from, asIs} }

func namesIn(header string) []reading {
	return []reading{{header, inToken("name")}, {header, inToken("given_name")}, {header, inToken("family_name")}}
}

// asIs returns the text unchanged.
func asIs(text string) (any, bool) { return text, true }

// afterLastColon reads a value after the last colon.
func afterLastColon(read func(string) (any, bool)) func(string) (any, bool) {
	return func(text string) (any, bool) {
		value, ok := read(text)
		if s, isText := oneText(value); isText {
			value = s[strings.LastIndexByte(s, ':')+1:]
		}
		return value, ok
	}
}

// inDocument reads a value in a document, at the first path that has one.
func inDocument(paths ...string) func(string) (any, bool) {
	return func(text string) (any, bool) {
		doc, ok := readDocument(text)
		return firstAt(doc, paths), ok
	}
}

// inClaims reads a value in the list of claims that Azure sends. The types after "aad:"
// are logins of Microsoft Entra ID, and may not contain a #.
func inClaims(types ...string) func(string) (any, bool) {
	return func(text string) (any, bool) {
		doc, ok := readDocument(text)
		if !ok {
			return nil, false
		}
		root, _ := doc.(map[string]any)
		list, _ := root["claims"].([]any)
		for _, typ := range types {
			typ, login := strings.CutPrefix(typ, "aad:")
			if login && root["auth_typ"] != "aad" {
				continue
			}
			var found []any
			for _, c := range list {
				c, _ := c.(map[string]any)
				name, _ := c["typ"].(string)
				if name != typ && (!strings.HasPrefix(typ, "/") || !strings.HasSuffix(name, typ)) {
					continue
				}
				if text, isText := c["val"].(string); c["val"] != nil && (!isText || strings.TrimSpace(text) != "" && !slices.Contains(found, any(text))) {
					found = append(found, c["val"])
				}
			}
			switch {
			case len(found) > 1:
				return found, true
			case found != nil && login && strings.Contains(fmt.Sprint(found[0]), "#"):
				return nil, false
			case found != nil && !isEmptyList(found[0]):
				return found[0], true
			}
		}
		return nil, true
	}
}

// isEmptyList reports whether v is a list without a text in it.
func isEmptyList(v any) bool {
	list, ok := v.([]any)
	if !ok || len(list) > 1 {
		return false
	}
	return len(list) == 0 || list[0] == nil || strings.TrimSpace(fmt.Sprint(list[0])) == ""
}

// inToken reads a value in a token that fakeVerifier accepts.
func inToken(paths ...string) func(string) (any, bool) {
	return func(text string) (any, bool) {
		text, ok := strings.CutPrefix(text, goodToken)
		if !ok {
			return nil, false
		}
		doc, ok := readJSON(text)
		return firstAt(doc, paths), ok
	}
}

// firstAt returns the value at the first path that has one. A list with more than one
// element has none, because any of its elements may be the user.
func firstAt(doc any, paths []string) any {
	for _, path := range paths {
		v := doc
		for step := range strings.SplitSeq(path, ".") {
			switch w := v.(type) {
			case map[string]any:
				v = w[step]
			case []any:
				i, err := strconv.Atoi(step)
				if v = nil; err == nil && i == 0 && len(w) == 1 {
					v = w[i]
				}
			default:
				v = nil
			}
		}
		if text, isText := v.(string); v != nil && !isEmptyList(v) && (!isText || strings.TrimSpace(text) != "") {
			return v
		}
	}
	return nil
}

// readDocument parses JSON, base64 of JSON, or the payload of a token.
func readDocument(text string) (any, bool) {
	text = strings.TrimSpace(text)
	if doc, ok := readJSON(text); ok {
		return doc, ok
	}
	b, err := decodeBase64(text)
	if err != nil {
		return nil, false
	}
	return readJSON(string(b))
}

// decodeBase64 decodes base64 in the standard or URL alphabet, or the payload of a
// token.
func decodeBase64(text string) ([]byte, error) {
	if strings.Count(text, ".") == 2 {
		text = strings.Split(text, ".")[1]
	}
	return base64.RawStdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "=")))
}

func readJSON(text string) (doc any, ok bool) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	return doc, dec.Decode(&doc) == nil && !dec.More()
}

// goodToken is the prefix of the tokens that fakeVerifier accepts.
const goodToken = "good:"

// fakeVerifier is a Verifier that accepts every token with the prefix goodToken.
type fakeVerifier struct{}

func (fakeVerifier) Verify(_ context.Context, token, _ string) (claims.Document, error) {
	text, ok := strings.CutPrefix(token, goodToken)
	if !ok {
		return claims.Document{}, identity.ErrAssertionSignature
	}
	doc, err := claims.Parse([]byte(text))
	if err != nil || doc.Map() == nil {
		return claims.Document{}, identity.ErrAssertionMalformed
	}
	return doc, nil
}

// inCookie reads a value in the token of a cookie that encodedVerifier accepts.
func inCookie(name, path string) func(string) (any, bool) {
	return func(text string) (any, bool) {
		var found []string
		for _, pair := range strings.Split(text, ";") {
			if key, value, _ := strings.Cut(pair, "="); strings.TrimSpace(key) == name {
				found = append(found, strings.Trim(value, " \t"))
			}
		}
		if len(found) != 1 {
			return nil, false
		}
		payload, ok := strings.CutPrefix(found[0], "good.")
		payload, signed := strings.CutSuffix(payload, ".good")
		b, err := base64.RawURLEncoding.DecodeString(payload)
		if !ok || !signed || err != nil {
			return nil, false
		}
		doc, ok := readJSON(string(b))
		return firstAt(doc, []string{path}), ok
	}
}

// encodedVerifier is a Verifier that accepts what inCookie reads.
type encodedVerifier struct{}

func (encodedVerifier) Verify(ctx context.Context, token, peer string) (claims.Document, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[0] != "good" || parts[2] != "good" {
		return claims.Document{}, identity.ErrAssertionSignature
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return claims.Document{}, identity.ErrAssertionMalformed
	}
	return fakeVerifier{}.Verify(ctx, goodToken+string(b), peer)
}

// application is a UserinfoClient that returns the content of the session as its
// response.
type application struct{}

func (application) Fetch(_ context.Context, _ string, header http.Header) (claims.Document, error) {
	cookies := header["Cookie"]
	if len(cookies) != 1 {
		return claims.Document{}, identity.ErrNoCredentials
	}
	doc, err := claims.ParseLatin1([]byte(cookies[0]))
	if err != nil {
		return claims.Document{}, identity.ErrUserinfoUnavailable
	}
	return doc, nil
}
