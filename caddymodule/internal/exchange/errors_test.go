package exchange

import (
	"context"
	"testing"
	"time"
)

func TestStatusErrorText(t *testing.T) {
	for want, e := range map[string]*StatusError{
		"sign in: status 500":                                       {Op: OpSignIn, Status: 500, RetryAfter: time.Second},
		"sign up: status 400, code 100010":                          {Op: OpSignUp, Status: 400, Code: "100010"},
		"id token: status 403, request ID r-1":                      {Op: OpID, Status: 403, RequestID: "r-1"},
		"session token: status 403, code NOT_ALLOWED, request ID r": {Op: OpSession, Status: 403, Code: "NOT_ALLOWED", RequestID: "r", Definite: true},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestNoConnectionIsUnavailable checks the code of a failed connection, however long it
// was tried.
func TestNoConnectionIsUnavailable(t *testing.T) {
	for sent, want := range map[bool]Code{true: CodeTimeout, false: CodeUnavailable} {
		e := Classify(&TransportError{Op: OpSignIn, Sent: sent, Timeout: true, Err: context.DeadlineExceeded})
		if e.Code != want {
			t.Errorf("sent %v: %s, want %s", sent, e.Code, want)
		}
	}
}
