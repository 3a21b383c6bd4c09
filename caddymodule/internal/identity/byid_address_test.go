package identity

import (
	"context"
	"testing"
)

// With ByID a user may have no address.
func TestByID_Address(t *testing.T) {
	for _, tt := range []struct {
		name  string
		email any
		want  string
	}{
		{"an address", "Alice@x.io", "Alice@x.io"},
		{"a list of one", []any{"a@x.io"}, "a@x.io"},
		{"nothing", nil, ""},
		{"empty", "", ""},
		{"blank", " ", ""},
		{"a login", "alice", ""},
		{"several", "a@x.io,b@x.io", ""},
		{"a list of two", []any{"a@x.io", "b@x.io"}, ""},
		{"a number", 7, ""},
		{"a name around it", "Alice <a@x.io>", ""},
		{"invalid UTF-8", "a\xff@x.io", ""},
		{"a placeholder", "{user_email}", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			known := placeholders{"user_id": "u-1", "user_email": tt.email}
			wantID(t, idByMap(t), withPlaceholders(known), "u-1", tt.want)
			// With the options domains or verified, an address is required.
			for _, c := range []Config{{Domains: []string{"x.io"}}, {Verified: "{verified}"}} {
				c.ByID, c.Email, c.UserID = true, "{user_email}", "{user_id}"
				known["verified"] = "true"
				if tt.want != "" {
					wantID(t, mustNew(t, c), withPlaceholders(known), "u-1", tt.want)
					continue
				}
				_, err := mustNew(t, Config{Email: "{user_email}"}).Identify(context.Background(), withPlaceholders(known))
				wantRejection(t, mustNew(t, c), withPlaceholders(known), err.(*Rejection))
			}
		})
	}
	wantID(t, idByMap(t), withPlaceholders(placeholders{"user_id": "u-1"}), "u-1", "")
	// Without an email source, no placeholder is read, not even one with an empty name.
	wantID(t, idByUser(t), withPlaceholders(placeholders{"http.auth.user.sub": "u-1", "": "a@x.io"}), "u-1", "")

	i := mustNew(t, Config{ByID: true, Email: "{user_email}", UserID: "{user_id}", Verified: "{verified}", Domains: []string{"x.io"}})
	known := placeholders{"user_id": "u-1", "user_email": "a@x.io", "verified": "no"}
	wantRejection(t, i, withPlaceholders(known), ErrEmailUnverified)
	known["verified"] = "yes"
	wantID(t, i, withPlaceholders(known), "u-1", "a@x.io")
	known["user_email"] = "a@y.io"
	wantRejection(t, i, withPlaceholders(known), ErrDomainNotAllowed)
	delete(known, "user_email")
	wantRejection(t, i, withPlaceholders(known), ErrUnset)
}

// An address that cannot be trusted is a rejection, not a missing address.
func TestByID_AddressInDoubt(t *testing.T) {
	i := mustNew(t, Config{ByID: true, Email: "Remote-Email", UserID: "{http.auth.user.id}", Trust: trustProxy()})
	from := func(pairs ...string) *Request {
		r := fromProxy(pairs...)
		r.Placeholders = placeholders{"http.auth.user.id": "u-1"}
		return r
	}
	wantID(t, i, from("Remote-Email", "a@x.io"), "u-1", "a@x.io")
	wantID(t, i, from("Remote-Email", ""), "u-1", "")
	wantID(t, i, from(), "u-1", "")
	wantRejection(t, i, from("Remote-Email", "a@x.io", "Remote-Email", "a@x.io"), ErrDuplicateHeader)
	wantRejection(t, i, from("Remote-Email", "", "Remote-Email", "alice"), ErrDuplicateHeader)
	stranger := from("Remote-Email", "a@x.io")
	stranger.RemoteAddr = untrustedPeer
	wantRejection(t, i, stranger, ErrUntrustedPeer)

	i = mustNew(t, Config{ByID: true, Email: "Remote-Email", UserID: "{http.auth.user.id}", Trust: Trust{Mode: TrustForwardAuth, Upstream: "authelia:9091"}})
	known := respondedBy("app:80", "Remote-Email", "a@x.io")
	known["http.auth.user.id"] = "u-1"
	wantRejection(t, i, withPlaceholders(known), ErrWrongUpstream)
	known = respondedBy("authelia:9091")
	known["http.auth.user.id"] = "u-1"
	wantID(t, i, withPlaceholders(known), "u-1", "")

	i = mustNew(t, Config{ByID: true, Email: "X-Doc users.0.email", UserID: "{http.auth.user.id}", Trust: trustProxy()})
	wantID(t, i, from("X-Doc", `{"users":[]}`), "u-1", "")
	wantID(t, i, from("X-Doc", `{"users":[{"email":"a@x.io"}]}`), "u-1", "a@x.io")
	wantRejection(t, i, from("X-Doc", `{"users":[{"email":"a@x.io"},{}]}`), ErrMultipleValues)
	wantRejection(t, i, from("X-Doc", `{"users":[],"users":[]}`), ErrNotDocument)
	wantRejection(t, i, from("X-Doc", "alice"), ErrNotDocument)
}

// One source may be both the address and the id.
func TestByID_OneSourceForBoth(t *testing.T) {
	i := mustNew(t, Config{ByID: true, Preset: "basic_auth"})
	for id, email := range map[string]string{"Alice@x.io": "Alice@x.io", "alice": "", "alice@x.io,b@x.io": "", "root@localhost": "root@localhost"} {
		wantID(t, i, withPlaceholders(placeholders{"http.auth.user.id": id}), id, email)
	}
	wantRejection(t, i, withPlaceholders(placeholders{"http.auth.user.id": ""}), ErrEmpty.forUserID())
	i = mustNew(t, Config{ByID: true, Preset: "tailscale", Trust: trustProxy()})
	for id, email := range map[string]string{"Alice@x.io": "Alice@x.io", "alice@github": "", "alice@passkey": ""} {
		wantID(t, i, fromProxy("Tailscale-User-Login", id), id, email)
	}
	wantRejection(t, i, fromProxy("Tailscale-User-Login", "a@x.io, b@x.io"), ErrJoinedID)
	i = mustNew(t, Config{ByID: true, Preset: "basic_auth", Domains: []string{"x.io"}})
	wantID(t, i, withPlaceholders(placeholders{"http.auth.user.id": "alice@x.io"}), "alice@x.io", "alice@x.io")
	wantRejection(t, i, withPlaceholders(placeholders{"http.auth.user.id": "alice"}), ErrNotAddress)
	wantRejection(t, i, withPlaceholders(placeholders{"http.auth.user.id": "alice@y.io"}), ErrDomainNotAllowed)
}
