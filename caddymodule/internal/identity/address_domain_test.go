package identity

import (
	"strings"
	"testing"
)

// TestD4_BlanksAroundAnAddress checks that spaces and tabs around an address are removed,
// from every source, and the key is that of the address.
func TestD4_BlanksAroundAnAddress(t *testing.T) {
	app := &application{response: `{"email":"\t a@x.io "}`}
	source, err := NewUserinfo(UserinfoConfig{Client: app, Email: "email"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		i *Identifier
		r *Request
	}{
		"userinfo":    {source, withPlaceholders(nil)},
		"a header":    {byHeader(t), fromProxy("Remote-Email", " \ta@x.io\t ")},
		"placeholder": {byUser(t), withPlaceholders(placeholders{"http.auth.user.email": " a@x.io\t"})},
		"a document":  {mustNew(t, Config{Email: "X-Doc email", Trust: trustProxy()}), fromProxy("X-Doc", `{"email":" a@x.io\t"}`)},
		"a claim":     {mustNew(t, Config{Email: "X-Doc email", Verify: true, Verifier: payloads{}}), fromProxy("X-Doc", `{"email":["\ta@x.io "]}`)},
		"a prefix":    {mustNew(t, Config{Preset: "google_iap", Trust: trustProxy()}), fromProxy("X-Goog-Authenticated-User-Email", " accounts.google.com: a@x.io ")},
		"by id": {
			mustNew(t, Config{ByID: true, UserID: "{user_id}", Email: "{user_email}"}), withPlaceholders(placeholders{"user_id": "u-1", "user_email": " a@x.io "}),
		},
	} {
		u := wantUser(t, tt.i, tt.r, "a@x.io")
		if key := string(u.AppendKey(nil)); key != "a@x.io" && key != "u-1" {
			t.Errorf("%s: key %q", name, key)
		}
		for _, v := range tt.i.Explain(t.Context(), tt.r) {
			if v.Option == "email" && v.Value.Reveal() != "a@x.io" {
				t.Errorf("%s: explained as %q", name, v.Value.Reveal())
			}
		}
	}
	// Other characters are not blanks, and blanks within an address are not removed.
	for _, address := range []string{"a@x.io\n", "\u00a0a@x.io", "a@x.io\u3000", "a @x.io", "a@ x.io", "a@x.io b@x.io"} {
		wantRejection(t, byUser(t), withPlaceholders(placeholders{"http.auth.user.email": address}), ErrNotAddress)
	}
}

// TestD5_DomainsInPunycode checks that a domain is the same in Unicode and in punycode,
// in the option and in the address. The key of the user stays as it is.
func TestD5_DomainsInPunycode(t *testing.T) {
	const unicode, punycode = "b\u00fccher.example", "xn--bcher-kva.example"
	for _, domain := range []string{unicode, punycode, "B\u00dcCHER.Example", "XN--BCHER-KVA.example", "bu\u0308cher.example"} {
		i := mustNew(t, Config{Email: "{http.auth.user.email}", Domains: []string{"other.example", domain}})
		for _, address := range []string{"a@" + unicode, "A@" + punycode, "a@" + strings.ToUpper(punycode), "a@B\u00dccher.example", "a@b\u00fccher\u3002example"} {
			u := wantUser(t, i, withPlaceholders(placeholders{"http.auth.user.email": address}), address)
			if key := string(u.AppendKey(nil)); key != slowLower(address) {
				t.Errorf("key %q of %q", key, address)
			}
		}
		for _, address := range []string{"a@bucher.example", "a@buecher.example", "a@b\u00fccher.example.evil.io", "a@sub.b\u00fccher.example", "a@xn--bcher-kvb.example", "a@xn--bcher-.example"} {
			wantRejection(t, i, withPlaceholders(placeholders{"http.auth.user.email": address}), ErrDomainNotAllowed)
		}
	}
	// A domain that is not valid in IDNA is compared as written.
	i := mustNew(t, Config{Email: "{http.auth.user.email}", Domains: []string{"m\u00fc_ller.Example", "a_b.example"}})
	for _, address := range []string{"a@m\u00fc_ller.example", "a@M\u00fc_LLER.example", "a@A_B.example"} {
		wantUser(t, i, withPlaceholders(placeholders{"http.auth.user.email": address}), address)
	}
	wantRejection(t, i, withPlaceholders(placeholders{"http.auth.user.email": "a@M\u00dc_ller.example"}), ErrDomainNotAllowed)
	for _, domain := range []string{"x.io.", ".x.io", "x..io", ".", "x.io\u3002"} {
		_, err := New(Config{Email: "{http.auth.user.email}", Domains: []string{domain}})
		wantError(t, err, "domains: ", "such as example.com")
	}
}
