// Package clienttype reads the client type from the query and the body of a request for
// a Huma token.
package clienttype

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
)

// maxBody is the maximum size of a request body, in bytes.
const maxBody = 4 << 10

// All lists the client types that Huma supports.
var All = []string{string(login.IOS), string(login.Android), string(login.Web)}

// The kinds of the errors of FromRequest.
var (
	// ErrValue: the client type is unknown, or the request has two different ones.
	ErrValue = errors.New("unknown client type, or two different client types")
	// ErrBody: the body is too large, cannot be read, or is neither a form nor a JSON
	// object.
	ErrBody = errors.New("invalid request body")
)

// requestError is an error of FromRequest. Its text contains no data of the request.
type requestError struct {
	kind error // ErrValue or ErrBody
	text string
}

func (e *requestError) Error() string { return e.text }
func (e *requestError) Unwrap() error { return e.kind }

// The errors of FromRequest.
var (
	errUnknown   = &requestError{ErrValue, "this client type does not exist"}
	errDifferent = &requestError{ErrValue, "the request has two different client types"}
	errEscape    = &requestError{ErrValue, "the client type is not percent-encoded correctly"}
	errRead      = &requestError{ErrBody, "cannot read the body"}
	errTooLong   = &requestError{ErrBody, "the body is too long"}
	errType      = &requestError{ErrBody, "the body has another Content-Type, or none"}
	errJSON      = &requestError{ErrBody, "the body is not valid JSON"}
	errNoObject  = &requestError{ErrBody, "the JSON value is not an object"}
	errNoString  = &requestError{ErrBody, "client_type is not a string"}
)

// FromRequest returns the client type of a request, from its query and, for POST, from
// its body. It returns "" if the request has none, and an error of the kind ErrValue or
// ErrBody if it is invalid.
func FromRequest(r *http.Request) (login.ClientType, error) {
	var p parser
	if err := p.query(r.URL.RawQuery); err != nil {
		return "", err
	}
	if r.Method == http.MethodPost {
		if err := p.body(r); err != nil {
			return "", err
		}
	}
	return p.value, nil
}

// parser collects the client type from the query and the body of a request.
// All occurrences must have the same value.
type parser struct{ value login.ClientType }

// isParameter reports whether name is a parameter name of the client type.
func isParameter(name string) bool { return name == "client_type" || name == "clientType" }

func (p *parser) add(v string) error {
	if v == "" {
		return nil
	}
	clientType := Parse(v)
	switch {
	case clientType == "":
		return errUnknown
	case p.value != "" && p.value != clientType:
		return errDifferent
	}
	p.value = clientType
	return nil
}

// Parse returns the client type for v, ignoring case, or "" if v is unknown.
func Parse(v string) login.ClientType {
	for _, clientType := range All {
		if len(clientType) == len(v) && strings.EqualFold(clientType, v) {
			return login.ClientType(clientType)
		}
	}
	return ""
}

// query scans a query or form. It does not build a map, because it runs on every
// request.
func (p *parser) query(raw string) error {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		if strings.IndexByte(pair, '%') >= 0 || strings.IndexByte(pair, '+') >= 0 {
			var err1, err2 error
			name, err1 = url.QueryUnescape(name)
			value, err2 = url.QueryUnescape(value)
			switch {
			case err1 != nil:
				continue // like net/url
			case isParameter(name) && err2 != nil:
				return errEscape
			}
		}
		if !isParameter(name) {
			continue
		}
		if err := p.add(value); err != nil {
			return err
		}
	}
	return nil
}

// body reads the request body, a form or a JSON object. An empty body is valid.
func (p *parser) body(r *http.Request) error {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return errRead
	case len(b) > maxBody:
		return errTooLong
	case len(b) == 0:
		return nil
	}
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case contentType == "application/x-www-form-urlencoded":
		return p.query(string(b))
	case contentType == "application/json" || strings.HasSuffix(contentType, "+json"):
		return p.json(b)
	}
	return errType
}

// json reads a JSON object member by member, to detect duplicate names. A map would
// contain only the last member of each name.
func (p *parser) json(b []byte) error {
	if !json.Valid(b) { // also rejects data after the JSON value
		return errJSON
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if open, _ := dec.Token(); open != json.Delim('{') {
		return errNoObject
	}
	for dec.More() {
		name, _ := dec.Token() // b is valid JSON, so there are no errors
		var raw json.RawMessage
		_ = dec.Decode(&raw)
		if name, _ := name.(string); !isParameter(name) {
			continue
		}
		var v *string
		switch {
		case json.Unmarshal(raw, &v) != nil:
			return errNoString
		case v == nil:
			continue
		}
		if err := p.add(*v); err != nil {
			return err
		}
	}
	return nil
}
