package identity

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/syntax"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// identifyByID implements Identify with ByID.
func (i *Identifier) identifyByID(ctx context.Context, r *Request) (User, *Rejection) {
	id, rejection := i.id(ctx, r)
	if rejection != nil {
		return User{}, rejection
	}
	u := User{ID: masked.New(id), byID: true}
	if i.email.kind == kindNone {
		return u, nil
	}
	address, at, rejection := i.address(ctx, r)
	switch {
	case rejection == nil:
		rejection = i.checkUser(ctx, r, address[at+1:])
	case !i.requireAddress && rejection.noAddress():
		return u, nil
	}
	if rejection != nil {
		return User{}, rejection
	}
	if address == id { // as with basic_auth
		u.Email = u.ID
	} else {
		u.Email = masked.New(address)
	}
	return u, nil
}

// id returns the user's id, or the reason why there is no usable one.
func (i *Identifier) id(ctx context.Context, r *Request) (string, *Rejection) {
	if i.userID.paths != nil {
		// In JSON an id may be a number. An integer is used as written, as if it were a
		// string.
		if value, _ := i.claim(ctx, r, &i.userID); value != nil {
			if n, ok := value.(json.Number); ok && syntax.IsInteger(string(n)) {
				return string(n), nil
			}
		}
	}
	id, rejection := i.text(ctx, r, &i.userID)
	if i.sameID && !i.byID {
		id = syntax.TrimAddress(id) // Identify takes the address
	}
	switch {
	case rejection != nil:
		return "", rejection.forUserID()
	case i.byID && i.userID.mayBeJoined() && strings.Contains(id, ","):
		return "", ErrJoinedID
	case !syntax.IsID(id), r.isGuess(&i.userID, id), i.byID && syntax.IsMissingID(id):
		return "", ErrNotID
	}
	return id, nil
}

// mayBeJoined reports whether several header lines may arrive at s as one value. An
// intermediary may join them with commas (RFC 9110, section 5.3), and Caddy joins those
// of a response. An address contains no comma, but an id may.
func (s *source) mayBeJoined() bool {
	return s.paths == nil && (s.kind == kindHeader || s.kind == kindResponse || s.kind == kindAuthServer)
}
