package presets

import (
	"slices"
	"strings"
	"testing"
)

// TestCompleteProvider checks that issuer, keys and audience are derived as each
// provider's documentation has them.
func TestCompleteProvider(t *testing.T) {
	const tenantID = "11111111-2222-3333-4444-555555555555"
	for name, tt := range map[string]struct {
		preset       string
		config       Verify
		issuer, jwks string
		audience     []string
	}{
		"auth0":             {"auth0", Verify{Domain: "clinic.eu.auth0.com", Audience: []string{"api"}}, "https://clinic.eu.auth0.com/", "https://clinic.eu.auth0.com/.well-known/jwks.json", []string{"api"}},
		"auth0, capitals":   {"auth0", Verify{Domain: "Login.Clinic.Example", Audience: []string{"api"}}, "https://login.clinic.example/", "https://login.clinic.example/.well-known/jwks.json", []string{"api"}},
		"auth0, other keys": {"auth0", Verify{Domain: "clinic.eu.auth0.com", JWKS: "https://k.example", Audience: []string{"api"}}, "https://clinic.eu.auth0.com/", "https://k.example", []string{"api"}},
		"auth0, a client":   {"auth0", Verify{Domain: "clinic.eu.auth0.com", Require: []Claim{{"azp", []string{"clinic"}}}}, "https://clinic.eu.auth0.com/", "https://clinic.eu.auth0.com/.well-known/jwks.json", nil},
		"clerk":             {"clerk", Verify{Domain: "clerk.clinic.example"}, "https://clerk.clinic.example", "https://clerk.clinic.example/.well-known/jwks.json", nil},
		"cognito":           {"cognito", Verify{UserPool: "us-gov-west-1_AbC123", Audience: []string{"c"}}, "https://cognito-idp.us-gov-west-1.amazonaws.com/us-gov-west-1_AbC123", "https://cognito-idp.us-gov-west-1.amazonaws.com/us-gov-west-1_AbC123/.well-known/jwks.json", []string{"c"}},
		"entra":             {"entra", Verify{Tenant: strings.ToUpper("a" + tenantID[1:]), Audience: []string{strings.ToUpper("b" + tenantID[1:])}}, "https://login.microsoftonline.com/a" + tenantID[1:] + "/v2.0", "https://login.microsoftonline.com/a" + tenantID[1:] + "/discovery/v2.0/keys", []string{"b" + tenantID[1:]}},
		"firebase":          {"firebase", Verify{Project: "clinic-1"}, "https://securetoken.google.com/clinic-1", "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com", []string{"clinic-1"}},
		"firebase, old":     {"firebase", Verify{Project: "clinic.example:clinic-1"}, "https://securetoken.google.com/clinic.example:clinic-1", "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com", []string{"clinic.example:clinic-1"}},
		"keycloak":          {"keycloak", Verify{Issuer: "https://sso.example/auth/realms/clinic", Audience: []string{"a"}}, "https://sso.example/auth/realms/clinic", "https://sso.example/auth/realms/clinic/protocol/openid-connect/certs", []string{"a"}},
		"okta":              {"okta", Verify{Domain: "clinic.okta.com", Audience: []string{"c"}}, "https://clinic.okta.com", "", []string{"c"}},
		"okta, a server":    {"okta", Verify{Issuer: "https://clinic.okta.com/oauth2/default", Audience: []string{"c"}}, "https://clinic.okta.com/oauth2/default", "", []string{"c"}},
		"supabase":          {"supabase", Verify{Project: "abcdefghijklmnopqrst"}, "https://abcdefghijklmnopqrst.supabase.co/auth/v1", "https://abcdefghijklmnopqrst.supabase.co/auth/v1/.well-known/jwks.json", []string{"authenticated"}},
		"supabase, domain":  {"supabase", Verify{Domain: "auth.clinic.example"}, "https://auth.clinic.example/auth/v1", "https://auth.clinic.example/auth/v1/.well-known/jwks.json", []string{"authenticated"}},
		"zitadel":           {"zitadel", Verify{Domain: "auth.clinic.example", Audience: []string{"p"}}, "https://auth.clinic.example", "https://auth.clinic.example/oauth/v2/keys", []string{"p"}},
		"zitadel, a port":   {"zitadel", Verify{Issuer: "https://auth.clinic.example:8443", Audience: []string{"p"}}, "https://auth.clinic.example:8443", "https://auth.clinic.example:8443/oauth/v2/keys", []string{"p"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tt.config.Complete(tt.preset)
			if err != nil || got.Issuer != tt.issuer || got.JWKS != tt.jwks || !slices.Equal(got.Audience, tt.audience) {
				t.Errorf("%+v, %v", got, err)
			}
			row, _ := Find(tt.preset)
			if !slices.Equal(got.Algorithms, row.Verify.Algorithms) || len(got.Demand) != len(row.Provider.Demand) || len(got.Refuse) != len(row.Provider.Refuse) {
				t.Errorf("the preset's part: %+v", got)
			}
			if got.NoAudience != (tt.preset == "clerk") {
				t.Errorf("NoAudience %t", got.NoAudience)
			}
		})
	}
	withAudience, err := Verify{Domain: "clerk.clinic.example", Audience: []string{"a"}}.Complete("clerk")
	if err != nil || withAudience.NoAudience {
		t.Errorf("%+v, %v", withAudience, err)
	}
}

