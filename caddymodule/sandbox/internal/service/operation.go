package service

import (
	"errors"
	"net/http"
	"time"
)

// Names of operations, as calls are counted and faults are aimed.
const (
	OpSignIn  = "signin"
	OpSignUp  = "signup"
	OpConsent = "consent"
	OpRefresh = "refresh"
	OpSignOut = "signout"

	// Human API's: the two kinds of token, and what asks for neither of them.
	OpSession = "session"
	OpID      = "id"
	OpConnect = "connect"
)

// OperationNames are the names of all operations.
var OperationNames = []string{OpSignIn, OpSignUp, OpConsent, OpRefresh, OpSignOut, OpSession, OpID, OpConnect}

// Operation is one endpoint of a service, or one of those that share a path.
type Operation struct {
	Name    string
	Path    string
	Success int // the status
	Body    Schema

	// TokenType is the body's type that asks for this operation, and Group the
	// name of all that share its path. Both are empty for an operation that
	// has its path to itself.
	TokenType, Group string

	// Signed calls carry deploymentId and signature; Huma's others userAgent.
	Signed bool

	// Serve responds to a call whose head and body are well-formed.
	Serve func(*Request) *Response
}

// matches reports whether a fault for the named operation is for this one.
func (op *Operation) matches(name string) bool {
	return name == "" || name == "*" || name == op.Name || name == op.Group
}

// Request is one call of an operation.
type Request struct {
	Operation *Operation
	HTTP      *http.Request
	Target    string // the request target that the client sent
	Body      []byte
	Members   map[string]any
	CreateAt  time.Time // see Fault.AppearAfter

	id        string
	malformed error // why there are no members
}

// Member is a member of the body, if it is a string.
func (r *Request) Member(name string) string {
	s, _ := r.Members[name].(string)
	return s
}

// read reads the body, which says the operation that is called.
func (r *Request) read(ops []*Operation) error {
	var err error
	if r.Body, err = readBody(r.HTTP); len(r.Body) > MaxBody {
		r.malformed = errors.New("too long")
	} else {
		r.Members, r.malformed = ParseObject(r.Body)
	}
	for _, r.Operation = range ops {
		if r.Operation.TokenType == "" || r.Members["type"] == r.Operation.TokenType {
			break
		}
	}
	return err
}
