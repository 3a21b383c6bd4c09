package identity_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// What the presets read is written down here once more, as the documentation
// of the layers has it, with code of its own: so that FuzzIdentity can tell
// from a request whom it is to be taken for.

// reading is where one particular of a user stands, and what it is made of
// there, as the documentation of the layers has it.
type reading struct {
	from string // a header, or a placeholder in braces
	read func(text string) (value any, ok bool)
}

// subject is one config, and what there is to know of it without asking it.
type subject struct {
	name string
	*identity.Identifier
	email, id reading
	byID      bool // a user is who the id says
	names     []reading
	verified  reading
	domain    string // the only one allowed, if any

	mode   identity.TrustMode
	any    bool // headers are believed from anyone, because they are signed
	ranges bool // the trusted peers are listed, or else those of the server
	// upstream is what the last proxy must have asked, if that matters.
	upstream string
	logins   bool
}

const (
	authServer = "auth.example:9091"
	within     = "10.0.0.0/8" // the trusted peers
)

// documented is where the presets find a user without the block verify.
var documented = map[string]subject{
	"authelia":  {email: bare("Remote-Email"), id: bare("Remote-User"), names: []reading{bare("Remote-Name")}},
	"authentik": {email: bare("X-Authentik-Email"), id: bare("X-Authentik-Uid"), names: []reading{bare("X-Authentik-Name")}},
	"azure_easy_auth": {
		email: reading{"X-Ms-Client-Principal", inClaims("email", "preferred_username", "upn", "/claims/emailaddress")}, id: bare("X-Ms-Client-Principal-Id"),
		names: []reading{
			{"X-Ms-Client-Principal", inClaims("name")}, {"X-Ms-Client-Principal", inClaims("/claims/givenname", "given_name")},
			{"X-Ms-Client-Principal", inClaims("/claims/surname", "family_name")},
		},
	},
	"basic_auth":        {email: bare("{http.auth.user.id}"), id: bare("{http.auth.user.id}")},
	"caddy_jwt":         {email: bare("{http.auth.user.email}"), id: bare("{http.auth.user.id}"), names: []reading{bare("{http.auth.user.name}"), bare("{http.auth.user.given_name}"), bare("{http.auth.user.family_name}")}},
	"caddy_security":    {email: bare("{http.auth.user.email}"), id: bare("{http.auth.user.sub}"), names: []reading{bare("{http.auth.user.name}")}},
	"caddy_tailscale":   {email: bare("{http.auth.user.tailscale_user}"), id: bare("{http.auth.user.id}"), names: []reading{bare("{http.auth.user.tailscale_name}")}, logins: true},
	"cloudflare_access": {email: bare("Cf-Access-Authenticated-User-Email"), id: reading{"Cf-Access-Jwt-Assertion", inDocument("sub")}},
	"gatekeeper":        {email: bare("X-Auth-Email"), id: bare("X-Auth-Subject"), names: []reading{bare("X-Auth-Name"), bare("X-Auth-Given-Name"), bare("X-Auth-Family-Name")}},
	"gcp_api_gateway": {
		email: reading{"X-Apigateway-Api-Userinfo", inDocument("email")}, id: reading{"X-Apigateway-Api-Userinfo", inDocument("sub")},
		names: []reading{{"X-Apigateway-Api-Userinfo", inDocument("name")}, {"X-Apigateway-Api-Userinfo", inDocument("given_name")}, {"X-Apigateway-Api-Userinfo", inDocument("family_name")}},
	},
	"google_iap":            {email: reading{"X-Goog-Authenticated-User-Email", behindMark(asIs)}, id: reading{"X-Goog-Authenticated-User-Id", behindMark(asIs)}},
	"istio":                 {email: bare("X-Jwt-Claim-Email"), id: bare("X-Jwt-Claim-Sub"), names: []reading{bare("X-Jwt-Claim-Name"), bare("X-Jwt-Claim-Given-Name"), bare("X-Jwt-Claim-Family-Name")}},
	"oauth2_proxy":          {email: bare("X-Auth-Request-Email"), id: bare("X-Auth-Request-User"), names: []reading{bare("X-Auth-Request-Given-Name"), bare("X-Auth-Request-Family-Name")}},
	"oauth2_proxy_upstream": {email: bare("X-Forwarded-Email"), id: bare("X-Forwarded-User"), names: []reading{bare("X-Forwarded-Given-Name"), bare("X-Forwarded-Family-Name")}},
	"pomerium":              {email: bare("X-Pomerium-Claim-Email"), id: bare("X-Pomerium-Claim-Sub"), names: []reading{bare("X-Pomerium-Claim-Name"), bare("X-Pomerium-Claim-Given-Name"), bare("X-Pomerium-Claim-Family-Name")}},
	"tailscale":             {email: bare("Tailscale-User-Login"), id: bare("Tailscale-User-Login"), names: []reading{bare("Tailscale-User-Name")}, logins: true},
	"vouch":                 {email: bare("X-Vouch-User"), id: bare("X-Vouch-User"), names: []reading{bare("X-Vouch-Idp-Claims-Name"), bare("X-Vouch-Idp-Claims-Given-Name"), bare("X-Vouch-Idp-Claims-Family-Name")}},
}

