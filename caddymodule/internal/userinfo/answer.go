package userinfo

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
)

// The errors of an answer. None holds anything of it but its status.
var (
	errTooLong  = fmt.Errorf("the answer is longer than %d KiB", maxAnswer>>10)
	errEncoding = errors.New("the answer is compressed, although that was not asked for")
)

// response is what the application said. The zero value is that it said nothing.
type response struct {
	status   int
	encoding string
	body     []byte
}

// notSignedIn reports whether the application knows nobody by these headers.
// The status says it, whatever becomes of the body.
func (a response) notSignedIn() bool {
	return a.status == http.StatusUnauthorized || a.status == http.StatusForbidden
}

// read returns the document that the answer is.
func (a response) read() (claims.Document, error) {
	switch {
	case a.status >= 300 && a.status <= 399:
		return claims.Document{}, fmt.Errorf("the answer is a redirect (status %d), which is not followed: name a path that answers 401 when nobody is signed in", a.status)
	case a.status != http.StatusOK:
		return claims.Document{}, fmt.Errorf("the answer has the status %d", a.status)
	case len(a.body) > maxAnswer:
		return claims.Document{}, errTooLong
	case a.encoding != "" && !strings.EqualFold(a.encoding, "identity"):
		return claims.Document{}, errEncoding
	case string(bytes.Trim(a.body, " \t\r\n")) == "null":
		return claims.Document{}, nil // which says nothing of anybody: some answer so instead of 401
	}
	d, err := claims.Parse(a.body)
	if err != nil {
		return claims.Document{}, fmt.Errorf("the answer cannot be read: %w", err)
	}
	return d, nil
}
