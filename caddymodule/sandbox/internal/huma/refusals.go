package huma

import (
	"fmt"
	"net/http"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// Codes of Huma's errors, as far as they are published.
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

// reject is a refusal as Huma writes it.
func reject(status, code int, format string, args ...any) *service.Response {
	message := fmt.Sprintf(format, args...)
	r := writeError(status, code, message)
	r.Problem = message
	return r
}

// rejectCall refuses a call for what it looks like.
func rejectCall(refusal *service.Rejection) *service.Response {
	return reject(refusal.Status, CodeInvalidRequest, "%s", refusal.Message)
}

// errorForStatus is an error that nobody described further.
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

func writeError(status, code int, message string) *service.Response {
	return service.JSON(status, map[string]any{"code": code, "message": message})
}
