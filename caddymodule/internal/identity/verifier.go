package identity

import (
	"context"
	"net/http"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
)

// Verifier verifies signed assertions.
type Verifier interface {
	// Verify returns what a signed token says, if it is to be believed: its
	// signature, issuer, audience and times. Its error is always a
	// *Rejection.
	Verify(ctx context.Context, token string) (claims.Document, error)
}

// Asker asks the application who a request comes from.
type Asker interface {
	// Ask returns what the application says of the sender of these headers.
	// Its error is always a *Rejection.
	Ask(ctx context.Context, host string, header http.Header) (claims.Document, error)
}
