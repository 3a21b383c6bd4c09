package userinfo

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
)

// Errors of a response. They contain only its status.
var (
	errTooLong  = fmt.Errorf("the response is longer than %d KiB", maxResponse>>10)
	errEncoding = errors.New("the response is compressed, but compression was not requested")
)

// parse parses the document in the application's response.
func parse(r subrequest.Response) (claims.Document, error) {
	encoding := r.Header.Get("Content-Encoding")
	switch {
	case r.Status >= 300 && r.Status <= 399:
		return claims.Document{}, fmt.Errorf("unexpected status %d: redirects are not followed; use a path that responds with 401 if the user is not signed in", r.Status)
	case r.Status != http.StatusOK:
		return claims.Document{}, fmt.Errorf("unexpected status %d", r.Status)
	case len(r.Body) > maxResponse:
		return claims.Document{}, errTooLong
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		return claims.Document{}, errEncoding
	case string(bytes.Trim(r.Body, " \t\r\n")) == "null":
		return claims.Document{}, nil // no user; some applications respond with null instead of 401
	}
	d, err := claims.ParseLatin1(r.Body)
	if err != nil {
		return claims.Document{}, fmt.Errorf("parse response: %w", err)
	}
	return d, nil
}