// TestAlgorithms checks the signature algorithms that each preset accepts. nil is all that
// use a public key.
func TestAlgorithms(t *testing.T) {
	want := map[string][]string{
		"auth0": {"RS256", "PS256"}, "clerk": {"RS256"}, "cognito": {"RS256"}, "entra": {"RS256"}, "firebase": {"RS256"},
		"keycloak": nil, "okta": {"RS256"}, "supabase": {"ES256", "RS256"}, "zitadel": nil,
		"aws_alb": {"ES256"}, "cloudflare_access": {"RS256"}, "google_iap": {"ES256"}, "oathkeeper": nil, "pomerium": {"ES256"}, "teleport": {"RS256", "ES256"},
	}
	for _, p := range All() {
		if p.Signed.Email.From == "" {
			continue
		}
		if algorithms, ok := want[p.Name]; !ok || !slices.Equal(p.Verify.Algorithms, algorithms) {
			t.Errorf("%s: %v, want %v", p.Name, p.Verify.Algorithms, algorithms)
		}
	}
}

// TestProviderErrors checks that each config has one error, which begins with the option
// and contains the fix.
func TestProviderErrors(t *testing.T) {
	aud, guids := []string{"a"}, []string{"11111111-2222-3333-4444-555555555555"}
	for name, tt := range map[string]struct {
		preset string
		config Verify
		wrong  string
		says   []string
	}{
		"no domain":          {"auth0", Verify{Audience: aud}, "domain: ", []string{`"domain clinic.eu.auth0.com"`}},
		"no audience":        {"auth0", Verify{Domain: "a.auth0.com"}, "audience: ", []string{"is required", "https://api.clinic.example", "another application"}},
		"a URL":              {"auth0", Verify{Domain: "https://a.auth0.com/", Audience: aud}, "domain: ", []string{"without a scheme, a port or a path: a.auth0.com"}},
		"a slash":            {"auth0", Verify{Domain: "a.auth0.com/", Audience: aud}, "domain: ", []string{": a.auth0.com"}},
		"a port":             {"zitadel", Verify{Domain: "a.example:8443", Audience: aud}, "domain: ", []string{": a.example"}},
		"a path":             {"okta", Verify{Domain: "a.okta.com/oauth2/default", Audience: aud}, "domain: ", []string{": a.okta.com"}},
		"a name":             {"auth0", Verify{Domain: "clinic", Audience: aud}, "domain: ", []string{"such as clinic.eu.auth0.com"}},
		"a wildcard":         {"auth0", Verify{Domain: "*.auth0.com", Audience: aud}, "domain: ", []string{"such as"}},
		"a dot at the end":   {"auth0", Verify{Domain: "a.auth0.com.", Audience: aud}, "domain: ", nil},
		"an address":         {"auth0", Verify{Domain: "10.0.0.1", Audience: aud}, "domain: ", nil},
		"a password":         {"auth0", Verify{Domain: "ada:SECRET@a.auth0.com", Audience: aud}, "domain: ", nil},
		"a line":             {"auth0", Verify{Domain: "a.auth0.com\n", Audience: aud}, "domain: ", nil},
		"the issuer of it":   {"auth0", Verify{Issuer: "https://a.auth0.com/", Audience: aud}, "issuer: ", []string{"derives it from domain", `"domain clinic.eu.auth0.com"`}},
		"both":               {"auth0", Verify{Domain: "a.auth0.com", Issuer: "https://a.auth0.com/", Audience: aud}, "issuer: ", []string{"derives it from domain; remove it"}},
		"both of okta":       {"okta", Verify{Domain: "a.okta.com", Issuer: "https://a.okta.com", Audience: aud}, "issuer: ", []string{"cannot be combined with domain"}},
		"a project of auth0": {"auth0", Verify{Domain: "a.auth0.com", Project: "clinic-1", Audience: aud}, "project: ", []string{"presets firebase, supabase only"}},
		"a tenant of auth0":  {"auth0", Verify{Domain: "a.auth0.com", Tenant: "common", Audience: aud}, "tenant: ", []string{"preset entra only"}},
		"a signer":           {"auth0", Verify{Domain: "a.auth0.com", Audience: aud, Signers: aud}, "signer: ", []string{"aws_alb only"}},
		"a domain of a layer": {"google_iap", Verify{Domain: "a.example", Audience: aud}, "domain: ",
			[]string{"presets auth0, clerk, okta, supabase, zitadel only; remove it"}},
		"a pool without one":     {"", Verify{UserPool: "eu-central-1_A", Issuer: "https://a.example", Audience: aud}, "user_pool: ", []string{"preset cognito only"}},
		"no pool":                {"cognito", Verify{Audience: aud}, "user_pool: ", []string{"eu-central-1_AbC123"}},
		"a pool's name":          {"cognito", Verify{UserPool: "patients", Audience: aud}, "user_pool: ", []string{"region, underscore, ID"}},
		"a pool, and a path":     {"cognito", Verify{UserPool: "eu-central-1_A/../x", Audience: aud}, "user_pool: ", nil},
		"a pool of a host":       {"cognito", Verify{UserPool: "evil.example/_A", Audience: aud}, "user_pool: ", nil},
		"a pool in China":        {"cognito", Verify{UserPool: "cn-north-1_AbC123", Audience: aud}, "user_pool: ", []string{"China", `"issuer `}},
		"no project":             {"firebase", Verify{}, "project: ", []string{`"project clinic-1"`}},
		"a project in capitals":  {"firebase", Verify{Project: "Clinic-1"}, "project: ", []string{"such as clinic-1"}},
		"a project's number":     {"firebase", Verify{Project: "123456789"}, "project: ", nil},
		"a project and a path":   {"firebase", Verify{Project: "clinic-1/x"}, "project: ", nil},
		"an audience of it":      {"firebase", Verify{Project: "clinic-1", Audience: aud}, "audience: ", []string{"remove it"}},
		"an audience, supabase":  {"supabase", Verify{Project: "abcdefghijklmnopqrst", Audience: aud}, "audience: ", []string{"requires authenticated; remove it"}},
		"a host as a project":    {"supabase", Verify{Project: "abc.supabase.co"}, "project: ", []string{"first part of its host"}},
		"nothing of supabase":    {"supabase", Verify{}, "project: ", []string{`"domain auth.clinic.example"`, `"issuer https://`}},
		"no tenant":              {"entra", Verify{Audience: guids}, "tenant: ", []string{"aaaabbbb-0000-cccc-1111-dddd2222eeee"}},
		"common":                 {"entra", Verify{Tenant: "common", Audience: guids}, "tenant: ", []string{"must not be common", "any organization"}},
		"organizations":          {"entra", Verify{Tenant: "Organizations", Audience: guids}, "tenant: ", []string{"must not be organizations"}},
		"consumers":              {"entra", Verify{Tenant: "consumers", Audience: guids}, "tenant: ", []string{"personal Microsoft accounts"}},
		"the consumer tenant":    {"entra", Verify{Tenant: "9188040D-6C67-4C5B-B112-36A304B66DAD", Audience: guids}, "tenant: ", []string{"personal Microsoft accounts"}},
		"a tenant's name":        {"entra", Verify{Tenant: "clinic.onmicrosoft.com", Audience: guids}, "tenant: ", []string{"a GUID"}},
		"no realm":               {"keycloak", Verify{Audience: aud}, "issuer: ", []string{"https://sso.clinic.example/realms/patients"}},
		"a realm and a slash":    {"keycloak", Verify{Issuer: "https://sso.example/realms/a/", Audience: aud}, "issuer: ", []string{"must not end with a slash"}},
		"a host of a realm":      {"keycloak", Verify{Issuer: "https://sso.example", Audience: aud}, "issuer: ", []string{"is not the URL of a realm"}},
		"a realm without scheme": {"keycloak", Verify{Issuer: "sso.example/realms/a", Audience: aud}, "issuer: ", []string{"is not a URL"}},
		"a realm and a query":    {"keycloak", Verify{Issuer: "https://sso.example/realms/a?SECRET", Audience: aud}, "issuer: ", []string{"without a user, a query or a fragment"}},
		"a realm's domain":       {"keycloak", Verify{Issuer: "https://sso.example/realms/a", Domain: "sso.example", Audience: aud}, "domain: ", []string{"presets auth0"}},
		"keycloak, no audience":  {"keycloak", Verify{Issuer: "https://sso.example/realms/a"}, "audience: ", []string{"require azp clinic-app"}},
		"zitadel, no audience":   {"zitadel", Verify{Domain: "a.example"}, "audience: ", []string{"project"}},
		"okta, no audience":      {"okta", Verify{Domain: "a.okta.com"}, "audience: ", []string{"client ID"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tt.config.Complete(tt.preset)
			if err == nil {
				t.Fatal("it is complete")
			}
			if text := err.Error(); !strings.HasPrefix(text, tt.wrong) || strings.Contains(text, "\n"+tt.wrong) || strings.Contains(text, "SECRET") {
				t.Errorf("%v", err)
			}
			if strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("more than one error: %v", err)
			}
			for _, part := range tt.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("without %q: %v", part, err)
				}
			}
		})
	}
}

