package humanapi

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// The error codes in Human API's guide.
const (
	codeSessionNotAllowed = "SESSION_TOKEN_GENERATION_NOT_ALLOWED"
	codeIDNotAllowed      = "ID_TOKEN_GENERATION_NOT_ALLOWED"
	codeUserUnknown       = "UNKNOWN_CLIENT_USER_ID"
	codeClientUnknown     = "INVALID_CLIENT_ID"
	codeSecretWrong       = "INVALID_CLIENT_ID_OR_SECRET"
	codeClientNotAllowed  = "CLIENT_TOKEN_GENERATION_NOT_ALLOWED"
	codeNotAuthorized     = "NOT_AUTHORIZED"
	codeTypeWrong         = "INVALID_TOKEN_TYPE"
)

// codeStatus is the status of each error code. Only the 403 of
// SESSION_TOKEN_GENERATION_NOT_ALLOWED is published.
var codeStatus = map[string]int{
	codeSessionNotAllowed: http.StatusForbidden,
	codeIDNotAllowed:      http.StatusForbidden,
	codeUserUnknown:       http.StatusForbidden,
	codeClientUnknown:     http.StatusForbidden,
	codeSecretWrong:       http.StatusUnauthorized,
	codeClientNotAllowed:  http.StatusForbidden,
	codeNotAuthorized:     http.StatusUnauthorized,
	codeTypeWrong:         http.StatusBadRequest,
}

// shapes are the possible positions of an error code in a body, whose format is not
// published.
var shapes = []string{"errorCode", "error_code", "code", "error", "message", "type", "nested", "text"}

// codeBody returns an error body with a code in one of the shapes.
func codeBody(code, shape, message string) []byte {
	var body map[string]any
	switch shape {
	case "nested":
		body = map[string]any{"error": map[string]any{"code": code, "message": message}}
	case "text":
		body = map[string]any{"message": fmt.Sprintf("%s (%s): see the guide", message, code)}
	default:
		body = map[string]any{"message": message}
		body[shape] = code // replaces the message if the shape is "message"
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings cannot fail
	}
	return text
}

// Codes are the allowed values of Fault.Code. The default shape is errorCode, the only
// name that is published.
var Codes = service.Codes{Status: codeStatus, Shapes: shapes, Body: codeBody}

// rejectCode returns an error response with a code. The message must not contain the
// code, so that a client that searches codes only in messages fails its tests.
func rejectCode(code, message string) *service.Response {
	return &service.Response{
		Status:  codeStatus[code],
		Body:    codeBody(code, "errorCode", message),
		Problem: code + ": " + message,
	}
}

// rejectBody returns an error response for an invalid body. No code is published for it.
func rejectBody(format string, args ...any) *service.Response {
	return reject(&service.Rejection{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)})
}

// reject returns an error response for a rejection. No code is published for it.
func reject(rejection *service.Rejection) *service.Response {
	r := service.JSON(rejection.Status, map[string]any{"message": rejection.Message})
	r.Problem = rejection.Message
	return r
}

// errorForStatus returns an error response without a code.
func errorForStatus(status int) *service.Response {
	return reject(&service.Rejection{Status: status, Message: http.StatusText(status)})
}
