package identity

import (
	"context"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

const (
	headersNeedTrust = `a client can forge this request header`
	needsVerify      = `requires the block verify: write "identity `
	noAssertion      = `has no supported signed assertion`
	assume           = `verified: is required: a token of supabase does not say`
)

// byIDErrors holds the error of each preset with ByID. Empty: it loads.
var byIDErrors = map[string]struct {
	alone, trusted           string // without verify
	verified, trustedAndMore string // with verify
}{
	"authelia":              {headersNeedTrust, "", noAssertion, noAssertion},
	"authentik":             {headersNeedTrust, "", noAssertion, noAssertion},
	"aws_alb":               {needsVerify, needsVerify, "", ""},
	"azure_easy_auth":       {headersNeedTrust, "", noAssertion, noAssertion},
	"basic_auth":            {"", "", noAssertion, noAssertion},
	"caddy_jwt":             {"", "", noAssertion, noAssertion},
	"caddy_security":        {"", "", noAssertion, noAssertion},
	"caddy_tailscale":       {"", "", noAssertion, noAssertion},
	"cloudflare_access":     {headersNeedTrust, "", "", ""},
	"gatekeeper":            {headersNeedTrust, "", noAssertion, noAssertion},
	"gcp_api_gateway":       {headersNeedTrust, "", noAssertion, noAssertion},
	"google_iap":            {headersNeedTrust, "", "", ""},
	"istio":                 {headersNeedTrust, "", noAssertion, noAssertion},
	"oathkeeper":            {headersNeedTrust, "", "", ""},
	"oauth2_proxy":          {headersNeedTrust, "", noAssertion, noAssertion},
	"oauth2_proxy_upstream": {headersNeedTrust, "", noAssertion, noAssertion},
	"pomerium":              {headersNeedTrust, "", "", ""},
	"tailscale":             {headersNeedTrust, "", noAssertion, noAssertion},
	"teleport":              {needsVerify, needsVerify, "", ""},
	"vouch":                 {headersNeedTrust, "", noAssertion, noAssertion},

	"auth0": {}, "clerk": {}, "cognito": {}, "entra": {}, "firebase": {}, "keycloak": {}, "okta": {}, "zitadel": {},
	"supabase": {assume, assume, assume, assume},
}

func TestByID_Presets(t *testing.T) {
	if len(byIDErrors) != len(presets.All()) {
		t.Errorf("%d presets in byIDErrors, want %d", len(byIDErrors), len(presets.All()))
	}
	trusts := []Trust{trustProxy(), {Mode: TrustForwardAuth}}
	for _, p := range presets.All() {
		t.Run(p.Name, func(t *testing.T) {
			want, ok := byIDErrors[p.Name]
			if !ok {
				t.Fatal("the preset is not in byIDErrors")
			}
			loads := func(c Config, want string) {
				t.Helper()
				c.ByID, c.Preset = true, p.Name
				if c.Verify {
					c.Verifier = payloads{}
				}
				_, err := New(c)
				switch {
				case want != "":
					wantError(t, err, want)
				case err != nil:
					t.Errorf("%+v: %v", c, err)
				}
			}
			loads(Config{}, want.alone)
			loads(Config{Verify: true}, want.verified)
			for _, trust := range trusts {
				loads(Config{Trust: trust}, want.trusted)
				loads(Config{Trust: trust, Verify: true}, want.trustedAndMore)
			}
			// Address and id must come from the same assertion.
			if p.Signed.UserID.From != p.Signed.Email.From {
				t.Errorf("the address is signed in %q and the id in %q", p.Signed.Email.From, p.Signed.UserID.From)
			}
			// An id source in the config needs the same trust as the preset's.
			if email := p.Sources.Email.From; email != "" && strings.HasPrefix(email, "{") != strings.HasPrefix(p.Sources.UserID.From, "{") {
				t.Errorf("the address is in %q and the id in %q", email, p.Sources.UserID.From)
			}
		})
	}
}

// Every preset finds the id in the example of its layer's documentation, with and
// without the address.
func TestByID_PresetsIdentify(t *testing.T) {
	request := func(filled map[string]string) *Request {
		known := placeholders{"http.auth.user.id": ""}
		r := fromProxy()
		for source, value := range filled {
			if name, ok := strings.CutPrefix(source, "{"); ok {
				known[strings.TrimSuffix(name, "}")] = value
				continue
			}
			r.Header.Set(source, value)
		}
		r.Placeholders = known
		return r
	}
	for name, want := range presetWant {
		t.Run(name, func(t *testing.T) {
			row, _ := presets.Find(name)
			i := mustNew(t, Config{ByID: true, Preset: name, Trust: trustProxy()})
			wantID(t, i, request(want.filled), want.id, "a@x.io")
			wantNames(t, i, request(want.filled), want.first, want.last)
			if row.Sources.Email.From == row.Sources.UserID.From {
				return
			}
			without := make(map[string]string)
			for source, value := range want.filled {
				if source != row.Sources.Email.From {
					without[source] = value
				}
			}
			wantID(t, i, request(without), want.id, "")
			without[row.Sources.Email.From] = want.filled[row.Sources.Email.From]
			delete(without, row.Sources.UserID.From)
			_, err := i.Identify(context.Background(), request(without))
			if rejection, ok := err.(*Rejection); !ok || rejection.Reason != ReasonMissing || strings.Contains(rejection.Hint, "email") {
				t.Errorf("without an id: %v", err)
			}
		})
	}
	for name, want := range signedWant {
		t.Run(name+", verify", func(t *testing.T) {
			row, _ := presets.Find(name)
			c := signedConfig(row)
			c.ByID = true
			i := mustNew(t, c)
			wantID(t, i, request(map[string]string{want.header: want.payload}), want.id, "a@x.io")
			withoutID := strings.NewReplacer(`"sub"`, `"other"`, `"oid"`, `"another"`).Replace(want.payload)
			wantRejection(t, i, request(map[string]string{want.header: withoutID}), ErrNoClaim.forUserID())
			wantRejection(t, i, request(map[string]string{want.header: "forged"}), ErrAssertionSignature)
			login := strings.ReplaceAll(want.payload, "a@x.io", "alice")
			switch {
			case row.Provider != nil && c.Verified == "": // a verified address is demanded
				wantRejection(t, i, request(map[string]string{want.header: login}), ErrNotAddress)
			case name != "teleport": // where sub is also the address
				wantID(t, i, request(map[string]string{want.header: login}), want.id, "")
			}
			denied := strings.ReplaceAll(want.payload, "{", `{"email_verified":false,"emailVerified":false,`)
			if firstRejection(want.payload) == ErrEmailDenied {
				wantRejection(t, i, request(map[string]string{want.header: denied}), ErrEmailDenied)
			}
		})
	}
}

func TestByID_ConfigErrors(t *testing.T) {
	id := "{http.auth.user.id}"
	for _, tt := range []struct {
		name   string
		config Config
		parts  []string
	}{
		{"nothing", Config{}, []string{"user_id: is required: ", "identity <preset>", "user_id <source>"}},
		{"an address", Config{Email: id}, []string{"user_id: is required: ", "user_id <source>"}},
		{"unknown preset", Config{Preset: "authelio", Domains: []string{"x.io"}}, []string{"identity: ", "authelio"}},
		{"untrusted", Config{UserID: "Remote-User"}, []string{"user_id (Remote-User): ", `"trust forward_auth"`, `"trust proxies <ranges>"`}},
		{"untrusted address", Config{UserID: id, Email: "Remote-Email"}, []string{"email (Remote-Email): ", `"trust forward_auth"`}},
		{"of the client", Config{UserID: "{http.request.cookie.user}"}, []string{"user_id: ", "client"}},
		{"dropped", Config{UserID: "X_User", Trust: trustProxy()}, []string{"user_id: ", "expected_underscore_headers"}},
		{"bad address", Config{UserID: id, Email: "{env.E}"}, []string{"email: "}},
		{"domains without an address", Config{UserID: id, Domains: []string{"x.io"}}, []string{"email: ", "domains", "email <source>", "remove these options"}},
		{"verified without one", Config{UserID: id, Verified: "{verified}"}, []string{"email: ", "verified", "email <source>", "remove these options"}},
		{"no assertion", Config{Preset: "authelia", Verify: true, Trust: trustProxy()}, []string{"verify: ", "user_id Authorization sub"}},
		{"a plain id", Config{UserID: "X-User", Verify: true}, []string{"user_id: must be read from a signed assertion", "user_id Authorization sub"}},
		{"an id in a placeholder", Config{UserID: id, Verify: true}, []string{"user_id: must be read from a signed assertion", "user_id Authorization sub"}},
		{"a preset's, a plain id", Config{Preset: "pomerium", UserID: "X-User", Verify: true}, []string{"user_id: must be read from a signed assertion"}},
		{"a plain address", Config{UserID: "X-A sub", Email: "X-Email", Verify: true}, []string{"email: must be read from the same signed assertion", "user_id", `"email X-A email"`}},
		{"an address in a map", Config{UserID: "X-A sub", Email: "{user_email}", Verify: true}, []string{"email: must be read from the same signed assertion"}},
		{"a preset's, plain address", Config{Preset: "cloudflare_access", Email: "Cf-Access-Authenticated-User-Email", Verify: true, Trust: trustProxy()}, []string{`"email Cf-Access-Jwt-Assertion email"`}},
		{"two assertions", Config{UserID: "X-A sub", Email: "X-B email", Verify: true}, []string{"email: ", "the same signed assertion as user_id"}},
		{"a name in another", Config{UserID: "X-A sub", Name: "X-B name", Verify: true}, []string{"name: ", "the same signed assertion as user_id"}},
		{"a broken path", Config{UserID: "X-A a..b", Verify: true}, []string{"user_id: ", "path"}},
		{"no id, an assertion", Config{Email: "X-A email", Verify: true, Trust: trustProxy()}, []string{"user_id: is required: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.ByID = true
			if tt.config.Verify {
				tt.config.Verifier = payloads{}
			}
			i, err := New(tt.config)
			wantError(t, err, tt.parts...)
			if i != nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("not one problem: %v", err)
			}
		})
	}
	for name, c := range map[string]Config{
		"an id":                     {UserID: id},
		"a preset that was one":     {Preset: "aws_alb", UserID: "X-Amzn-Oidc-Identity", Trust: trustProxy()},
		"an assertion":              {UserID: "Authorization sub", Verify: true},
		"an assertion with more":    {UserID: "Authorization sub", Email: "Authorization email", Name: "{user_name}", Verify: true},
		"another claim of a preset": {Preset: "pomerium", UserID: "X-Pomerium-Jwt-Assertion oid", Verify: true},
	} {
		t.Run(name, func(t *testing.T) {
			c.ByID, c.Verifier = true, payloads{}
			mustNew(t, c)
		})
	}
}

