package service

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The values of Fault.Reset.
const (
	// ResetBefore resets the connection before the call is processed.
	ResetBefore = "before"
	// ResetAfter resets the connection after the call is processed.
	ResetAfter = "after"
)

const (
	maxFaultDuration = 24 * time.Hour
	maxFaultSize     = 1 << 30
)

// Fault is a fault that is injected into calls. The first fault in the list that matches
// the operation of a call applies, even if the call is invalid.
//
// These fields exclude each other:
//   - Reset closes the connection with a TCP RST, before or after the call is
//     processed. An HTTP/2 stream is reset instead.
//   - Redirect responds with 307 without processing the call.
//   - Garbage processes the call and responds with 200 and a body that is not JSON.
//   - Status, Body and Code define the response. The call is not processed, unless
//     Processed is set. A Status of 400 or more without Body and Code has an error
//     body in the format of the service.
//
// Without any of them, the call is processed and gets its usual response.
//
// Truncate, Size, Drip and Gzip change how the response is sent, and Headers are added to
// it. Delay is applied first. So a Fault with only a Delay is a slow call, and one with
// only Headers is a usual response with additional headers.
//
// In JSON, members are in snake_case, and durations are strings in Go's format
// ("1.5s"). A header is a string or a list of strings. The body is a string, or any
// other JSON value, which is sent as JSON.
type Fault struct {
	// Op is the operation that the fault matches. "" and "*" match all operations;
	// connect matches all of Human API.
	Op string `json:"op,omitempty"`

	// Times is the number of calls that the fault applies to. 0: no limit.
	Times int `json:"times,omitempty"`

	// Delay is the time to wait before anything else, at most 24h. If the client
	// disconnects meanwhile, the call is not processed.
	Delay time.Duration `json:"-"`

	// Status is the status of the response, from 200 to 599. 0: the usual one.
	Status int `json:"status,omitempty"`

	// Body is the body of the response. Empty: the usual one.
	Body string `json:"-"`

	// Code is one of the eight error codes in Human API's guide. It requires the
	// operation session, id or connect, and excludes Body. If Status is 0, the response
	// has the sandbox's status for this code.
	Code string `json:"code,omitempty"`

	// Shape is the position of Code in the body, which is not published: the member
	// errorCode (the default), error_code, code, error, message or type; "nested" for
	// {"error": {"code": …}}; or "text" for a part of message.
	Shape string `json:"shape,omitempty"`

	// Headers are set on the response and replace the sandbox's own.
	Headers http.Header `json:"-"`

	// Processed processes the call before the response with Status and Body, for example
	// a sign-up that creates the user and responds with 500. Without a Body, a Status
	// below 400 has the usual body.
	Processed bool `json:"processed,omitempty"`

	// AppearAfter, for signup only, creates the user this long after the call was
	// received, at most 24h, even if the client disconnects. Without Status and Body,
	// the response is 504. An invalid sign-up is rejected as usual. If the address is
	// taken meanwhile, no user is created.
	AppearAfter time.Duration `json:"-"`

	// Reset is ResetBefore or ResetAfter. Empty: no reset.
	Reset string `json:"reset,omitempty"`

	// Redirect is the Location of a 307 response. Empty: no redirect.
	Redirect string `json:"redirect,omitempty"`

	// Garbage responds with 200 and a body that is not JSON.
	Garbage bool `json:"garbage,omitempty"`

	// Truncate is the number of bytes of the body after which the connection is closed.
	// Content-Length is that of the whole body, and at least one byte is missing.
	// 0: no truncation.
	Truncate int `json:"truncate,omitempty"`

	// Size is the number of bytes to which the body is padded with trailing spaces, at
	// most 1 GiB. -1: endless. 0: no padding.
	Size int64 `json:"size,omitempty"`

	// Drip is the time to wait before each byte of the body, at most 24h.
	Drip time.Duration `json:"-"`

	// Gzip compresses the body, even if the client does not accept gzip. With Size it is
	// a decompression bomb.
	Gzip bool `json:"gzip,omitempty"`
}

// check returns an error if the fault is invalid.
func (f Fault) check(codes Codes) error {
	if f.Op != "" && f.Op != "*" && !slices.Contains(OperationNames, f.Op) {
		return fmt.Errorf("op: unknown operation %.40q; use one of %s", f.Op, strings.Join(OperationNames, ", "))
	}
	switch {
	case f.Times < 0:
		return errors.New("times must not be negative")
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return errors.New("status must be between 200 and 599")
	case f.Reset != "" && f.Reset != ResetBefore && f.Reset != ResetAfter:
		return fmt.Errorf("reset must be %s or %s", ResetBefore, ResetAfter)
	case f.Truncate < 0:
		return errors.New("truncate must not be negative")
	case f.Size < -1 || f.Size > maxFaultSize:
		return fmt.Errorf("size must be between -1 and %d", maxFaultSize)
	}
	return errors.Join(f.checkDurations(), f.checkHeaders(), f.checkCode(codes), f.checkCombinations())
}

// checkCombinations returns an error if fields exclude or require each other.
func (f Fault) checkCombinations() error {
	effects := 0
	for _, set := range []bool{f.Reset != "", f.Redirect != "", f.Garbage, f.hasResponse()} {
		if set {
			effects++
		}
	}
	altered := f.Size != 0 || f.Drip != 0 || f.Gzip
	switch {
	case effects > 1:
		return errors.New("reset, redirect, garbage and a response (status, body, code) exclude each other")
	case f.Reset != "" && (altered || f.Truncate != 0 || len(f.Headers) > 0):
		return errors.New("reset excludes headers, truncate, size, drip and gzip")
	case f.Processed && !f.hasResponse():
		return errors.New("processed requires status, body or code")
	case f.AppearAfter != 0 && (f.Op != OpSignUp || f.Processed || f.Redirect != "" || f.Garbage):
		return errors.New("appear_after requires the operation signup, and excludes processed, redirect and garbage")
	case f.Truncate > 0 && altered:
		return errors.New("truncate excludes size, drip and gzip")
	}
	return nil
}

// hasResponse reports whether the fault defines the response.
func (f Fault) hasResponse() bool { return f.Status != 0 || f.Body != "" || f.Code != "" }

// checkDurations returns an error if a duration is out of range.
func (f Fault) checkDurations() error {
	for name, d := range map[string]time.Duration{"delay": f.Delay, "appear_after": f.AppearAfter, "drip": f.Drip} {
		if d < 0 || d > maxFaultDuration {
			return fmt.Errorf("%s must be between 0 and %s", name, maxFaultDuration)
		}
	}
	return nil
}

// checkHeaders returns an error if Redirect or Headers are invalid.
func (f Fault) checkHeaders() error {
	if _, err := url.Parse(f.Redirect); err != nil || strings.ContainsAny(f.Redirect, "\r\n") {
		return errors.New("redirect must be a URL")
	}
	for name, values := range f.Headers {
		if !IsHeaderName(name) {
			return fmt.Errorf("headers: %.40q is not a valid header name", name)
		}
		if http.CanonicalHeaderKey(name) == "Content-Length" {
			return errors.New("headers: Content-Length cannot be set; use truncate")
		}
		if slices.ContainsFunc(values, func(v string) bool { return strings.ContainsAny(v, "\r\n\x00") }) {
			return fmt.Errorf("headers: the value of %.40q must not contain line breaks or NUL", name)
		}
	}
	return nil
}

// clone returns a deep copy.
func (f Fault) clone() Fault {
	f.Headers = f.Headers.Clone()
	return f
}
