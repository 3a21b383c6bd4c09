package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// TokenType is a type of Human API's Connect tokens.
type TokenType string

// The types that a page may have. A user is given session tokens until they
// have connected a source of data, and id tokens from then on.
const (
	SessionToken TokenType = "session"
	IDToken      TokenType = "id"
)

// Op is the call that asks for a token of this type.
func (t TokenType) Op() Op {
	if t == IDToken {
		return OpID
	}
	return OpSession
}

// other is what there is to ask for if the service refuses t.
func (t TokenType) other() TokenType {
	if t == IDToken {
		return SessionToken
	}
	return IDToken
}

// ConnectUser is a user as Human API has to know them.
type ConnectUser struct {
	ID    masked.String // names them in the operator's system, for ever
	Email masked.String // may be empty
}

// HumanAPI is the part of Human API that an exchange needs. Its errors are
// *StatusError, *TransportError, *AnswerError, *OpenError or a context's. A
// StatusError's Code is one for which IsConnectCode holds, and Definite then.
type HumanAPI interface {
	Token(ctx context.Context, t TokenType, u ConnectUser) (*Grant, error)
}

// Human API's own error codes about a user.
const (
	codeSessionNotAllowed = "SESSION_TOKEN_GENERATION_NOT_ALLOWED" // has connected a source: id tokens from now on
	codeUnknownUser       = "UNKNOWN_CLIENT_USER_ID"               // never had a session, or connected nothing
	codeIDNotAllowed      = "ID_TOKEN_GENERATION_NOT_ALLOWED"
)

// connectCodes are all the codes that Human API has published, and what we
// answer if one of them is the end.
var connectCodes = map[string]Code{
	codeSessionNotAllowed: CodeConnectUnavailable,
	codeUnknownUser:       CodeConnectUnavailable,
	codeIDNotAllowed:      CodeConnectUnavailable,

	"INVALID_CLIENT_ID":                   CodeConfig,
	"INVALID_CLIENT_ID_OR_SECRET":         CodeConfig,
	"CLIENT_TOKEN_GENERATION_NOT_ALLOWED": CodeConfig,
	"NOT_AUTHORIZED":                      CodeConfig,

	"INVALID_TOKEN_TYPE": CodeRejected,
}

// IsConnectCode reports whether text is an error code of Human API.
func IsConnectCode(text string) bool {
	_, known := connectCodes[text]
	return known
}

// Connect gets a person a token of Human API. Only the service knows which
// type it is to be, so its answer decides. It is the whole rule:
//
//	ask for an id token if the user's last one was that, else for a session
//	token; if the service refuses this user that type, ask for the other, once;
//	if it refuses that as well: connect_unavailable.
type Connect struct {
	API   HumanAPI
	Hints Hints

	// OnlyKnown asks for an id token alone: a session token would make a user
	// of somebody whom the service does not know.
	OnlyKnown bool

	User   UserKey // names the user in Hints: as in the Request
	Person ConnectUser
}

// Mint makes what Minter asks for of a token.
func (c *Connect) Mint(ctx context.Context) (*Grant, Outcome, error) {
	first := c.Hints.first(c.User)
	if c.OnlyKnown {
		first = IDToken
	}
	grant, err := c.API.Token(ctx, first, c.Person)
	switch {
	case !first.refusedBy(err):
		return c.end(first, grant, err)
	case c.OnlyKnown:
		return nil, "", &Error{Code: CodeNotRegistered, Err: err}
	}

	second := first.other()
	grant, secondErr := c.API.Token(goesOn(ctx), second, c.Person)
	if !second.refusedBy(secondErr) {
		return c.end(second, grant, secondErr)
	}

	c.Hints.drop(c.User)
	return nil, "", &Error{Code: CodeConnectUnavailable, Err: fmt.Errorf("%w; %w", err, secondErr)}
}

// end is what comes of the last call.
func (c *Connect) end(t TokenType, grant *Grant, err error) (*Grant, Outcome, error) {
	if err == nil {
		c.Hints.remember(c.User, t)
		return grant, OutcomeSignedIn, nil
	}
	e := connectFailure(err)
	if e.Code == CodeConnectUnavailable {
		c.Hints.drop(c.User)
	}
	return nil, "", e
}

// refusedBy reports whether the service says that this user gets no token of
// type t, which the other type may be the answer to. Its own code outranks the
// status.
func (t TokenType) refusedBy(err error) bool {
	var status *StatusError
	if !errors.As(err, &status) {
		return false
	}
	switch known := IsConnectCode(status.Code); {
	case t == SessionToken && known:
		return status.Code == codeSessionNotAllowed
	case t == SessionToken:
		return status.Status == http.StatusForbidden
	case known:
		return status.Code == codeUnknownUser || status.Code == codeIDNotAllowed
	}
	return status.Status == http.StatusForbidden || status.Status == http.StatusNotFound
}

// connectFailure is failure with what Human API's own codes say.
func connectFailure(err error) *Error {
	e := failure(err)
	var status *StatusError
	if errors.As(err, &status) && IsConnectCode(status.Code) {
		e.Code = connectCodes[status.Code]
	}
	return e
}
