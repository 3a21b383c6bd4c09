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

// Values of Fault.Reset.
const (
	// ResetBefore resets the connection before the call is processed.
	ResetBefore = "before"
	// ResetAfter processes the call, then resets the connection.
	ResetAfter = "after"
)

const (
	maxFaultDuration = 24 * time.Hour
	maxFaultSize     = 1 << 30
)

// Fault makes calls go wrong. Faults are tried in the order of their list and
// the first one for a call's operation applies, whatever the call looks like.
//
// What happens is one of these:
//   - Reset: the connection is closed with a TCP RST, before or after the call
//     is processed. Where the connection cannot be taken over (HTTP/2), the
//     stream is reset instead.
//   - Redirect: 307, not processed.
//   - Garbage: processed, then answered with 200 and something that is not JSON.
//   - Status, Body, Code: answered so and not processed, unless Processed is
//     set. A Status of 400 or more without a Body or Code gets an error of the
//     service's form.
//   - none of them: processed and answered as usual.
//
// Truncate, Size, Drip and Gzip then spoil how the response is sent, and Headers
// are added to it. Delay comes before everything. So a Delay alone is a slow
// call, and Headers alone are a usual response with more headers.
//
// In JSON the members are lower-case with underscores, durations are Go's
// ("1.5s"), a header is a string or a list of them, and body is a string or
// any other JSON value, which is then sent as it is.
type Fault struct {
	// Op is the operation it is for; "" or "*" is all of them, and connect all
	// of Human API's: session, id, and what asks for neither.
	Op string

	// Times is how many calls it applies to. 0: all, until replaced.
	Times int

	// Delay waits before anything else. A client that leaves meanwhile ends
	// the call: it is not processed.
	Delay time.Duration

	// Status of the response, 200 to 599.
	Status int

	// Body of the response.
	Body string

	// Code answers with one of the eight codes of Human API's guide, for the
	// operations session, id and connect only, and not with a Body. Its Status
	// is the sandbox's own for that code, unless given.
	Code string

	// Shape is where in the body the Code stands, since that is not published:
	// in the member errorCode (the default), error_code, code, error, message
	// or type, "nested" in {"error": {"code": …}}, or as "text" within message.
	Shape string

	// Headers are set on the response, in place of the sandbox's own.
	Headers http.Header

	// Processed processes the call before it is answered with Status and Body:
	// a sign-up that worked and whose response was a 500. Without a Body, a
	// Status below 400 keeps the body of the real response.
	Processed bool

	// AppearAfter, for signup only, lets the account come into being so long
	// after the call arrived, by itself, whatever became of the call and its
	// client. Unless told otherwise the response is 504. A sign-up that is
	// invalid is refused as usual; if the address is taken in between, nothing
	// more happens.
	AppearAfter time.Duration

	// Reset is ResetBefore or ResetAfter.
	Reset string

	// Redirect is the Location of a 307.
	Redirect string

	// Garbage answers with 200 and something that is not JSON.
	Garbage bool

	// Truncate announces the whole body, sends so many bytes of it (at least
	// one less than there are) and cuts the connection.
	Truncate int

	// Size pads the body with trailing spaces to so many bytes; -1 never ends.
	Size int64

	// Drip waits so long before each byte of the body.
	Drip time.Duration

	// Gzip sends the body compressed, asked for or not. With Size it is a bomb.
	Gzip bool
}

// check says what is wrong with a fault.
func (f Fault) check(codes Codes) error {
	if f.Op != "" && f.Op != "*" && !slices.Contains(OperationNames, f.Op) {
		return fmt.Errorf("op: %.40q is unknown", f.Op)
	}
	switch {
	case f.Times < 0:
		return errors.New("times: negative")
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return errors.New("status: not between 200 and 599")
	case f.Reset != "" && f.Reset != ResetBefore && f.Reset != ResetAfter:
		return fmt.Errorf("reset: not %s or %s", ResetBefore, ResetAfter)
	case f.Truncate < 0 || f.Size < -1 || f.Size > maxFaultSize:
		return errors.New("truncate, size: out of range")
	}
	return errors.Join(f.checkDurations(), f.checkHeaders(), f.checkCode(codes), f.checkCombinations())
}

// checkCombinations says what does not go together.
func (f Fault) checkCombinations() error {
	kinds := 0
	for _, set := range []bool{f.Reset != "", f.Redirect != "", f.Garbage, f.hasResponse()} {
		if set {
			kinds++
		}
	}
	spoiled := f.Size != 0 || f.Drip != 0 || f.Gzip
	switch {
	case kinds > 1:
		return errors.New("only one of reset, redirect, garbage and status with body or code goes")
	case f.Reset != "" && (spoiled || f.Truncate != 0 || len(f.Headers) > 0):
		return errors.New("reset: nothing is sent that could have headers, truncate, size, drip or gzip")
	case f.Processed && !f.hasResponse():
		return errors.New("processed: goes with status, body or code")
	case f.AppearAfter != 0 && (f.Op != OpSignUp || f.Processed || f.Redirect != "" || f.Garbage):
		return errors.New("appear_after: only for signup, and not with processed, redirect or garbage")
	case f.Truncate > 0 && spoiled:
		return errors.New("truncate: not with size, drip or gzip")
	}
	return nil
}

// hasResponse tells that the fault brings a response of its own.
func (f Fault) hasResponse() bool { return f.Status != 0 || f.Body != "" || f.Code != "" }

func (f Fault) checkDurations() error {
	for name, d := range map[string]time.Duration{"delay": f.Delay, "appear_after": f.AppearAfter, "drip": f.Drip} {
		if d < 0 || d > maxFaultDuration {
			return fmt.Errorf("%s: not between 0 and %s", name, maxFaultDuration)
		}
	}
	return nil
}

func (f Fault) checkHeaders() error {
	if _, err := url.Parse(f.Redirect); err != nil || strings.ContainsAny(f.Redirect, "\r\n") {
		return errors.New("redirect: not a URL")
	}
	for name, values := range f.Headers {
		if !IsHeaderName(name) {
			return fmt.Errorf("headers: %.40q is not a header name", name)
		}
		if http.CanonicalHeaderKey(name) == "Content-Length" {
			return errors.New("headers: Content-Length belongs to truncate")
		}
		if slices.ContainsFunc(values, func(v string) bool { return strings.ContainsAny(v, "\r\n\x00") }) {
			return fmt.Errorf("headers: the value of %.40q holds a line break or NUL", name)
		}
	}
	return nil
}

func (f Fault) clone() Fault {
	f.Headers = f.Headers.Clone()
	return f
}
