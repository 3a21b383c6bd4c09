package identity

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// TestC1_C2_LayersThatDeny checks that a preset reads what its layer may state about the
// address. Only an explicit denial is a rejection.
func TestC1_C2_LayersThatDeny(t *testing.T) {
	said := map[string]bool{"caddy_jwt": true, "gatekeeper": true, "oathkeeper": true, "oauth2_proxy": true, "oauth2_proxy_upstream": true, "vouch": true}
	for _, p := range presets.All() {
		source := p.Sources.Verified
		if (source.From != "") != said[p.Name] || source.From != "" && !source.Optional {
			t.Errorf("%s: %v", p.Name, source)
		}
		if source.From == "" {
			continue
		}
		for value, want := range map[any]*Rejection{
			"false": ErrEmailDenied, "False": ErrEmailDenied, "0": ErrEmailDenied, " no ": ErrEmailDenied, "true,false": ErrEmailDenied, "false, true": ErrEmailDenied, "0001-01-01T00:00:00Z": ErrEmailDenied,
			"true": nil, "1": nil, "": nil, " ": nil, ",": nil, "<nil>": nil, "maybe": nil, "2026-01-01T00:00:00Z": nil, nil: nil,
		} {
			for how, r := range requestsOf(t, p, value) {
				c := Config{Preset: p.Name}
				switch how {
				case "proxy":
					c.Trust = trustProxy()
				case "forward_auth":
					c.Trust = Trust{Mode: TrustForwardAuth}
				}
				i := mustNew(t, c)
				if want != nil {
					wantRejection(t, i, r, want)
				} else {
					wantUser(t, i, r, "a@x.io")
				}
				// The configured source replaces the preset's, and demands a yes.
				c.Verified = source.From
				i = mustNew(t, c)
				if value == "true" || value == "1" || value == "2026-01-01T00:00:00Z" {
					wantUser(t, i, r, "a@x.io")
				} else {
					wantRejection(t, i, r, ErrEmailUnverified)
				}
				// A user without an address needs no verification.
				if c.Verified = ""; presetWant[p.Name].id != "a@x.io" {
					c.ByID = true
					if want != nil {
						wantRejection(t, mustNew(t, c), r, want)
					}
				}
			}
		}
		if !p.NeedsTrust() {
			continue
		}
		i := mustNew(t, Config{Preset: p.Name, Trust: trustProxy()})
		mine := presetWant[p.Name].filled[p.Sources.Email.From]
		wantUser(t, i, fromProxy(p.Sources.Email.From, mine, source.From, "true", source.From, "true"), "a@x.io")
		wantRejection(t, i, fromProxy(p.Sources.Email.From, mine, source.From, "true", source.From, "false"), ErrEmailDenied)
		identifier := mustNew(t, Config{Preset: p.Name, AuthServer: fakeAuthServer{p.Sources.Email.From: {mine}, source.From: {"false", "true"}}})
		wantRejection(t, identifier, fromProxy(source.From, "true"), ErrEmailDenied)
		identifier = mustNew(t, Config{Preset: p.Name, AuthServer: fakeAuthServer{p.Sources.Email.From: {mine}}})
		wantUser(t, identifier, fromProxy(source.From, "false"), "a@x.io")
	}
}

// requestsOf returns requests of a preset's user in which the verified source has a
// value, by how they arrive. nil is no value.
func requestsOf(t *testing.T, p presets.Preset, value any) map[string]*Request {
	t.Helper()
	if !p.NeedsTrust() {
		known := placeholders{}
		for source, v := range presetWant[p.Name].filled {
			known[strings.Trim(source, "{}")] = v
		}
		if value != nil {
			known[strings.Trim(p.Sources.Verified.From, "{}")] = value
		}
		return map[string]*Request{"placeholder": withPlaceholders(known)}
	}
	var pairs []string
	for name, v := range presetWant[p.Name].filled {
		pairs = append(pairs, name, v)
	}
	if value != nil {
		pairs = append(pairs, p.Sources.Verified.From, value.(string))
	}
	r := fromProxy(p.Sources.Verified.From, "false") // of the client: not read
	r.Placeholders = respondedBy("auth:9000", pairs...)
	return map[string]*Request{"proxy": fromProxy(pairs...), "forward_auth": r}
}

func TestExplainOptionalVerified(t *testing.T) {
	i := mustNew(t, Config{Preset: "vouch", Trust: trustProxy()})
	for value, want := range map[string]string{"true": "yes", "whatever": "yes", "false": "no", "": ""} {
		for _, v := range i.Explain(t.Context(), fromProxy("X-Vouch-Idp-Claims-Email", "a@x.io", "X-Vouch-Idp-Claims-Email-Verified", value)) {
			if v.Option == "verified" && (v.Value.Reveal() != want || (v.Rejection != nil) != (want == "")) {
				t.Errorf("%q: explained as %q, %v", value, v.Value.Reveal(), v.Rejection)
			}
		}
	}
}

