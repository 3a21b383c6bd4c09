package userinfo

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
)

// Errors of a response. They contain only its status.
var (
	errTooLong  = fmt.Errorf("the response is longer than %d KiB", maxResponse>>10)
	errEncoding = errors.New("the response is compressed, but compression was not requested")
)

// response is the application's response. The zero value means that there was none.
type response struct {
	status   int
	encoding string
	body     []byte
}

// isUnauthenticated reports whether the status says that no user is signed in (401 or
// 403). The body is not read for this.
func (r response) isUnauthenticated() bool {
	return r.status == http.StatusUnauthorized || r.status == http.StatusForbidden
}

// read parses the document in the response.
func (r response) read() (claims.Document, error) {
	switch {
	case r.status >= 300 && r.status <= 399:
		return claims.Document{}, fmt.Errorf("unexpected status %d: redirects are not followed; use a path that responds with 401 if the user is not signed in", r.status)
	case r.status != http.StatusOK:
		return claims.Document{}, fmt.Errorf("unexpected status %d", r.status)
	case len(r.body) > maxResponse:
		return claims.Document{}, errTooLong
	case r.encoding != "" && !strings.EqualFold(r.encoding, "identity"):
		return claims.Document{}, errEncoding
	case string(bytes.Trim(r.body, " \t\r\n")) == "null":
		return claims.Document{}, nil // no user; some applications respond with null instead of 401
	}
	d, err := claims.ParseLatin1(r.body)
	if err != nil {
		return claims.Document{}, fmt.Errorf("parse response: %w", err)
	}
	return d, nil
}
