package connect

import (
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

const (
	// hintTTL is how long a hint is remembered.
	hintTTL = 30 * 24 * time.Hour

	// hintVariant is the variant under which a user's hint is stored with their tokens, so
	// that evicting the user also deletes the hint. No request has this variant, because
	// variants of requests contain no NUL.
	hintVariant exchange.Variant = "\x00hint"

	// codeHintID takes the place of a refusal's code. A hint has no Token, so it can
	// never be returned as a token.
	codeHintID exchange.Code = "hint_id"
)

// Hints remembers users whose last token was an id token. That saves a call that the
// service would refuse. A hint may be missing or wrong at any time, which costs only
// that call. The zero value remembers nothing.
type Hints struct {
	Store exchange.Store // may be nil
}

// first returns the type of token to request first.
func (h Hints) first(user exchange.UserKey) TokenType {
	if h.Store == nil {
		return SessionToken
	}
	if rec, ok := h.Store.Get(user, hintVariant, time.Now()); ok && rec.Err != nil && rec.Err.Code == codeHintID {
		return IDToken
	}
	return SessionToken
}

// remember records the type of a user's last token. A session token needs no hint,
// because it is requested first without one.
func (h Hints) remember(user exchange.UserKey, t TokenType) {
	if h.Store == nil {
		return
	}
	if t == IDToken {
		h.Store.Put(user, hintVariant, exchange.Record{Err: &exchange.Error{Code: codeHintID}, Until: time.Now().Add(hintTTL)})
		return
	}
	h.drop(user)
}

// drop deletes a user's hint but not their tokens.
func (h Hints) drop(user exchange.UserKey) {
	if h.Store != nil && h.first(user) == IDToken {
		h.Store.Put(user, hintVariant, exchange.Record{Err: &exchange.Error{Code: codeHintID}}) // expired, so it deletes the hint
	}
}