// TestC3_MembersThatDeny checks that a denial next to the address is a rejection,
// without any option.
func TestC3_MembersThatDeny(t *testing.T) {
	const address = `"email":"a@x.io"`
	app := new(application)
	identifier := func(path, verified string) *Identifier {
		i, err := NewUserinfo(UserinfoConfig{Client: app, Email: path, Verified: verified})
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	flat, nested, list, deep := identifier("email", ""), identifier("user.email", ""), identifier("data.0.email", ""), identifier("a.user.email", "")
	emails := identifier("emails.0", "")
	try := func(member string, no bool) {
		t.Helper()
		check := func(i *Identifier, document string) {
			t.Helper()
			app.response = document
			if no {
				wantRejection(t, i, withPlaceholders(nil), ErrEmailDenied)
			} else {
				wantUser(t, i, withPlaceholders(nil), "a@x.io")
			}
		}
		check(flat, `{`+address+`,`+member+`}`)
		check(flat, `{`+member+`,"isVerified":true,"sub":"u-1",`+address+`}`)
		check(nested, `{"user":{`+address+`,`+member+`}}`)
		check(nested, `{"user":{`+address+`},`+member+`}`)
		check(list, `{"data":[{`+address+`,`+member+`}]}`)
		check(list, `{"data":[{`+address+`}],`+member+`}`)
		check(emails, `{"emails":["a@x.io"],`+member+`}`)
		check(deep, `{"a":{"user":{`+address+`},`+member+`}}`)
		app.response = `{"a":{"user":{` + address + `}},` + member + `,"b":{` + member + `}}` // two levels above, and elsewhere
		wantUser(t, deep, withPlaceholders(nil), "a@x.io")
	}
	for _, name := range []string{"email_verified", "emailVerified", "is_verified", "verified", "emailVerification", "confirmed"} {
		for _, no := range []string{`false`, `"false"`, `"False"`, `0`, `0.0`, `""`, `" "`, `[]`, `[false]`, `[true,false]`, `"0001-01-01T00:00:00Z"`} {
			try(`"`+name+`":`+no, true)
		}
		for _, yes := range []string{`true`, `"true"`, `1`, `null`, `"2026-01-01T00:00:00.000Z"`, `{}`, `{"email":false}`} {
			try(`"`+name+`":`+yes, false)
		}
	}
	for _, name := range []string{"email_verified_at", "emailVerifiedAt", "email_confirmed_at", "confirmed_at"} {
		for _, no := range []string{`null`, `""`, `0`, `false`, `"0000-00-00 00:00:00"`, `"0001-01-01T00:00:00Z"`, `"0001-01-01"`, `"1970-01-01T00:00:00.000Z"`, `"1969-12-31T19:00:00-05:00"`} {
			try(`"`+name+`":`+no, true)
		}
		for _, yes := range []string{`"2026-01-01T00:00:00.000000Z"`, `"2026-01-01 10:00:00"`, `1767225600`, `true`} {
			try(`"`+name+`":`+yes, false)
		}
	}
	// If several are there, one no is a no.
	for _, document := range []string{
		`{"email":"a@x.io","email_verified":true,"verified":false}`,
		`{"email":"a@x.io","email_verified":true,"email_verified_at":null}`,
		`{"user":{"email":"a@x.io","email_verified":true},"confirmed":false}`,
	} {
		app.response = document
		i := flat
		if strings.Contains(document, "user") {
			i = nested
		}
		wantRejection(t, i, withPlaceholders(nil), ErrEmailDenied)
	}
}

// TestC3_NamedVerified checks that the option verified requires an affirmative value,
// which may be a time.
func TestC3_NamedVerified(t *testing.T) {
	app := new(application)
	for _, name := range []string{"email_verified_at", "emailVerified", "user_confirmed"} {
		i, err := NewUserinfo(UserinfoConfig{Client: app, Email: "email", Verified: name})
		if err != nil {
			t.Fatal(err)
		}
		for value, yes := range map[string]bool{
			`"2026-01-01T10:00:00.000000Z"`: true, `"2026-01-01T10:00:00+02:00"`: true, `"2026-01-01 10:00:00"`: true, `"2026-01-01 10:00:00.123+00"`: true, `"2026-01-01"`: true,
			`"2026-01-01T10:00:00+0000"`: true, `"2026-01-01 10:00:00 UTC"`: true, `"Thu, 01 Jan 2026 10:00:00 GMT"`: true, `1767225600`: true, `1767225600000`: true, `true`: true, `["2026-01-01"]`: true,
			`null`: false, `""`: false, `false`: false, `0`: false, `2`: false, `17`: false, `-1767225600`: false, `1e99`: false, `"2026"`: false, `"2026-13-01"`: false, `"1767225600"`: false,
			`"0001-01-01T00:00:00Z"`: false, `"0000-00-00 00:00:00"`: false, `"1970-01-01T00:00:00Z"`: false, `"pending 2026-01-01"`: false, `["2026-01-01","2026-01-02"]`: false, `{}`: false,
		} {
			app.response = `{"email":"a@x.io","` + name + `":` + value + `}`
			if yes {
				wantUser(t, i, withPlaceholders(nil), "a@x.io")
				continue
			}
			if _, err := i.Identify(t.Context(), withPlaceholders(nil)); err != ErrEmailUnverified && err != ErrEmailDenied {
				t.Errorf("%s %s: %v", name, value, err)
			}
		}
		// Members that may be about something else do not matter then, others do.
		app.response = `{"email":"a@x.io","` + name + `":true,"verified":false,"confirmed":false,"confirmed_at":null}`
		wantUser(t, i, withPlaceholders(nil), "a@x.io")
		app.response = `{"email":"a@x.io","` + name + `":true,"email_verified":false}`
		wantRejection(t, i, withPlaceholders(nil), ErrEmailDenied)
	}
}

// fakeAuthServer is an AuthServer that responds with this header.
type fakeAuthServer http.Header

func (h fakeAuthServer) Check(context.Context, AuthRequest) (http.Header, error) {
	return http.Header(h), nil
}
