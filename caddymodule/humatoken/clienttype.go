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

// maxBody is how long the body of a request may be.
const maxBody = 4 << 10

// errClientTypes stands for two client types in one request.
var (
	errClientTypes = errors.New("two client types")
	errBody        = errors.New("unusable body")
)

// clientTypeOf finds the client type that the request names: in the query,
// and with POST in the body. It is empty if there is none.
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

// clientTypeParser collects the client type from the places where it may stand. All
// of them have to agree.
type clientTypeParser struct{ value login.ClientType }

// isClientType reports whether a parameter is the client type.
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

// parseClientType finds a client type whatever its case; empty if there is none.
func parseClientType(v string) login.ClientType {
	for _, kind := range clientTypes {
		if len(kind) == len(v) && strings.EqualFold(kind, v) {
			return login.ClientType(kind)
		}
	}
	return ""
}

// query looks through a query or form without making a map of it: this is on
// the way of every request.
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
				continue // as net/url does
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

// body reads a form or a JSON object.
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

// json reads a JSON object member by member: a map would keep the last of two
// that have one name.
func (n *clientTypeParser) json(b []byte) error {
	if !json.Valid(b) { // and nothing behind it
		return errBody
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if open, _ := dec.Token(); open != json.Delim('{') {
		return errBody
	}
	for dec.More() {
		name, _ := dec.Token() // the text is valid: there are no errors any more
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
