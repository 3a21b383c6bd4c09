// Package service is what the services that are played have in common: how a
// call is read, logged, spoilt by a fault and responded to.
package service

import (
	"net/http"
	"time"
)

// State is what the services share and what outlives a request.
type State struct {
	Now    func() time.Time
	Calls  *Calls
	Faults *Faults
}

// API is one of the APIs that are played, where they differ.
type API struct {
	// State is what the API shares with the others.
	State *State

	// Operations are the API's endpoints. Of those that share a path, the last
	// one is for bodies that ask for none of the others.
	Operations []*Operation

	// RequestID is the header that numbers every response; empty for none.
	RequestID string

	// Check is everything that comes before an operation: nil, or a refusal.
	Check func(*Request) *Response

	// DescribeCall adds to the log's entry what a body says about its sender.
	DescribeCall func(entry *Call, members map[string]any)

	// Reject writes a refusal.
	Reject func(*Rejection) *Response

	// ErrorForStatus is an error that a fault wants and does not describe further.
	ErrorForStatus func(status int) *Response
}

// Serve serves a call if there is an operation at its path; else it is false.
// The target is what the client sent and signed. A call is logged, perhaps
// spoilt, processed and responded to.
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
		refused := a.Reject(reject(http.StatusMethodNotAllowed, "method not allowed"))
		responsePlan{Response: refused, finish: func(int, string) {}}.send(w, r)
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
	defer finish(0, "the client left")
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

func (a *API) operationsAt(path string) []*Operation {
	var found []*Operation
	for _, op := range a.Operations {
		if op.Path == path {
			found = append(found, op)
		}
	}
	return found
}

// describe makes the log's entry. The body has not been checked yet, and will
// not be if a fault says so; the log tells what it can.
func (a *API) describe(r *Request) Call {
	entry := Call{Op: r.Operation.Name, At: a.State.Now(), RequestID: r.id}
	a.DescribeCall(&entry, r.Members)
	return entry
}

// process responds to a call as the service would.
func (a *API) process(r *Request) *Response {
	if refused := a.Check(r); refused != nil {
		return refused
	}
	return r.Operation.Serve(r)
}

// respond finds the response to a call under a fault. It is false if the client
// left meanwhile.
func (a *API) respond(r *Request, f Fault) (*Response, bool) {
	var later *Response
	if f.AppearAfter > 0 {
		// Before the delay: the account comes whatever becomes of the client.
		r.CreateAt = a.State.Now().Add(f.AppearAfter)
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
