package exchange

import (
	"context"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// ClientType is the kind of application that asks.
type ClientType string

// The client types of Huma.
const (
	IOS     ClientType = "ios"
	Android ClientType = "android"
	Web     ClientType = "web"
)

// Person is a user as the service has to know them.
type Person struct {
	Email      masked.String
	FirstName  masked.String // may be empty
	LastName   masked.String // may be empty
	ClientIP   string        // Caddy's client IP
	ClientType ClientType
}

// Huma is the part of Huma's API that an exchange needs. Its errors are
// *StatusError, *TransportError, *AnswerError, *OpenError or a context's.
type Huma interface {
	// SignIn asks for a token of an existing user.
	SignIn(ctx context.Context, p Person) (*Grant, error)

	// SignUp creates a user. The Grant is nil if the user was created but the
	// answer carries no token, as an older version of the API does it.
	// It sends at most one request, whatever becomes of it.
	SignUp(ctx context.Context, p Person) (*Grant, error)

	// SignConsent signs the consent on the user's behalf.
	SignConsent(ctx context.Context, p Person) error
}
