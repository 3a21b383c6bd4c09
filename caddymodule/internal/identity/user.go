package identity

import (
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/syntax"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// User is the user of a request. Its fields are masked when printed.
type User struct {
	// Email is the address as received. It is empty only with ByID, where a user may
	// have no address.
	Email masked.String
	// ID is the id that the authentication layer has for the user. It is empty if there
	// is no user_id source, or if that source has no usable value. With ByID it is
	// never empty.
	ID masked.String

	byID bool // users are identified by ID
}

// AppendKey appends to dst the key that identifies the user: the address with its ASCII
// letters in lower case. Unicode case folding is not used, because it would merge
// different users (U+212A, the Kelvin sign, folds to k). With ByID the key is the id as
// received, because only the authentication layer knows which of its ids are equal.
func (u User) AppendKey(dst []byte) []byte {
	if u.byID {
		return append(dst, u.ID.Reveal()...)
	}
	return syntax.AppendLower(dst, u.Email.Reveal())
}

// UserByEmail returns the user with this address, where users are identified by address.
// It has the same key (see User.AppendKey) as the user of a request. Its error is
// ErrNotAddress.
func UserByEmail(address string) (User, error) {
	address = syntax.TrimAddress(address)
	if _, ok := syntax.Address(address); !ok {
		return User{}, ErrNotAddress
	}
	return User{Email: masked.New(address)}, nil
}

// UserByID returns the user with this id, where users are identified by id
// (Config.ByID). It has the same key as the user of a request. Its error is ErrNotID.
func UserByID(id string) (User, error) {
	if id == "" || !syntax.IsID(id) || syntax.IsMissingID(id) {
		return User{}, ErrNotID
	}
	return User{ID: masked.New(id), byID: true}, nil
}
