// Package sandbox is a fake of the Huma Integration API, for tests and for
// trying things out: it keeps users in memory, issues tokens that look like
// the real ones, checks signatures, headers and bodies as strictly as the
// published description allows, logs every call and goes wrong on demand.
//
// A Server is an http.Handler:
//
//	fake := sandbox.New(sandbox.Config{})
//	srv := httptest.NewServer(fake)
//
// The same in Caddy is the handler huma_sandbox (see Handler). Beside the API
// there is a control API under /_sandbox/ and a page at /. Both are open to
// everybody who reaches them, as a test needs it: bind the sandbox to loopback.
//
// # Control API
//
//	GET  /_sandbox/calls   what was called: a CallLog; ?limit=n for the newest n
//	GET  /_sandbox/users   {"users": [User…]}; ?limit=n for the newest n
//	GET  /_sandbox/faults  the faults that are left, as PUT takes them
//	PUT  /_sandbox/faults  replaces the faults: a list of Fault
//	POST /_sandbox/reset   forgets users, calls and faults; configured users return
//
// # Errors
//
// The service's errors are {"code", "message"}. Statuses that are not
// published are marked with a star:
//
//	404*, 405*, 413*, 415* 100003  no such endpoint, method, too long, not JSON
//	400* 100003  a header or member is missing, unknown or of another type
//	403* 100004  another deployment
//	401* 100006  the signature does not verify
//	403* 100001  another project
//	403* 100002  an unknown client
//	403  300011  (* the code) the user does not exist
//	400  100010  the user exists already
//	401* 10002   not a refresh token of this sandbox, or revoked
//	401* 10001   the refresh token expired
//
// They are checked in this order. The package shares no code with any client,
// so that one mistake cannot hide another.
package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// operations are the endpoints of all services played.
var operations []*operation

func init() {
	// Not in the declaration: the endpoints' functions lead back to it.
	operations = humaOperations()
}

// Server plays the service. It is safe for concurrent use.
type Server struct {
	cfg   Config
	state *state

	// seeded is the generation of the state whose users include Config.Users.
	seeded atomic.Uint64
}

// call is one call of an operation.
type call struct {
	op       *operation
	request  *http.Request
	target   string // the request target that the client sent
	body     []byte
	members  map[string]any
	appearAt time.Time // see Fault.AppearAfter
}

// text is a member of the body, if it is a string.
func (c *call) text(name string) string {
	s, _ := c.members[name].(string)
	return s
}

// New makes a Server with a state of its own. It panics if the configuration
// is invalid: in a test there is nobody to hand the error to.
func New(cfg Config) *Server {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		panic("sandbox: " + err.Error())
	}
	return newServer(cfg, newState())
}

// newServer expects a complete and checked configuration.
func newServer(cfg Config, st *state) *Server {
	return &Server{cfg: cfg, state: st}
}

// Calls returns what was called since the start or the last reset.
func (s *Server) Calls() CallLog { return s.state.calls.report(0) }

// Users returns all users in the order they were registered.
func (s *Server) Users() []User {
	s.seed()
	return s.state.list(0)
}

// AddUser registers a user behind the API's back and returns it, or the one
// who has this address already.
func (s *Server) AddUser(email string) User {
	s.seed()
	u, _ := s.state.create(email, nil)
	return u
}

// SetFaults replaces all faults. If one of them is wrong nothing changes.
func (s *Server) SetFaults(faults []Fault) error { return s.state.setFaults(faults) }

// Faults returns the faults that are left.
func (s *Server) Faults() []Fault { return s.state.listFaults() }

// Reset forgets users, calls and faults. The users of the configuration are
// there again afterwards.
func (s *Server) Reset() { s.state.reset() }

// seed registers the configured users, once after the start and each reset. It
// runs when the server is used and not when it is made: in Caddy a
// configuration that was rejected must leave no trace in the shared state.
func (s *Server) seed() {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if s.seeded.Swap(s.state.generation) == s.state.generation {
		return
	}
	for _, email := range s.cfg.Users {
		s.state.insert(email, nil)
	}
}

// ServeHTTP serves the API, the control API and the page.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	target := r.RequestURI
	if target == "" {
		target = r.URL.RequestURI()
	}
	s.serve(w, r, target)
}

// serve is ServeHTTP for requests whose URL was rewritten on the way: target
// is what the client sent and signed.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, target string) {
	s.seed()
	if path, found := strings.CutPrefix(r.URL.Path, s.cfg.Prefix); found {
		for _, op := range operations {
			if op.path == path {
				s.serveOperation(w, r, op, target)
				return
			}
		}
	}
	if name, found := strings.CutPrefix(r.URL.Path, "/_sandbox/"); found && s.serveControl(w, r, name) {
		return
	}
	if r.URL.Path == "/" && allow(w, r, http.MethodGet, http.MethodHead) {
		servePage(w, r, "page.html")
		return
	}
	if r.URL.Path != "/" {
		writeError(w, http.StatusNotFound, codeInvalidRequest, "there is nothing here")
	}
}

// serveOperation is the way of a call: logged, perhaps spoilt, processed,
// answered.
func (s *Server) serveOperation(w http.ResponseWriter, r *http.Request, op *operation, target string) {
	if !allow(w, r, http.MethodPost) {
		return
	}
	body, err := readBody(r)
	c := &call{op: op, request: r, target: target, body: body}
	entry := s.state.calls.begin(describe(c, s.state.now()), r.RemoteAddr)
	fault, faulty := s.state.takeFault(op.name)
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

// process answers a call as the service would.
func (s *Server) process(c *call) answer {
	ref := s.checkHead(c)
	if ref == nil {
		ref = s.checkBody(c)
	}
	if ref == nil {
		ref = s.checkClient(c)
	}
	if ref != nil {
		return ref.answer()
	}
	return c.op.serve(s, c)
}

// describe makes the log's entry. The body has not been checked yet, and will
// not be if a fault says so; the log tells what it can.
func describe(c *call, now time.Time) Call {
	entry := Call{Op: c.op.name, At: now}
	if len(c.body) > maxBody {
		return entry
	}
	members, err := parseObject(c.body)
	if err != nil {
		return entry
	}
	entry.ClientID, _ = members["clientId"].(string)
	if email, _ := members["email"].(string); len(email) <= maxAddress {
		entry.Email = email
	}
	return entry
}

// allow answers 405 unless the request's method is one of those given.
func allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, m := range methods {
		if r.Method == m {
			return true
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	writeError(w, http.StatusMethodNotAllowed, codeInvalidRequest, "method not allowed")
	return false
}

func writeError(w http.ResponseWriter, status, code int, message string) {
	writeJSON(w, status, map[string]any{"code": code, "message": message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has left, if anything
}
