package huma

import (
	"fmt"
	"net/http"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// The published error codes of Huma.
const (
	CodeTokenExpired   = 10001
	CodeTokenWrong     = 10002
	CodeProjectInvalid = 100001
	CodeClientInvalid  = 100002
	CodeInvalidRequest = 100003
	CodeForbiddenID    = 100004
	CodeUnauthorized   = 100006
	CodeUserExists     = 100010
	CodeUserUnknown    = 300011
)

// reject returns an error response in Huma's format, for a call that is rejected. The log
// has the same message.
func reject(status, code int, format string, args ...any) *service.Response {
	message := fmt.Sprintf(format, args...)
	r := writeError(status, code, message)
	r.Problem = message
	return r
}

// rejectCall returns the error response for a rejection.
func rejectCall(rejection *service.Rejection) *service.Response {
	return reject(rejection.Status, CodeInvalidRequest, "%s", rejection.Message)
}

// errorForStatus returns an error response with the usual code of a status.
func errorForStatus(status int) *service.Response {
	code, found := map[int]int{
		http.StatusBadRequest:   CodeInvalidRequest,
		http.StatusUnauthorized: CodeUnauthorized,
		http.StatusForbidden:    CodeUserUnknown,
		http.StatusConflict:     CodeUserExists,
	}[status]
	if !found {
		code = status
	}
	return writeError(status, code, http.StatusText(status))
}

// writeError returns a response with an error in Huma's format.
func writeError(status, code int, message string) *service.Response {
	return service.JSON(status, map[string]any{"code": code, "message": message})
}
