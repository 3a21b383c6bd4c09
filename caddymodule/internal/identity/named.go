package identity

import "github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"

// UserByEmail returns the user with this address, where users are identified by address.
// It has the same key (see User.AppendKey) as the user of a request. Its error is
// ErrNotAddress.
func UserByEmail(address string) (User, error) {
	address = trimAddress(address)
	if _, ok := checkAddress(address); !ok {
		return User{}, ErrNotAddress
	}
	return User{Email: masked.New(address)}, nil
}

// UserByID returns the user with this id, where users are identified by id
// (Config.ByID). It has the same key as the user of a request. Its error is ErrNotID.
func UserByID(id string) (User, error) {
	if id == "" || !usableID(id) || isMissingID(id) {
		return User{}, ErrNotID
	}
	return User{ID: masked.New(id), byID: true}, nil
}
