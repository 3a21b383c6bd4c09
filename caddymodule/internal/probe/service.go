package probe

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// service is a service whose tokens an endpoint issues.
type service struct {
	name        string   // the value of --service
	title       string   // in messages
	path        string   // the default path of an endpoint
	tokens      []string // the fields with a token, the one that identifies a response first
	fields      []field
	fix         string                   // what the response should be
	clientTypes bool                     // a request may have a client type
	details     map[exchange.Code]string // see endpoint.Service
}

// field is a field of a token response.
type field struct {
	name    string
	seconds bool   // a lifetime; otherwise a text
	reader  string // who reads it, for the message if it is missing; empty: it may be missing
	longest int64  // the longest plausible lifetime in seconds
}

const (
	hour = 60 * 60
	day  = 24 * hour
	year = 365 * day
)

// The services. The fields of Huma are those that its SDKs build their authentication
// from: the iOS SDK from all of the first five, the Android SDK from authToken and
// refreshToken (Huma's quick starts of the SDKs).
var (
	huma = &service{
		name: "huma", title: "Huma", path: endpoint.Huma.Path, clientTypes: true, details: endpoint.Huma.Details,
		tokens: []string{"authToken", "refreshToken"},
		fields: []field{
			{name: "uid", reader: "the iOS SDK"},
			{name: "authToken", reader: "the SDKs of iOS and Android"},
			{name: "authTokenExpiresIn", seconds: true, reader: "the iOS SDK", longest: 2 * day},
			{name: "refreshToken", reader: "the SDKs of iOS and Android"},
			{name: "refreshTokenExpiresIn", seconds: true, reader: "the iOS SDK", longest: 2 * year},
			{name: "expiresIn", seconds: true, longest: 2 * year},
		},
		fix: "respond with uid, authToken, authTokenExpiresIn, refreshToken, refreshTokenExpiresIn (expiresIn in Huma's response) and expiresIn, with lifetimes as whole numbers of seconds",
	}
	humanAPI = &service{
		name: "human_api", title: "Human API", path: endpoint.HumanAPI.Path, details: endpoint.HumanAPI.Details,
		tokens: []string{"session_token", "id_token"},
		fields: []field{
			{name: "token"},
			{name: "type"},
			{name: "expires_in", seconds: true, reader: "the app, to request a new token in time", longest: 7 * day},
			{name: "session_token"},
			{name: "id_token"},
			{name: "human_id"},
		},
		fix: "respond with session_token or id_token, and with expires_in as a whole number of seconds",
	}
)

// services lists all services.
var services = []*service{huma, humanAPI}

// serviceByName returns the service of a value of --service, or nil.
func serviceByName(name string) *service {
	for _, s := range services {
		if s.name == name {
			return s
		}
	}
	return nil
}

// document is the content of a response.
type document struct {
	members map[string]any // with json.Number for numbers
	err     error          // why it is not a JSON object
}

var (
	errEmpty     = errors.New("the body is empty")
	errHTML      = errors.New("the body is a page (HTML)")
	errNotJSON   = errors.New("the body is not JSON")
	errNotObject = errors.New("the body is JSON, but not an object")
	errTooLarge  = errors.New("the body has more than 1 MiB")
)

// parse parses the body of a response.
func parse(r *response) *document {
	text := strings.TrimSpace(r.body.Reveal())
	switch {
	case r.isHTML():
		return &document{err: errHTML}
	case r.truncated:
		return &document{err: errTooLarge}
	case text == "":
		return &document{err: errEmpty}
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return &document{err: errNotJSON}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return &document{err: errNotJSON}
	}
	members, ok := v.(map[string]any)
	if !ok {
		return &document{err: errNotObject}
	}
	return &document{members: members}
}

// recognize returns the service whose token the document is, or nil.
func (d *document) recognize() *service {
	for _, s := range services {
		for _, name := range s.tokens {
			if _, ok := d.members[name]; ok {
				return s
			}
		}
	}
	return nil
}

// wrapper returns the name of the member whose value is the token response, if it is one
// of the usual names, or "another field". It returns "" if there is no such member.
func (d *document) wrapper() string {
	for name, v := range d.members {
		members, _ := v.(map[string]any)
		if (&document{members: members}).recognize() == nil {
			continue
		}
		switch name {
		case "data", "result", "response", "payload", "body", "token", "tokens":
			return name
		}
		return "another field"
	}
	return ""
}

// token returns the token of a service in the document, or "". It must not be printed.
func (d *document) token(s *service) string {
	for _, name := range s.tokens {
		if token, _ := d.members[name].(string); token != "" {
			return token
		}
	}
	return ""
}

// lifetime returns the lifetime in a field, and false if it is not a whole number.
func (d *document) lifetime(name string) (int64, bool) {
	n, ok := d.members[name].(json.Number)
	if !ok {
		return 0, false
	}
	seconds, err := n.Int64()
	return seconds, err == nil
}
