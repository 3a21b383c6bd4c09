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

// codeMembers are the usual members for an error code. The service has published its
// codes, but not where a response contains them.
var codeMembers = []string{"errorCode", "error_code", "code", "error", "message", "type"}

// requestIDName is the header with the service's request id, and one of the members
// that may contain it.
const requestIDName = "x-humanapi-request-id"

var requestIDMembers = []string{requestIDName, "requestId", "request_id"}

// object is a JSON object.
type object map[string]json.RawMessage

// readErrorResponse implements wire.Call.Refused. A known code means that the service has
// decided about the request, whatever the status is (Definite). Other text is not
// copied.
func readErrorResponse(e *exchange.StatusError, header http.Header, body []byte) {
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

// readObjects returns the JSON object of the body, and the object in its member error,
// if there is one.
func readObjects(body []byte) []object {
	outer, reason := wire.Object(body)
	if reason != "" {
		return nil
	}
	objects := []object{outer}
	if inner, reason := wire.Object(outer["error"]); reason == "" {
		objects = append(objects, inner)
	}
	return objects
}

// readCode returns the first known code that is the whole text of a member, or else the
// first that is a word of a message, or else "".
func readCode(objects []object) string {
	for _, o := range objects {
		for _, name := range codeMembers {
			if text := wire.Text(o[name]); connect.IsErrorCode(text) {
				return text
			}
		}
	}
	for _, o := range objects {
		// Compare whole words, because one code is the prefix of another.
		for _, word := range strings.FieldsFunc(wire.Text(o["message"]), isBetweenWords) {
			if connect.IsErrorCode(word) {
				return strings.Clone(word) // do not retain the rest of the message in memory
			}
		}
	}
	return ""
}

func isBetweenWords(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }
