package identity

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// idByHeader, idByUser and idByMap return Identifiers with ByID and different sources.
func idByHeader(t testing.TB) *Identifier {
	return mustNew(t, Config{ByID: true, UserID: "remote-user", Trust: trustProxy()})
}

func idByUser(t testing.TB) *Identifier {
	return mustNew(t, Config{ByID: true, UserID: "{http.auth.user.sub}"})
}

func idByMap(t testing.TB) *Identifier {
	return mustNew(t, Config{ByID: true, Email: "{user_email}", UserID: "{user_id}"})
}

// wantID fails unless Identify returns a user with this id and address.
func wantID(t *testing.T, i *Identifier, r *Request, id, email string) User {
	t.Helper()
	u := wantUser(t, i, r, email)
	if got := u.ID.Reveal(); got != id {
		t.Fatalf("id %q, want %q", got, id)
	}
	if got := string(u.AppendKey([]byte("k/"))); got != "k/"+id {
		t.Fatalf("key %q of the id %q", got, id)
	}
	return u
}

func TestByID_I02_JoinedLines(t *testing.T) {
	i := mustNew(t, Config{ByID: true, UserID: "Remote-User", Trust: Trust{Mode: TrustForwardAuth}})
	for _, joined := range []string{"u-1,u-2", ",u-2", "u-1,", ","} {
		wantRejection(t, i, withPlaceholders(respondedBy("a:1", "Remote-User", joined)), ErrJoinedID)
	}
	// If no lines can be joined at this source, a comma is part of the id.
	const dn = "CN=alice,OU=clinic"
	wantID(t, idByMap(t), withPlaceholders(placeholders{"user_id": dn}), dn, "")
}

func TestByID_I05_Untrusted(t *testing.T) {
	i := mustNew(t, Config{ByID: true, UserID: "Remote-User", Trust: Trust{Mode: TrustForwardAuth, Upstream: "authelia:9091"}})
	wantRejection(t, i, withPlaceholders(respondedBy("app:80", "Remote-User", "u-1")), ErrWrongUpstream)
	i = mustNew(t, Config{ByID: true, UserID: "{http.request.tls.client.serial}"})
	wantRejection(t, i, withPlaceholders(placeholders{"http.request.tls.client.serial": "17"}), ErrUnverifiedCertificate)
}

func TestByID_I07_TextOfAMissingUser(t *testing.T) {
	for name, id := range map[string]string{
		"its own text":             "{user_id}",
		"the text of another":      "{http.auth.user.sub}",
		"a text around it":         "clinic/{http.auth.user.sub}",
		"what Apache writes":       "(null)",
		"what JavaScript writes":   "undefined",
		"null":                     "null",
		"what Python writes":       "None",
		"what Go writes":           "<nil>",
		"a dash":                   "-",
		"nothing that can be seen": "\u200b",
	} {
		t.Run(name, func(t *testing.T) {
			wantRejection(t, idByMap(t), withPlaceholders(placeholders{"user_id": id}), ErrNotID)
		})
	}
}

func TestByID_I09_WhatIsAnID(t *testing.T) {
	for _, id := range []string{
		"u-1", "17", "0017", "auth0|1:2 \u738b", "alice@x.io", "Alice <a@x.io>", "a@evil.io@x.io", "K", "\u212a", "nullable", " u-1", strings.Repeat("x", 256),
	} {
		wantID(t, idByUser(t), withPlaceholders(placeholders{"http.auth.user.sub": id}), id, "")
		wantID(t, idByUser(t), withPlaceholders(placeholders{"http.auth.user.sub": []string{id}}), id, "")
		wantID(t, idByHeader(t), fromProxy("Remote-User", id), id, "")
	}
	for _, id := range []string{
		strings.Repeat("x", 257), "u\xff", "u\ufffd", "u\x00", "u\r\n1", "\x7fu", "u\u0085", "{u}", "u}", "(null)",
	} {
		wantRejection(t, idByUser(t), withPlaceholders(placeholders{"http.auth.user.sub": id}), ErrNotID)
		wantRejection(t, idByHeader(t), fromProxy("Remote-User", id), ErrNotID)
	}
}

func TestByID_I16_NotOneText(t *testing.T) {
	for _, value := range []any{
		7, 7.5, true, []string{"u-1", "u-2"}, []any{"u-1", "u-1"}, []any{7}, []byte("u-1"), ReasonMissing, map[string]any{"id": "u-1"},
	} {
		wantRejection(t, idByMap(t), withPlaceholders(placeholders{"user_id": value, "user_email": "a@x.io"}), ErrNotID)
	}
	for _, empty := range []any{nil, []string{}, []any{nil}, []string{""}} { // the address is not used in place of the id
		wantRejection(t, idByMap(t), withPlaceholders(placeholders{"user_id": empty, "user_email": "a@x.io"}), ErrEmpty.forUserID())
	}
}

func TestByID_I10_AddressIsNotTheKey(t *testing.T) {
	one := wantID(t, idByMap(t), withPlaceholders(placeholders{"user_id": "u-1", "user_email": "a@x.io"}), "u-1", "a@x.io")
	two := wantID(t, idByMap(t), withPlaceholders(placeholders{"user_id": "u-1", "user_email": "b@x.io"}), "u-1", "b@x.io")
	if string(one.AppendKey(nil)) != string(two.AppendKey(nil)) {
		t.Error("one user is two after a change of address")
	}
	// Without ByID the key is the address alone, also of a User literal.
	if got := string(User{Email: masked.New("A@x.io"), ID: masked.New("u-1")}.AppendKey(nil)); got != "a@x.io" {
		t.Errorf("key %q", got)
	}
}

func TestNothingPrints(t *testing.T) {
	byID := wantID(t, idByMap(t), withPlaceholders(placeholders{"user_id": "u-1", "user_email": "alice@x.io"}), "u-1", "alice@x.io")
	byEmail := wantUser(t, mustNew(t, Config{Preset: "basic_auth"}), withPlaceholders(placeholders{"http.auth.user.id": "alice@x.io"}), "alice@x.io")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, u := range []User{byID, byEmail} {
			if got := fmt.Sprintf(verb, u); strings.Contains(got, "alice") || strings.Contains(got, "u-1") {
				t.Errorf("%s: %s", verb, got)
			}
		}
	}
}