// TestProviderTable checks that each row of a provider has what the other packages rely
// on.
func TestProviderTable(t *testing.T) {
	for _, p := range All() {
		if p.Provider == nil {
			continue
		}
		if p.Sources.Email.From != "" || p.Signed.Email.From != "Authorization" || len(p.Provider.Parameters) == 0 {
			t.Errorf("%s: %+v", p.Name, p)
		}
		if v := p.Signed.Verified; v.From != "" && !v.Strict || v.Optional {
			t.Errorf("%s does not demand a verified address: %+v", p.Name, v)
		}
		if !strings.Contains(p.Note, "verified assumed") {
			t.Errorf("the note of %s does not name the way out", p.Name)
		}
		for _, q := range p.Provider.Parameters {
			value, err := q.check(q.Example)
			if err != nil || value != q.Example {
				t.Errorf("%s: the example of %s: %q, %v", p.Name, q.Option, value, err)
			}
		}
	}
}

// TestOneUser checks that the address and the id that a preset reads belong to one user:
// they are in the same assertion, or come with the same trust.
func TestOneUser(t *testing.T) {
	for _, p := range All() {
		if p.Signed.UserID.From != p.Signed.Email.From {
			t.Errorf("%s: the address is signed in %q and the id in %q", p.Name, p.Signed.Email.From, p.Signed.UserID.From)
		}
		if email := p.Sources.Email.From; email != "" && strings.HasPrefix(email, "{") != strings.HasPrefix(p.Sources.UserID.From, "{") {
			t.Errorf("%s: the address is in %q and the id in %q", p.Name, email, p.Sources.UserID.From)
		}
	}
}
