package service

import (
	"errors"
	"net/http"
	"time"
)

// The operations of Huma, as in Call.Op and Fault.Op.
const (
	OpSignIn  = "signin"
	OpSignUp  = "signup"
	OpConsent = "consent"
	OpRefresh = "refresh"
	OpSignOut = "signout"

	// The operations of Human API: requests for the two token types, and requests for
	// any other type.
	OpSession = "session"
	OpID      = "id"
	OpConnect = "connect"
)

// OperationNames are the names of all operations.
var OperationNames = []string{OpSignIn, OpSignUp, OpConsent, OpRefresh, OpSignOut, OpSession, OpID, OpConnect}

// Operation is one operation of an API. Several operations can share a path.
type Operation struct {
	Name    string // one of OperationNames
	Path    string
	Success int // the status of a successful response
	Body    Schema

	// TokenType is the member type of the body that selects this operation, and Group is
	// the name of all operations that share its path. Both are empty if the operation
	// does not share its path.
	TokenType, Group string

	// Signed is true if the call requires the headers that authenticate this site:
	// deploymentId and signature, or those of another edition. Huma's other operations
	// require userAgent.
	Signed bool

	// Serve returns the response to a call with valid headers and body.
	Serve func(*Request) *Response
}

// matches reports whether a fault with the given Op applies to this operation.
func (op *Operation) matches(name string) bool {
	return name == "" || name == "*" || name == op.Name || name == op.Group
}

// Request is a call of an operation.
type Request struct {
	Operation   *Operation
	HTTP        *http.Request
	Target      string // the request target as the client sent it
	Body        []byte
	Members     map[string]any
	CreateAfter time.Duration // see Fault.AppearAfter

	id        string
	malformed error // why Members is nil
}

// Member returns a member of the body, or "" if it is missing or not a string.
func (r *Request) Member(name string) string {
	s, _ := r.Members[name].(string)
	return s
}

// read reads the body and sets Operation to the one of ops that the body selects. The
// error is that of the connection.
func (r *Request) read(ops []*Operation) error {
	var err error
	if r.Body, err = readBody(r.HTTP); len(r.Body) > MaxBody {
		r.malformed = errors.New("body is too long")
	} else {
		r.Members, r.malformed = parseObject(r.Body)
	}
	for _, r.Operation = range ops {
		if r.Operation.TokenType == "" || r.Members["type"] == r.Operation.TokenType {
			break
		}
	}
	return err
}
