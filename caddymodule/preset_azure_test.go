package caddymodule_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"testing"
)

// TestPresetAzureClaims checks the claims that may contain an address.
func TestPresetAzureClaims(t *testing.T) {
	const email = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"
	const upn = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
	p := headerPresets[slices.IndexFunc(headerPresets, func(p headerPreset) bool { return p.name == "azure_easy_auth" })]
	p.eachSetup(t, func(t *testing.T, b presetSite) {
		by := "aad"
		sendClaims := func(claims ...any) {
			principal := base64.StdEncoding.EncodeToString(document(map[string]any{"auth_typ": by, "claims": claims}))
			b.setResponse(200, http.Header{p.email: {principal}, "X-Ms-Client-Principal-Name": {"also@x.example"}})
		}
		for _, typ := range []string{"email", email, "https://other.example/claims/emailaddress", "emails", "preferred_username", "upn", upn} {
			sendClaims(claim("roles", "a"), claim(typ, "ada@x.example"))
			b.wantTokenOf(t, "ada@x.example", path)
			sendClaims(claim(typ, "ada@x.example"), claim(typ, "ada@x.example"), claim(typ, ""))
			b.wantTokenOf(t, "ada@x.example", path)
			sendClaims(claim(typ, "ada@x.example"), claim(typ, "bob@x.example"))
			code := "identity_invalid"
			if typ == "emails" {
				code = "identity_ambiguous"
			}
			b.wantRejection(t, 401, code, path)
		}
		// The first claim in this order is used. The next one is not used if it is
		// invalid.
		order := []any{claim("email", "1@x.example"), claim(email, "2@x.example"), claim("emails", "3@x.example"), claim("preferred_username", "4@x.example"), claim("upn", "5@x.example"), claim(upn, "6@x.example")}
		for n := range order {
			later := slices.Clone(order[n:])
			slices.Reverse(later)
			sendClaims(later...)
			b.wantTokenOf(t, fmt.Sprintf("%d@x.example", n+1), path)
			sendClaims(append(later, claim("email", ""))...)
			b.wantTokenOf(t, fmt.Sprintf("%d@x.example", n+1), path)
		}
		for _, guest := range []string{"x_mail.example#EXT#@tenant.x.example", "live.com#x@mail.x.example"} {
			for _, typ := range []string{"preferred_username", "upn", upn} {
				sendClaims(claim(typ, guest))
				b.wantRejection(t, 401, "identity_invalid", path)
			}
		}
		// Users of other providers may choose their login name.
		by = "google"
		sendClaims(order[3:]...)
		b.wantRejection(t, 401, "identity_missing", path)
		by = "aad"
		sendClaims(claim("email", "ada"), claim("upn", "3@x.example"))
		b.wantRejection(t, 401, "identity_invalid", path)
		sendClaims(claim(email, "1@x.example"), claim("https://other.example/claims/emailaddress", "2@x.example"))
		b.wantRejection(t, 401, "identity_invalid", path)
		sendClaims(claim("email", "ada@x.example"), claim("email_verified", "false"))
		b.wantRejection(t, 403, "email_unverified", path)
		// Claims with similar names are not read.
		sendClaims(claim("Email", "ada@x.example"), claim("emailaddress", "ada@x.example"), claim("claims/emailaddress", "ada@x.example"),
			claim("http://x.example/emailaddress", "ada@x.example"), claim("email ", "ada@x.example"), claim("x/claims/emailaddress/y", "ada@x.example"), claim("", "ada@x.example"))
		b.wantRejection(t, 401, "identity_missing", path)
		b.setResponse(200, http.Header{p.email: {base64.StdEncoding.EncodeToString([]byte(`{"email":"ada@x.example","claims":{"email":"ada@x.example"}}`))}})
		b.wantRejection(t, 401, "identity_missing", path)
		b.notLogged(t, "@x.example")
	})
}
