package humanapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"unicode"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/connect"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/wire"
)

// The service has published its error codes, and not where in an answer they
// stand. These are the places that are usual.
var codeMembers = []string{"errorCode", "error_code", "code", "error", "message", "type"}

// requestIDName is the header with the service's id of the request, and one of
// the members that may hold it.
const requestIDName = "x-humanapi-request-id"

var requestIDMembers = []string{requestIDName, "requestId", "request_id"}

// object is a JSON object.
type object map[string]json.RawMessage

// readRefusal implements wire.Call.Refused. A code that is known is what the
// service has decided, whatever the status; of any other text nothing is kept.
func readRefusal(e *exchange.StatusError, header http.Header, body []byte) {
	objects := readObjects(body)
	e.Code = readCode(objects)
	e.Definite = e.Code != ""

	ids := []string{header.Get(requestIDName)}
	for _, o := range objects {
		for _, name := range requestIDMembers {
			ids = append(ids, wire.TextOrNumber(o[name]))
		}
	}
	e.RequestID = wire.RequestID(ids...)
}

// readObjects returns the object that a body is and the one that its member
// `error` may be.
func readObjects(body []byte) []object {
	outer, why := wire.Object(body)
	if why != "" {
		return nil
	}
	objects := []object{outer}
	if inner, why := wire.Object(outer["error"]); why == "" {
		objects = append(objects, inner)
	}
	return objects
}

// readCode returns the first known code that is a whole text, else the first
// that is a word of a message, else nothing.
func readCode(objects []object) string {
	for _, o := range objects {
		for _, name := range codeMembers {
			if text := wire.Text(o[name]); connect.IsErrorCode(text) {
				return text
			}
		}
	}
	for _, o := range objects {
		// Whole words, because one code is the beginning of another.
		for _, word := range strings.FieldsFunc(wire.Text(o["message"]), isBetweenWords) {
			if connect.IsErrorCode(word) {
				return strings.Clone(word) // the rest of the message is not kept with it
			}
		}
	}
	return ""
}

func isBetweenWords(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }
