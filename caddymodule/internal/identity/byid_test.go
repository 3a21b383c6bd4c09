package identity

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
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

func TestByID_I01_NoValue(t *testing.T) {
	wantRejection(t, idByHeader(t), fromProxy(), ErrNoHeader.forUserID())
	for _, blank := range []string{"", " ", " \t ", "\u3000"} {
		wantRejection(t, idByHeader(t), fromProxy("Remote-User", blank), ErrEmpty.forUserID())
		wantRejection(t, idByUser(t), withPlaceholders(placeholders{"http.auth.user.sub": blank}), ErrEmpty.forUserID())
	}
	for name, empty := range map[string]any{
		"nil": nil, "no texts": []string{}, "no values": []any{}, "one empty": []string{""}, "one nil": []any{nil},
	} {
		t.Run(name, func(t *testing.T) {
			// An address is not used in place of a missing id.
			wantRejection(t, idByMap(t), withPlaceholders(placeholders{"user_id": empty, "user_email": "a@x.io"}), ErrEmpty.forUserID())
		})
	}
}

func TestByID_I02_NotExactlyOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines string
		want  *Rejection
	}{
		{"two lines", "Remote-User: u-1\r\nRemote-User: u-2\r\n", ErrDuplicateHeader.forUserID()},
		{"two same lines", "Remote-User: u-1\r\nRemote-User: u-1\r\n", ErrDuplicateHeader.forUserID()},
		{"two spellings", "Remote-User: u-1\r\nREMOTE-USER: u-2\r\n", ErrDuplicateHeader.forUserID()},
		{"joined by a comma", "Remote-User: u-1, u-2\r\n", ErrJoinedID},
		{"joined without a space", "Remote-User: u-1,u-2\r\n", ErrJoinedID},
		{"first empty", "Remote-User:\r\nRemote-User: u-2\r\n", ErrDuplicateHeader.forUserID()},
		{"second empty", "Remote-User: u-1\r\nRemote-User:\r\n", ErrDuplicateHeader.forUserID()},
		{"split by a bare LF", "Remote-User: u-1\nRemote-User: u-2\r\n", ErrDuplicateHeader.forUserID()},
		{"two empty, joined", "Remote-User: ,\r\n", ErrJoinedID},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hr, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nHost: x\r\n" + tt.lines + "\r\n")))
			if err != nil {
				t.Fatal(err)
			}
			wantRejection(t, idByHeader(t), &Request{Header: hr.Header, RemoteAddr: proxyPeer}, tt.want)
			if tt.want.Reason != ReasonAmbiguous {
				t.Errorf("reason %s", tt.want.Reason)
			}
		})
	}
	t.Run("lines joined by forward_auth", func(t *testing.T) {
		i := mustNew(t, Config{ByID: true, UserID: "Remote-User", Trust: Trust{Mode: TrustForwardAuth}})
		for _, joined := range []string{"u-1,u-2", ",u-2", "u-1,", ","} {
			wantRejection(t, i, withPlaceholders(respondedBy("a:1", "Remote-User", joined)), ErrJoinedID)
		}
	})
	// If no lines can be joined at this source, a comma is part of the id.
	const dn = "CN=alice,OU=clinic"
	wantID(t, idByMap(t), withPlaceholders(placeholders{"user_id": dn}), dn, "")
}

func TestByID_I05_Untrusted(t *testing.T) {
	r := fromProxy("Remote-User", "u-1")
	wantID(t, idByHeader(t), r, "u-1", "")
	r.RemoteAddr = untrustedPeer
	wantRejection(t, idByHeader(t), r, ErrUntrustedPeer)
	i := mustNew(t, Config{ByID: true, UserID: "Remote-User", Trust: Trust{Mode: TrustForwardAuth, Upstream: "authelia:9091"}})
	wantRejection(t, i, withPlaceholders(respondedBy("app:80", "Remote-User", "u-1")), ErrWrongUpstream)
	i = mustNew(t, Config{ByID: true, UserID: "{http.request.tls.client.serial}"})
	wantRejection(t, i, withPlaceholders(placeholders{"http.request.tls.client.serial": "17"}), ErrUnverifiedCertificate)
}

func TestByID_I07_UnsetPlaceholder(t *testing.T) {
	for _, tt := range []struct {
		name  string
		id    string
		known placeholders
		want  *Rejection
	}{
		{"no authentication", "{http.auth.user.sub}", nil, ErrNoAuthentication},
		{"a candidate", "{http.auth.user.id}", placeholders{"http.auth.candidate.id": "u-1"}, ErrNoAuthentication},
		{"an authentication without it", "{http.auth.user.sub}", placeholders{"http.auth.user.id": "alice"}, ErrNoUserPlaceholder.forUserID()},
		{"no map", "{user_id}", nil, ErrUnset.forUserID()},
		{"no proxy", "{http.reverse_proxy.header.Remote-User}", nil, ErrNoForwardAuth},
		{"not in the response", "{http.reverse_proxy.header.Remote-User}", respondedBy("a:1"), ErrNoResponseHeader.forUserID()},
		{"its own text", "{user_id}", placeholders{"user_id": "{user_id}"}, ErrNotID},
		{"the text of another", "{user_id}", placeholders{"user_id": "{http.auth.user.sub}"}, ErrNotID},
		{"a text around it", "{user_id}", placeholders{"user_id": "clinic/{http.auth.user.sub}"}, ErrNotID},
		{"what Apache writes", "{user_id}", placeholders{"user_id": "(null)"}, ErrNotID},
		{"what JavaScript writes", "{user_id}", placeholders{"user_id": "undefined"}, ErrNotID},
		{"null", "{user_id}", placeholders{"user_id": "null"}, ErrNotID},
		{"what Python writes", "{user_id}", placeholders{"user_id": "None"}, ErrNotID},
		{"what Go writes", "{user_id}", placeholders{"user_id": "<nil>"}, ErrNotID},
		{"a dash", "{user_id}", placeholders{"user_id": "-"}, ErrNotID},
		{"nothing that can be seen", "{user_id}", placeholders{"user_id": "\u200b"}, ErrNotID},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantRejection(t, mustNew(t, Config{ByID: true, UserID: tt.id}), withPlaceholders(tt.known), tt.want)
		})
	}
}

func TestByID_I08_NothingIsExpanded(t *testing.T) {
	t.Setenv("IDENTITY_TEST_SECRET", "hunter2")
	for _, value := range []string{"{env.IDENTITY_TEST_SECRET}", "u-{env.IDENTITY_TEST_SECRET}", "{file./etc/passwd}", "{$IDENTITY_TEST_SECRET}"} {
		wantRejection(t, idByHeader(t), fromProxy("Remote-User", value), ErrNotID)
		wantRejection(t, idByUser(t), withPlaceholders(placeholders{"http.auth.user.sub": value}), ErrNotID)
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

func TestByID_I10_ByteForByte(t *testing.T) {
	seen := make(map[string]string)
	for _, id := range []string{"alice@x.io", "Alice@x.io", "ALICE@X.IO", "kelvin", "\u212aelvin", "Kelvin", "\u00e9", "e\u0301", "u-1", " u-1", "u-1 ", "u-\u200b1"} {
		u := wantID(t, idByUser(t), withPlaceholders(placeholders{"http.auth.user.sub": id}), id, "")
		key := string(u.AppendKey(nil))
		if other, ok := seen[key]; ok {
			t.Errorf("%q and %q are one user", id, other)
		}
		seen[key] = id
	}
	// The address is not part of the key.
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

func TestByID_I16_NotOneText(t *testing.T) {
	for _, tt := range []struct {
		name  string
		value any
		want  *Rejection
	}{
		{"a map that misses", nil, ErrEmpty.forUserID()},
		{"a number", 7, ErrNotID},
		{"a float", 7.5, ErrNotID},
		{"a bool", true, ErrNotID},
		{"a list of two", []string{"u-1", "u-2"}, ErrNotID},
		{"a list of two same", []any{"u-1", "u-1"}, ErrNotID},
		{"a list of a number", []any{7}, ErrNotID},
		{"bytes", []byte("u-1"), ErrNotID},
		{"a Stringer", ReasonMissing, ErrNotID},
		{"a map", map[string]any{"id": "u-1"}, ErrNotID},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantRejection(t, idByMap(t), withPlaceholders(placeholders{"user_id": tt.value, "user_email": "a@x.io"}), tt.want)
		})
	}
}

func TestByID_NothingPrints(t *testing.T) {
	u := wantID(t, idByMap(t), withPlaceholders(placeholders{"user_id": "u-1", "user_email": "alice@x.io"}), "u-1", "alice@x.io")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, u); strings.Contains(got, "alice") || strings.Contains(got, "u-1") {
			t.Errorf("%s: %s", verb, got)
		}
	}
}

func TestByID_Allocations(t *testing.T) {
	both := Config{ByID: true, Email: "{user_email}", UserID: "{user_id}"}
	for _, tt := range []struct {
		name   string
		config Config
		known  placeholders
		most   float64
	}{
		{"both", both, placeholders{"user_id": "u-1", "user_email": "a@x.io"}, 2},
		{"no address", both, placeholders{"user_id": "u-1"}, 1},
		{"one source", Config{ByID: true, Preset: "basic_auth"}, placeholders{"http.auth.user.id": "a@x.io"}, 1},
		{"no id", both, placeholders{"user_email": "a@x.io"}, 0},
		{"no id that can be", both, placeholders{"user_id": "(null)"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i, r := mustNew(t, tt.config), withPlaceholders(tt.known)
			if got := testing.AllocsPerRun(100, func() { _, _ = i.Identify(context.Background(), r) }); got > tt.most {
				t.Fatalf("%v allocations, want at most %v", got, tt.most)
			}
		})
	}
}
