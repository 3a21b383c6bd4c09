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
	errTooLong  = fmt.Errorf("the answer is longer than %d KiB", maxResponse>>10)
	errEncoding = errors.New("the answer is compressed, although that was not asked for")
)

// response is the application's response. The zero value means that there was none.
type response struct {
	status   int
	encoding string
	body     []byte
}

// isUnauthenticated reports whether the status says that no user is signed in (401 or 403).
// The body is not read for this.
func (a response) isUnauthenticated() bool {
	return a.status == http.StatusUnauthorized || a.status == http.StatusForbidden
}

// read parses the document in the response.
func (a response) read() (claims.Document, error) {
	switch {
	case a.status >= 300 && a.status <= 399:
		return claims.Document{}, fmt.Errorf("the answer is a redirect (status %d), which is not followed: name a path that answers 401 when nobody is signed in", a.status)
	case a.status != http.StatusOK:
		return claims.Document{}, fmt.Errorf("the answer has the status %d", a.status)
	case len(a.body) > maxResponse:
		return claims.Document{}, errTooLong
	case a.encoding != "" && !strings.EqualFold(a.encoding, "identity"):
		return claims.Document{}, errEncoding
	case string(bytes.Trim(a.body, " \t\r\n")) == "null":
		return claims.Document{}, nil // no user; some applications respond with null instead of 401
	}
	d, err := claims.Parse(a.body)
	if err != nil {
		return claims.Document{}, fmt.Errorf("the answer cannot be read: %w", err)
	}
	return d, nil
}
