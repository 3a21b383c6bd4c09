package identity

import "github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"

// UserByEmail is the user whom requests with that address come from, where users
// are told apart by it. Its error is ErrNotAddress.
func UserByEmail(address string) (User, error) {
	if _, ok := checkAddress(address); !ok {
		return User{}, ErrNotAddress
	}
	return User{Email: masked.New(address)}, nil
}

// UserByID is the user whom requests with that id come from, where users are
// told apart by it (ByID). Its error is ErrNotID.
func UserByID(id string) (User, error) {
	if id == "" || !usableID(id) || isLeftOver(id) {
		return User{}, ErrNotID
	}
	return User{ID: masked.New(id), byID: true}, nil
}
