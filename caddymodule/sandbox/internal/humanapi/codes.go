package humanapi

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// Codes of Human API's errors: those that its guide names.
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

// codeStatus holds the codes with the status that the sandbox gives them. Only
// the 403 of a session that is refused is published.
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

// shapes are the ways in which a code of Human API's may stand in a body,
// whose real shape is not published.
var shapes = []string{"errorCode", "error_code", "code", "error", "message", "type", "nested", "text"}

// codeBody writes a code in one of the shapes.
func codeBody(code, shape, message string) []byte {
	var body map[string]any
	switch shape {
	case "nested":
		body = map[string]any{"error": map[string]any{"code": code, "message": message}}
	case "text":
		body = map[string]any{"message": fmt.Sprintf("%s (%s): see the guide", message, code)}
	default:
		// The member comes last: in the shape "message" it is the message.
		body = map[string]any{"message": message}
		body[shape] = code
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // made of strings
	}
	return text
}

// Codes are the errors that a fault can name. Their shape is errorCode, as only
// that name is published: see Fault.Shape for others.
var Codes = service.Codes{Status: codeStatus, Shapes: shapes, Body: codeBody}

// rejectCode refuses with a code. The message must not name a code: a client
// that finds codes in messages only would pass unnoticed.
func rejectCode(code, message string) *service.Response {
	return &service.Response{
		Status:  codeStatus[code],
		Body:    codeBody(code, "errorCode", message),
		Problem: code + ": " + message,
	}
}

// rejectBody refuses a body, for which no code is published.
func rejectBody(format string, args ...any) *service.Response {
	return reject(&service.Rejection{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)})
}

// reject writes a refusal for which no code is published.
func reject(refusal *service.Rejection) *service.Response {
	r := service.JSON(refusal.Status, map[string]any{"message": refusal.Message})
	r.Problem = refusal.Message
	return r
}

// errorForStatus is an error that nobody described further.
func errorForStatus(status int) *service.Response {
	return reject(&service.Rejection{Status: status, Message: http.StatusText(status)})
}
