package identity

import (
	"context"
	"encoding/base64"
	"testing"
)

func TestD1_D2_OnlyTheFullName(t *testing.T) {
	i := mustNew(t, Config{
		Email: "{http.auth.user.email}", Name: "{http.auth.user.name}",
		FirstName: "{http.auth.user.given_name}", LastName: "{http.auth.user.family_name}",
	})
	for _, tt := range []struct{ name, first, last, wantFirst, wantLast string }{
		{"Liddell, Alice", "", "", "Alice", "Liddell"},
		{"=?utf-8?q?M=C3=BCller=2C_J=C3=BCrgen?=", "", "", "Jürgen", "Müller"},
		{"Liddell, Alice", "Alice Pleasance", "", "Alice Pleasance", "Liddell"},
		{"(null)", "", "", "", ""},
		{" - ", "", "", "", ""},
		{"(null)", "Alice", "", "Alice", ""},
		// First and last name stay as they are.
		{"", "Alice, Bob", "Miller, Smith", "Alice, Bob", "Miller, Smith"},
		{"", "-", "Null", "-", "Null"},
	} {
		p := placeholders{"http.auth.user.name": tt.name, "http.auth.user.given_name": tt.first, "http.auth.user.family_name": tt.last}
		wantNames(t, i, withPlaceholders(p), tt.wantFirst, tt.wantLast)
	}
	for _, v := range i.Explain(context.Background(), withPlaceholders(placeholders{"http.auth.user.name": "(null)"})) {
		if v.Option == "name" && v.Value.Reveal() != "" {
			t.Errorf("explained as %q", v.Value.Reveal())
		}
	}
}

func TestD3_NamesInLatin1(t *testing.T) {
	i := mustNew(t, Config{Email: "X-Userinfo email", UserID: "X-Userinfo sub", Name: "X-Userinfo name", Trust: trustProxy()})
	const text = "{\"email\":\"a@x.io\",\"sub\":\"u-1\",\"name\":\"J\xf6rg M\xfcller\"}"
	for _, value := range []string{text, base64.StdEncoding.EncodeToString([]byte(text))} {
		r := fromProxy("X-Userinfo", value)
		if u := wantUser(t, i, r, "a@x.io"); u.ID.Reveal() != "u-1" {
			t.Errorf("id %q", u.ID.Reveal())
		}
		wantNames(t, i, r, "Jörg", "Müller")
	}
	// An address or id with a guessed encoding may be that of another user.
	wantRejection(t, i, fromProxy("X-Userinfo", "{\"email\":\"j\xf6rg@x.io\"}"), ErrNotAddress)
	wantRejection(t, i, fromProxy("X-Userinfo", "{\"email\":\"jörg@x.io\",\"name\":\"J\xf6rg\"}"), ErrNotAddress)
	wantUser(t, i, fromProxy("X-Userinfo", "{\"email\":\"jörg@x.io\",\"name\":\"Jörg\"}"), "jörg@x.io")
	byID := mustNew(t, Config{ByID: true, UserID: "X-Userinfo sub", Trust: trustProxy()})
	wantRejection(t, byID, fromProxy("X-Userinfo", "{\"sub\":\"j\xf6rg\"}"), ErrNotID)
	if _, err := byID.Identify(context.Background(), fromProxy("X-Userinfo", "{\"sub\":\"jorg\",\"name\":\"J\xf6rg\"}")); err != nil {
		t.Error(err)
	}
	app := &application{response: text}
	source, err := NewUserinfo(UserinfoConfig{Client: app, Email: "email", Name: "name"})
	if err != nil {
		t.Fatal(err)
	}
	r := withPlaceholders(nil)
	wantUser(t, source, r, "a@x.io")
	wantNames(t, source, r, "Jörg", "Müller")
	app.response = "{\"email\":\"j\xf6rg@x.io\"}"
	wantRejection(t, source, withPlaceholders(nil), ErrNotAddress)
}
