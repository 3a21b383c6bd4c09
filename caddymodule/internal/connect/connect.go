// Package connect is Human API's rule for Connect tokens: it asks for a session token
// or an id token, and for the other one if Human API refuses the first. It remembers
// which type a user had last, and classifies the errors of the calls.
//
// It knows neither Caddy nor HTTP nor the wire format: the adapter implements HumanAPI.
package connect

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
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
func (t TokenType) Op() exchange.Op {
	if t == IDToken {
		return exchange.OpID
	}
	return exchange.OpSession
}

// other is what there is to ask for if the service refuses t.
func (t TokenType) other() TokenType {
	if t == IDToken {
		return SessionToken
	}
	return IDToken
}

// Person is a user as Human API has to know them.
type Person struct {
	ID    masked.String // names them in the operator's system, for ever
	Email masked.String // may be empty
}

// HumanAPI is the part of Human API that an exchange needs. Its errors are
// *exchange.StatusError, *exchange.TransportError, *exchange.AnswerError,
// *exchange.OpenError or a context's. A StatusError's Code is one for which
// IsErrorCode holds, and Definite then.
type HumanAPI interface {
	Token(ctx context.Context, t TokenType, u Person) (*exchange.Grant, error)
}

// Human API's own error codes about a user.
const (
	codeSessionNotAllowed = "SESSION_TOKEN_GENERATION_NOT_ALLOWED" // has connected a source: id tokens from now on
	codeUnknownUser       = "UNKNOWN_CLIENT_USER_ID"               // never had a session, or connected nothing
	codeIDNotAllowed      = "ID_TOKEN_GENERATION_NOT_ALLOWED"
)

// errorCodes are all the codes that Human API has published, and what we
// answer if one of them is the end.
var errorCodes = map[string]exchange.Code{
	codeSessionNotAllowed: exchange.CodeConnectUnavailable,
	codeUnknownUser:       exchange.CodeConnectUnavailable,
	codeIDNotAllowed:      exchange.CodeConnectUnavailable,

	"INVALID_CLIENT_ID":                   exchange.CodeConfig,
	"INVALID_CLIENT_ID_OR_SECRET":         exchange.CodeConfig,
	"CLIENT_TOKEN_GENERATION_NOT_ALLOWED": exchange.CodeConfig,
	"NOT_AUTHORIZED":                      exchange.CodeConfig,

	"INVALID_TOKEN_TYPE": exchange.CodeRejected,
}

// IsErrorCode reports whether text is an error code of Human API.
func IsErrorCode(text string) bool {
	_, known := errorCodes[text]
	return known
}

// Exchange gets a user a token of Human API. Only the service knows which
// type it is to be, so its answer decides. It is the whole rule:
//
//	ask for an id token if the user's last one was that, else for a session
//	token; if the service refuses this user that type, ask for the other, once;
//	if it refuses that as well: connect_unavailable.
type Exchange struct {
	API   HumanAPI
	Hints Hints

	// OnlyKnown asks for an id token alone: a session token would make a user
	// of somebody whom the service does not know.
	OnlyKnown bool

	User   exchange.UserKey // names the user in Hints: as in the Request
	Person Person
}

// Mint makes what exchange.Minter asks for of a token.
func (c *Exchange) Mint(ctx context.Context) (*exchange.Grant, exchange.Outcome, error) {
	first := c.Hints.first(c.User)
	if c.OnlyKnown {
		first = IDToken
	}
	grant, err := c.API.Token(ctx, first, c.Person)
	switch {
	case !first.refusedBy(err):
		return c.end(first, grant, err)
	case c.OnlyKnown:
		return nil, "", &exchange.Error{Code: exchange.CodeNotRegistered, Err: err}
	}

	second := first.other()
	grant, secondErr := c.API.Token(exchange.WithPriority(ctx), second, c.Person)
	if !second.refusedBy(secondErr) {
		return c.end(second, grant, secondErr)
	}

	c.Hints.drop(c.User)
	return nil, "", &exchange.Error{Code: exchange.CodeConnectUnavailable, Err: fmt.Errorf("%w; %w", err, secondErr)}
}

// end is what comes of the last call.
func (c *Exchange) end(t TokenType, grant *exchange.Grant, err error) (*exchange.Grant, exchange.Outcome, error) {
	if err == nil {
		c.Hints.remember(c.User, t)
		return grant, exchange.OutcomeSignedIn, nil
	}
	e := classify(err)
	if e.Code == exchange.CodeConnectUnavailable {
		c.Hints.drop(c.User)
	}
	return nil, "", e
}

// refusedBy reports whether the service says that this user gets no token of
// type t, which the other type may be the answer to. Its own code outranks the
// status.
func (t TokenType) refusedBy(err error) bool {
	var status *exchange.StatusError
	if !errors.As(err, &status) {
		return false
	}
	switch known := IsErrorCode(status.Code); {
	case t == SessionToken && known:
		return status.Code == codeSessionNotAllowed
	case t == SessionToken:
		return status.Status == http.StatusForbidden
	case known:
		return status.Code == codeUnknownUser || status.Code == codeIDNotAllowed
	}
	return status.Status == http.StatusForbidden || status.Status == http.StatusNotFound
}

// classify is exchange.Classify with what Human API's own codes say.
func classify(err error) *exchange.Error {
	e := exchange.Classify(err)
	var status *exchange.StatusError
	if errors.As(err, &status) && IsErrorCode(status.Code) {
		e.Code = errorCodes[status.Code]
	}
	return e
}

// CallResult returns the result of one attempt at a call at Human API for
// metrics. err is the error of the attempt, nil if it succeeded.
func CallResult(op exchange.Op, err error) exchange.CallResult {
	if err == nil {
		return exchange.CallOK
	}
	t := SessionToken
	if op == exchange.OpID {
		t = IDToken
	}
	e := classify(err)
	return exchange.CallResultOf(e, t.refusedBy(err) || e.Code == exchange.CodeConnectUnavailable)
}
