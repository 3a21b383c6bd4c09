package identity

import (
	"context"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// Every preset finds the id in the example of its layer's documentation, with and
// without the address.
func TestByID_PresetsIdentify(t *testing.T) {
	for _, p := range presets.All() {
		_, plain := presetWant[p.Name]
		_, signed := signedWant[p.Name]
		if plain != (p.Sources.Email.From != "") || signed != (p.Signed.Email.From != "") || !plain && !signed {
			t.Errorf("%s is in presetWant: %t, in signedWant: %t; want it in those for which the preset has sources", p.Name, plain, signed)
		}
	}
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
			wantNames(t, i, request(map[string]string{want.header: want.payload}), want.first, want.last)
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

// A header with a list of claims is read as such, in any spelling of its name.
func TestByID_ClaimList(t *testing.T) {
	const principal = `{"claims":[{"typ":"oid","val":"u-1"},{"typ":"email","val":"a@x.io"}]}`
	for _, name := range []string{"X-Ms-Client-Principal", "X-MS-CLIENT-PRINCIPAL"} {
		i := mustNew(t, Config{ByID: true, Preset: "azure_easy_auth", UserID: name + " oid", Trust: trustProxy()})
		wantID(t, i, fromProxy("X-Ms-Client-Principal", b64(principal)), "u-1", "a@x.io")
	}
}
