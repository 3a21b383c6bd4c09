// Package login signs users in at Huma, and signs up those whom Huma does not know, at
// most once at a time in this process and over all replicas. It classifies the errors
// of Huma's calls.
//
// The package knows neither Caddy nor HTTP nor Huma's wire format: the adapter
// implements the interface Huma.
package login

import (
	"context"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// ClientType is the type of the application that requests a token.
type ClientType string

// The client types of Huma.
const (
	IOS     ClientType = "ios"
	Android ClientType = "android"
	Web     ClientType = "web"
)

// Person is a user with the data that Huma needs.
type Person struct {
	Email      masked.String
	FirstName  masked.String // may be empty
	LastName   masked.String // may be empty
	ClientIP   string        // Caddy's client IP
	ClientType ClientType
}

// Huma is the part of Huma's API that an exchange needs. Its errors are
// *exchange.StatusError, *exchange.TransportError, *exchange.ResponseError,
// *exchange.BreakerOpenError or a context's error.
type Huma interface {
	// SignIn requests a token for an existing user.
	SignIn(ctx context.Context, p Person) (*exchange.Token, error)

	// SignUp creates a user. The Token is nil if the user was created but the response
	// contains no token, as with an older version of the API. SignUp sends at most one
	// request, whatever the result is.
	SignUp(ctx context.Context, p Person) (*exchange.Token, error)

	// SignConsent signs the consent on the user's behalf.
	SignConsent(ctx context.Context, p Person) error
}
