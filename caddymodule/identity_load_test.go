package caddymodule_test

import "testing"

// TestI06_UnderscoresLetThrough checks a Caddy that allows one spelling of a header with
// underscores. Only this spelling is read.
func TestI06_UnderscoresLetThrough(t *testing.T) {
	text := `SITE {
		huma_token {
			HUMA
			identity {
				email OIDC_CLAIM_email
			}
			trust proxies 127.0.0.1
		}
	}`
	d := openEdited(t, text, func(server map[string]any) {
		server["expected_underscore_headers"] = []string{"OIDC_CLAIM_email"}
	})
	right := header("OIDC_CLAIM_email", "a@x.example")
	d.wantTokenOf(t, "a@x.example", path, right)
	d.wantRejection(t, 401, "identity_missing", path, header("OIDC-CLAIM-email", "mallory@evil.example"))
	d.wantRejection(t, 401, "identity_missing", path, header("OIDC.CLAIM.email", "mallory@evil.example"))
	d.wantRejection(t, 401, "identity_missing", path, header("OIDC_CLAIM-email", "mallory@evil.example"))
	d.wantTokenOf(t, "a@x.example", path, right, header("OIDC-CLAIM-email", "mallory@evil.example"), header("OIDC.CLAIM.email", "mallory@evil.example"))
	// Caddy drops a header that occurs twice.
	d.wantRejection(t, 401, "identity_missing", path, right, header("OIDC_CLAIM_email", "mallory@evil.example"))
	d.notLogged(t, "@x.example", "@evil.example")
}