// All presets have an id source so far. For one without, the error says what to write.
func TestByID_PresetWithoutID(t *testing.T) {
	row, _ := presets.Find("authelia")
	row.Sources.UserID = presets.Source{}
	c := Config{ByID: true, Preset: row.Name, Trust: trustProxy()}
	_, err := c.sources(row, true)
	wantError(t, err, "user_id: is required: the preset authelia", `"user_id <source>"`)
	c.UserID = "Remote-User"
	if s, err := c.sources(row, true); err != nil || s.UserID.String() != c.UserID || s.Email.String() != row.Sources.Email.String() {
		t.Errorf("sources %+v, %v", s, err)
	}
}

// A header with a list of claims is read as such, in any spelling of its name.
func TestByID_ClaimList(t *testing.T) {
	const principal = `{"claims":[{"typ":"oid","val":"u-1"},{"typ":"email","val":"a@x.io"}]}`
	for _, name := range []string{"X-Ms-Client-Principal", "X-MS-CLIENT-PRINCIPAL"} {
		i := mustNew(t, Config{ByID: true, Preset: "azure_easy_auth", UserID: name + " oid", Trust: trustProxy()})
		wantID(t, i, fromProxy("X-Ms-Client-Principal", b64(principal)), "u-1", "a@x.io")
	}
}