// documentedTokens is where they find one with it.
var documentedTokens = map[string]subject{
	"aws_alb":           {email: reading{"X-Amzn-Oidc-Data", inToken("email")}, id: reading{"X-Amzn-Oidc-Data", inToken("sub")}, names: namesIn("X-Amzn-Oidc-Data")},
	"cloudflare_access": {email: reading{"Cf-Access-Jwt-Assertion", inToken("email")}, id: reading{"Cf-Access-Jwt-Assertion", inToken("sub")}},
	"google_iap":        {email: reading{"X-Goog-Iap-Jwt-Assertion", behindMark(inToken("email"))}, id: reading{"X-Goog-Iap-Jwt-Assertion", behindMark(inToken("sub"))}},
	"pomerium":          {email: reading{"X-Pomerium-Jwt-Assertion", inToken("email")}, id: reading{"X-Pomerium-Jwt-Assertion", inToken("sub")}, names: namesIn("X-Pomerium-Jwt-Assertion")},
	"teleport":          {email: reading{"Teleport-Jwt-Assertion", inToken("username", "sub")}, id: reading{"Teleport-Jwt-Assertion", inToken("sub")}},
}

// bare is a value that stands there by itself.
func bare(from string) reading { return reading{from, asIs} }

func namesIn(header string) []reading {
	return []reading{{header, inToken("name")}, {header, inToken("given_name")}, {header, inToken("family_name")}}
}

// asIs reads what is no document.
func asIs(text string) (any, bool) { return text, true }

// behindMark is a value behind the last colon.
func behindMark(read func(string) (any, bool)) func(string) (any, bool) {
	return func(written string) (any, bool) {
		value, ok := read(written)
		if text, isText := oneText(value); isText {
			value = text[strings.LastIndexByte(text, ':')+1:]
		}
		return value, ok
	}
}

// inDocument is a value in a document: the first path at which there is one.
func inDocument(paths ...string) func(string) (any, bool) {
	return func(text string) (any, bool) {
		doc, ok := readDocument(text)
		return firstAt(doc, paths), ok
	}
}

// inClaims is a value in the list of claims that Azure writes.
func inClaims(types ...string) func(string) (any, bool) {
	return func(text string) (any, bool) {
		doc, ok := readDocument(text)
		if !ok {
			return nil, false
		}
		root, _ := doc.(map[string]any)
		list, _ := root["claims"].([]any)
		for _, typ := range types {
			var found []any
			for _, c := range list {
				c, _ := c.(map[string]any)
				if name, _ := c["typ"].(string); name == typ || strings.HasPrefix(typ, "/") && strings.HasSuffix(name, typ) {
					found = append(found, c["val"])
				}
			}
			switch {
			case len(found) > 1:
				return found, true
			case found != nil && found[0] != nil:
				return found[0], true
			}
		}
		return nil, true
	}
}

// inToken is a value in a token that the verifier of this test believes.
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

// firstAt is what stands at the first path where anything does. In a list of
// several nothing does: any of them may be the caller.
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
		if v != nil {
			return v
		}
	}
	return nil
}

// readDocument reads JSON, base64 of it, or the payload of a token.
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

// decodeBase64 decodes either alphabet, or the payload of a token.
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

// goodToken is how a token begins that the verifier of this test believes.
const goodToken = "good:"

// believer is a verifier that believes tokens which begin like that.
type believer struct{}

func (believer) Verify(_ context.Context, token string) (claims.Document, error) {
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

// application is an application whose sessions are what it says of them.
type application struct{}

func (application) Ask(_ context.Context, _ string, header http.Header) (claims.Document, error) {
	cookies := header["Cookie"]
	if len(cookies) != 1 {
		return claims.Document{}, identity.ErrNoSession
	}
	doc, err := claims.Parse([]byte(cookies[0]))
	if err != nil {
		return claims.Document{}, identity.ErrUserinfoUnavailable
	}
	return doc, nil
}
