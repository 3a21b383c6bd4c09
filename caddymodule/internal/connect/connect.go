// Package connect requests Connect tokens of Human API: a session token or an id token,
// and the other one if Human API refuses the first. It remembers which type a user had
// last, and classifies the errors of the calls.
//
// The package knows neither Caddy nor HTTP nor the wire format: the adapter implements
// the interface HumanAPI.
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

// The token types. A user gets session tokens until they have connected a data source,
// and id tokens from then on.
const (
	SessionToken TokenType = "session"
	IDToken      TokenType = "id"
)

// Op returns the call that requests a token of this type.
func (t TokenType) Op() exchange.Op {
	if t == IDToken {
		return exchange.OpID
	}
	return exchange.OpSession
}

// other returns the type to request if the service refuses t.
func (t TokenType) other() TokenType {
	if t == IDToken {
		return SessionToken
	}
	return IDToken
}

// Person is a user with the data that Human API needs.
type Person struct {
	ID    masked.String // the permanent id of the user in the operator's system
	Email masked.String // may be empty
}

// HumanAPI is the part of Human API that an exchange needs. Its errors are
// *exchange.StatusError, *exchange.TransportError, *exchange.ResponseError,
// *exchange.BreakerOpenError or a context's error. The Code of a StatusError is empty or
// one of Human API's codes (see IsErrorCode); in the latter case Definite is set.
type HumanAPI interface {
	Token(ctx context.Context, t TokenType, u Person) (*exchange.Token, error)
}

// Human API's own error codes about a user.
const (
	codeSessionNotAllowed = "SESSION_TOKEN_GENERATION_NOT_ALLOWED" // the user has connected a source: id tokens from now on
	codeUnknownUser       = "UNKNOWN_CLIENT_USER_ID"               // the user never had a session, or has connected nothing
	codeIDNotAllowed      = "ID_TOKEN_GENERATION_NOT_ALLOWED"
)

// errorCodes maps all the error codes that Human API has published to the Code of an
// exchange that ends with them.
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

// Exchange obtains a token of Human API for a user. Only the service knows which type
// the user may have, so its response decides. These are all the rules:
//
//  1. Request an id token if the user's last token was one, else a session token.
//  2. If the service refuses this user that type, request the other type, once.
//  3. If the service refuses that as well: connect_unavailable.
type Exchange struct {
	API   HumanAPI
	Hints Hints

	// OnlyKnown requests id tokens only. A session token would create a user whom the
	// service does not know.
	OnlyKnown bool

	User   exchange.UserKey // identifies the user in Hints: as in the Request
	Person Person
}

// Run implements the method of exchange.Exchange.
func (c *Exchange) Run(ctx context.Context) (*exchange.Token, exchange.Outcome, error) {
	first := c.Hints.first(c.User)
	if c.OnlyKnown {
		first = IDToken
	}
	token, err := c.API.Token(ctx, first, c.Person)
	switch {
	case !first.refusedBy(err):
		return c.end(first, token, err)
	case c.OnlyKnown:
		return nil, "", &exchange.Error{Code: exchange.CodeNotRegistered, Err: err}
	}

	second := first.other()
	token, secondErr := c.API.Token(exchange.WithPriority(ctx), second, c.Person)
	if !second.refusedBy(secondErr) {
		return c.end(second, token, secondErr)
	}

	c.Hints.drop(c.User)
	return nil, "", &exchange.Error{Code: exchange.CodeConnectUnavailable, Err: fmt.Errorf("%w; %w", err, secondErr)}
}

// end returns the result of the last call, and updates the hint.
func (c *Exchange) end(t TokenType, token *exchange.Token, err error) (*exchange.Token, exchange.Outcome, error) {
	if err == nil {
		c.Hints.remember(c.User, t)
		return token, exchange.OutcomeSignedIn, nil
	}
	e := classify(err)
	if e.Code == exchange.CodeConnectUnavailable {
		c.Hints.drop(c.User)
	}
	return nil, "", e
}

// refusedBy reports whether err says that this user gets no token of type t but may get
// one of the other type. The service's own code takes precedence over the status.
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

// classify is exchange.Classify with the meaning of Human API's own codes.
func classify(err error) *exchange.Error {
	e := exchange.Classify(err)
	var status *exchange.StatusError
	if errors.As(err, &status) && IsErrorCode(status.Code) {
		e.Code = errorCodes[status.Code]
	}
	return e
}

// CallResult returns the result of one attempt of a call to Human API, for metrics. err
// is the error of the attempt, nil if it succeeded.
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
