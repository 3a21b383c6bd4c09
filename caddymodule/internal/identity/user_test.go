package identity

import (
	"errors"
	"strings"
	"testing"
)

// TestNamedUsers checks that a user by name equals the user of a request.
func TestNamedUsers(t *testing.T) {
	for address, want := range map[string]string{
		"ada@x.example": "ada@x.example", "Ada@X.example": "ada@x.example", "\u212Aelvin@x.example": "\u212Aelvin@x.example",
		"": "", "ada": "", "a@b@x.example": "", "Ada <ada@x.example>": "", "\t ada@x.example ": "ada@x.example", "ada@x.example.": "", strings.Repeat("a", 250) + "@x.example": "",
	} {
		u, err := UserByEmail(address)
		if (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrNotAddress) || string(u.AppendKey(nil)) != want {
			t.Errorf("%q: %q, %v", address, u.AppendKey(nil), err)
		}
	}
	for _, c := range []struct {
		id string
		ok bool
	}{
		{"u-1", true}, {"U-1", true}, {"ada@x.example", true}, {"", false}, {"null", false}, {"{user}", false}, {"a\x00b", false}, {strings.Repeat("a", 257), false},
	} {
		u, err := UserByID(c.id)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrNotID) || c.ok && string(u.AppendKey(nil)) != c.id {
			t.Errorf("%q: %q, %v", c.id, u.AppendKey(nil), err)
		}
	}
}
