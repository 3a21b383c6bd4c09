package humatoken

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

// The errors of clientTypeOf. errClientTypes: the client type is unknown, or the request
// has two different ones. errBody: the body is too large, cannot be read, or is neither a
// form nor a JSON object.
var (
	errClientTypes = errors.New("two client types")
	errBody        = errors.New("unusable body")
)

// clientTypeOf returns the client type of a request, from its query and, for POST, from
// its body. It returns "" if the request has none.
func clientTypeOf(r *http.Request) (login.ClientType, error) {
	var named clientTypeParser
	if err := named.query(r.URL.RawQuery); err != nil {
		return "", err
	}
	if r.Method == http.MethodPost {
		if err := named.body(r); err != nil {
			return "", err
		}
	}
	return named.value, nil
}

// clientTypeParser collects the client type from the query and the body of a request.
// All occurrences must have the same value.
type clientTypeParser struct{ value login.ClientType }

// isClientType reports whether name is a parameter name of the client type.
func isClientType(name string) bool { return name == "client_type" || name == "clientType" }

func (n *clientTypeParser) add(v string) error {
	if v == "" {
		return nil
	}
	kind := parseClientType(v)
	if kind == "" || n.value != "" && n.value != kind {
		return errClientTypes
	}
	n.value = kind
	return nil
}

// parseClientType returns the client type for v, ignoring case, or "" if v is unknown.
func parseClientType(v string) login.ClientType {
	for _, kind := range clientTypes {
		if len(kind) == len(v) && strings.EqualFold(kind, v) {
			return login.ClientType(kind)
		}
	}
	return ""
}

// query scans a query or form. It does not build a map, because it runs on every
// request.
func (n *clientTypeParser) query(raw string) error {
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
			case isClientType(name) && err2 != nil:
				return errClientTypes
			}
		}
		if !isClientType(name) {
			continue
		}
		if err := n.add(value); err != nil {
			return err
		}
	}
	return nil
}

// body reads the request body, a form or a JSON object. An empty body is valid.
func (n *clientTypeParser) body(r *http.Request) error {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil || len(b) > maxBody:
		return errBody
	case len(b) == 0:
		return nil
	}
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case contentType == "application/x-www-form-urlencoded":
		return n.query(string(b))
	case contentType == "application/json" || strings.HasSuffix(contentType, "+json"):
		return n.json(b)
	}
	return errBody
}

// json reads a JSON object member by member, to detect duplicate names. A map would
// contain only the last member of each name.
func (n *clientTypeParser) json(b []byte) error {
	if !json.Valid(b) { // also rejects data after the JSON value
		return errBody
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if open, _ := dec.Token(); open != json.Delim('{') {
		return errBody
	}
	for dec.More() {
		name, _ := dec.Token() // b is valid JSON, so there are no errors
		var raw json.RawMessage
		_ = dec.Decode(&raw)
		if name, _ := name.(string); !isClientType(name) {
			continue
		}
		var v *string
		switch {
		case json.Unmarshal(raw, &v) != nil:
			return errBody
		case v == nil:
			continue
		}
		if err := n.add(*v); err != nil {
			return err
		}
	}
	return nil
}
