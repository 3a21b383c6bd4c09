// Package clienttype reads the client type from the query and the body of a request for
// a Huma token.
package clienttype

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
)

// maxBody is the maximum size of a request body, in bytes.
const maxBody = 4 << 10

// All lists the client types that Huma supports.
var All = []string{string(login.IOS), string(login.Android), string(login.Web)}

// The errors of FromRequest.
var (
	errUnknown   = &problem.Error{Code: problem.ClientTypeUnknown, Hint: "this client type does not exist"}
	errDifferent = &problem.Error{Code: problem.ClientTypeUnknown, Hint: "the request has two different client types"}
	errEscape    = &problem.Error{Code: problem.ClientTypeUnknown, Hint: "the client type is not percent-encoded correctly"}
	errRead      = &problem.Error{Code: problem.BodyInvalid, Hint: "cannot read the body"}
	errTooLong   = &problem.Error{Code: problem.BodyInvalid, Hint: "the body is too long"}
	errType      = &problem.Error{Code: problem.BodyInvalid, Hint: "the body has another Content-Type, or none"}
	errJSON      = &problem.Error{Code: problem.BodyInvalid, Hint: "the body is not valid JSON, is nested too deeply, or an object in it has a member twice"}
	errNoObject  = &problem.Error{Code: problem.BodyInvalid, Hint: "the JSON value is not an object"}
	errNoString  = &problem.Error{Code: problem.BodyInvalid, Hint: "client_type is not a string"}
)

// FromRequest returns the client type of a request, from its query and, for POST, from
// its body. It returns "" if the request has none. The caller must not change the error.
func FromRequest(r *http.Request) (login.ClientType, *problem.Error) {
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

func (p *parser) add(v string) *problem.Error {
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
func (p *parser) query(raw string) *problem.Error {
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
func (p *parser) body(r *http.Request) *problem.Error {
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

// json reads a JSON object.
func (p *parser) json(b []byte) *problem.Error {
	doc, err := claims.Parse(b)
	switch {
	case err != nil && !errors.Is(err, claims.ErrNeither):
		return errJSON
	case doc.Map() == nil:
		return errNoObject
	}
	for _, name := range [...]string{"client_type", "clientType"} {
		switch v := doc.Map()[name].(type) {
		case nil:
		case string:
			if err := p.add(v); err != nil {
				return err
			}
		default:
			return errNoString
		}
	}
	return nil
}
