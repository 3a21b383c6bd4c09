package connect

import (
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

const (
	// hintFor is how long a hint is remembered.
	hintFor = 30 * 24 * time.Hour

	// hintKind is where a user's hint stands among their tokens, so that
	// forgetting the user takes it along. No request asks for this kind: what
	// those are made of has no NUL in it.
	hintKind exchange.Kind = "\x00hint"

	// codeHintID is in the place of a refusal's code. A hint holds no Grant,
	// so whatever happens it is never handed out as a token.
	codeHintID exchange.Code = "hint_id"
)

// Hints remember whose last token was an id token, which saves such users a
// call that would be refused. A hint may be lost or wrong at any time: then it
// costs that call. The zero value remembers nothing.
type Hints struct {
	Store exchange.Store // may be nil
}

// first is the type of token to ask for first.
func (h Hints) first(user exchange.UserKey) TokenType {
	if h.Store == nil {
		return SessionToken
	}
	if rec, ok := h.Store.Get(user, hintKind, time.Now()); ok && rec.Err != nil && rec.Err.Code == codeHintID {
		return IDToken
	}
	return SessionToken
}

// remember notes the type of a user's last token. Of session tokens there is
// nothing to note: without a hint they come first.
func (h Hints) remember(user exchange.UserKey, t TokenType) {
	if h.Store == nil {
		return
	}
	if t == IDToken {
		h.Store.Put(user, hintKind, exchange.Record{Err: &exchange.Error{Code: codeHintID}, Until: time.Now().Add(hintFor)})
		return
	}
	h.drop(user)
}

// drop forgets a user's hint, and leaves their tokens.
func (h Hints) drop(user exchange.UserKey) {
	if h.Store != nil && h.first(user) == IDToken {
		h.Store.Put(user, hintKind, exchange.Record{Err: &exchange.Error{Code: codeHintID}}) // over already
	}
}
