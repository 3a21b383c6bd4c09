// Package service implements what the fake services share: parsing and logging calls,
// injecting faults, and sending responses.
package service

import (
	"net/http"
	"time"
)

// State is the state that all services share.
type State struct {
	Now    func() time.Time // the clock
	Calls  *Calls           // the log of the calls
	Faults *Faults          // the remaining faults
}

// API defines what is specific to the API of one service.
type API struct {
	// State is shared by all APIs.
	State *State

	// Operations are the operations of the API. If several share a path, the last one is
	// for bodies that match none of the others.
	Operations []*Operation

	// RequestID is the response header with the id of the request. Empty: none.
	RequestID string

	// Check validates a call before the operation. Nil: the call is valid; otherwise the
	// error response.
	Check func(*Request) *Response

	// DescribeCall adds the user and the client in the body to the log entry. The body
	// has not been validated.
	DescribeCall func(entry *Call, members map[string]any)

	// Reject returns the error response for a rejected call.
	Reject func(*Rejection) *Response

	// ErrorForStatus returns the error response for a Fault with a Status only.
	ErrorForStatus func(status int) *Response
}

// Serve handles a request if there is an operation at its path; otherwise it returns
// false. target is the request target as the client sent and signed it. The call is
// logged, processed and responded to, with the first fault that matches.
func (a *API) Serve(w http.ResponseWriter, r *http.Request, path, target string) bool {
	ops := a.operationsAt(path)
	if len(ops) == 0 {
		return false
	}
	c := &Request{HTTP: r, Target: target}
	if a.RequestID != "" {
		c.id = RandomToken(12)
		w.Header().Set(a.RequestID, c.id)
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		rejected := a.Reject(reject(http.StatusMethodNotAllowed, "method not allowed"))
		responsePlan{Response: rejected, finish: func(int, string) {}}.send(w, r)
		return true
	}
	err := c.read(ops)
	entry := a.State.Calls.begin(a.describe(c), r.RemoteAddr)
	fault, faulty := a.State.Faults.take(c.Operation)
	finished := false
	finish := func(status int, problem string) {
		if !finished {
			finished = true
			a.State.Calls.end(entry, status, problem, faulty)
		}
	}
	defer finish(0, "client disconnected")
	if err != nil {
		return true
	}
	response, ok := a.respond(c, fault)
	if !ok {
		return true
	}
	responsePlan{Response: response, fault: fault, finish: finish}.send(w, r)
	return true
}

// operationsAt returns the operations at a path.
func (a *API) operationsAt(path string) []*Operation {
	var found []*Operation
	for _, op := range a.Operations {
		if op.Path == path {
			found = append(found, op)
		}
	}
	return found
}

// describe returns the log entry of a call. The body has not been validated, and with a
// fault it may never be.
func (a *API) describe(r *Request) Call {
	entry := Call{Op: r.Operation.Name, At: a.State.Now(), RequestID: r.id}
	a.DescribeCall(&entry, r.Members)
	return entry
}

// process returns the usual response to a call.
func (a *API) process(r *Request) *Response {
	if rejected := a.Check(r); rejected != nil {
		return rejected
	}
	return r.Operation.Serve(r)
}

// respond returns the response to a call with a fault. It returns false if the client
// disconnected meanwhile.
func (a *API) respond(r *Request, f Fault) (*Response, bool) {
	var later *Response
	if f.AppearAfter > 0 {
		// Before the delay: the user is created even if the client disconnects.
		r.CreateAfter = f.AppearAfter
		if later = a.process(r); later.Problem == "" {
			later = a.ErrorForStatus(http.StatusGatewayTimeout)
		}
	}
	if !wait(r.HTTP, f.Delay) {
		return nil, false
	}
	switch {
	case f.Reset == ResetBefore:
		return new(Response), true
	case f.Redirect != "":
		return &Response{Status: http.StatusTemporaryRedirect}, true
	case f.AppearAfter > 0 && (f.Status == 0 && f.Body == "" || later.Status < 500):
		return later, true
	case f.Status == 0 && f.Body == "":
		response := a.process(r)
		if f.Garbage {
			response = &Response{Status: http.StatusOK, Body: []byte(Garbage)}
		}
		return response, true
	}
	response := &Response{Status: r.Operation.Success}
	if f.Processed {
		response = a.process(r)
	}
	if f.Status >= 400 {
		response.Body = a.ErrorForStatus(f.Status).Body
	}
	if f.Status != 0 {
		response.Status = f.Status
	}
	if f.Body != "" {
		response.Body = []byte(f.Body)
	}
	return response, true
}
