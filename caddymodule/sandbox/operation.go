package sandbox

import (
	"errors"
	"net/http"
	"slices"
	"time"
)

// operations are the endpoints of all services played.
var operations []*operation

func init() {
	// Not in the declaration: the endpoints' functions lead back to it.
	operations = slices.Concat(humaOperations(), humanOperations())
}

// service is one of the APIs played, where they differ.
type service struct {
	// requestID is the header that numbers every answer; empty for none.
	requestID string

	// check is everything that comes before an operation.
	check func(*Server, *call) *refusal

	// describe adds to the log's entry what a body says about its sender.
	describe func(entry *Call, members map[string]any)

	// refuse writes a refusal.
	refuse func(*refusal) answer

	// failure is an error that a fault wants and does not describe further.
	failure func(status int) answer
}

// operation is one endpoint of a service, or one of those that share a path.
type operation struct {
	service *service
	name    string
	path    string
	success int
	body    schema

	// kind is the body's type that asks for this operation, and group the
	// name of all that share its path. Both are empty for an operation that
	// has its path to itself.
	kind, group string

	// signed calls carry deploymentId and signature; the others userAgent.
	signed bool

	// serve answers a call whose head and body are well-formed.
	serve func(*Server, *call) answer
}

// operationsAt are the operations that share a path. The last one is for
// bodies that ask for none of the others.
func operationsAt(path string) []*operation {
	var found []*operation
	for _, op := range operations {
		if op.path == path {
			found = append(found, op)
		}
	}
	return found
}

// call is one call of an operation.
type call struct {
	op        *operation
	request   *http.Request
	target    string // the request target that the client sent
	requestID string
	body      []byte
	members   map[string]any
	malformed error     // why there are no members
	appearAt  time.Time // see Fault.AppearAfter
}

// text is a member of the body, if it is a string.
func (c *call) text(name string) string {
	s, _ := c.members[name].(string)
	return s
}

// serveOperation is the way of a call: logged, perhaps spoilt, processed,
// answered.
func (s *Server) serveOperation(w http.ResponseWriter, r *http.Request, ops []*operation, target string) {
	svc := ops[0].service
	c := &call{request: r, target: target}
	if svc.requestID != "" {
		c.requestID = opaque(12)
		w.Header().Set(svc.requestID, c.requestID)
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		a := svc.refuse(refuse(http.StatusMethodNotAllowed, codeInvalidRequest, "method not allowed"))
		delivery{answer: a, finish: func(int, string) {}}.send(w, r)
		return
	}
	err := c.read(ops)
	entry := s.state.calls.begin(c.describe(s.state.now()), r.RemoteAddr)
	fault, faulty := s.state.takeFault(c.op)
	finished := false
	finish := func(status int, problem string) {
		if !finished {
			finished = true
			s.state.calls.end(entry, status, problem, faulty)
		}
	}
	defer finish(0, "the client left")
	if err != nil {
		return
	}
	a, ok := s.perform(c, fault)
	if !ok {
		return
	}
	d := delivery{answer: a, fault: fault, finish: finish}
	d.send(w, r)
}

// read reads the body, which says the operation that is called.
func (c *call) read(ops []*operation) error {
	var err error
	if c.body, err = readBody(c.request); len(c.body) > maxBody {
		c.malformed = errors.New("too long")
	} else {
		c.members, c.malformed = parseObject(c.body)
	}
	for _, c.op = range ops {
		if c.op.kind == "" || c.members["type"] == c.op.kind {
			break
		}
	}
	return err
}

// process answers a call as the service would.
func (s *Server) process(c *call) answer {
	if ref := c.op.service.check(s, c); ref != nil {
		return c.op.service.refuse(ref)
	}
	return c.op.serve(s, c)
}

// describe makes the log's entry. The body has not been checked yet, and will
// not be if a fault says so; the log tells what it can.
func (c *call) describe(now time.Time) Call {
	entry := Call{Op: c.op.name, At: now, RequestID: c.requestID}
	c.op.service.describe(&entry, c.members)
	return entry
}

// matches reports whether a fault for the named operation is for this one.
func (op *operation) matches(name string) bool {
	return name == "" || name == "*" || name == op.name || name == op.group
}
