package exchange

import (
	"context"
	"errors"
	"fmt"
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

// TestTransientOrOutage checks which errors are retried, and which ones the breaker
// counts.
func TestTransientOrOutage(t *testing.T) {
	status := func(s int) error { return &StatusError{Op: OpSession, Status: s} }
	definite := func(s int) error { return &StatusError{Op: OpSession, Status: s, Code: "C", Definite: true} }
	for _, test := range []struct {
		name              string
		err               error
		transient, outage bool
	}{
		{"none", nil, false, false},
		{"400", status(400), false, false},
		{"403", status(403), false, false},
		{"408", status(408), true, true},
		{"429", status(429), true, false},
		{"500", status(500), false, true},
		{"501", status(501), false, true},
		{"502", status(502), true, true},
		{"503", status(503), true, true},
		{"504", status(504), true, true},
		{"wrapped", fmt.Errorf("x: %w", status(503)), true, true},
		{"definite 408", definite(408), false, false},
		{"definite 429", definite(429), false, false},
		{"definite 500", definite(500), false, false},
		{"definite 503", definite(503), false, false},
		{"connection", &TransportError{Op: OpID, Err: errors.New("x")}, true, true},
		{"timeout", &TransportError{Op: OpID, Timeout: true, Err: context.DeadlineExceeded}, true, true},
		{"left", &TransportError{Op: OpID, Err: context.Canceled}, false, false},
		{"response", &ResponseError{Op: OpID}, false, false},
		{"breaker", &BreakerOpenError{}, false, false},
	} {
		if got := IsTransient(test.err); got != test.transient {
			t.Errorf("%s: transient is %v", test.name, got)
		}
		if got := IsOutage(test.err); got != test.outage {
			t.Errorf("%s: outage is %v", test.name, got)
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
