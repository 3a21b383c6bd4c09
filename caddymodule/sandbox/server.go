// Package sandbox is a fake of two services, for tests and for trying things
// out: of the Huma Integration API and of Human API Connect, which are two
// companies. It keeps users in memory, issues tokens that look like the real
// ones, checks signatures, headers and bodies as strictly as the published
// descriptions allow, logs every call and goes wrong on demand.
//
// A Server is an http.Handler:
//
//	fake := sandbox.New(sandbox.Config{})
//	srv := httptest.NewServer(fake)
//
// The same in Caddy is the handler huma_sandbox (see Handler). Beside the APIs
// there is a control API under /_sandbox/ and a page at /. Both are open to
// everybody who reaches them, as a test needs it: bind the sandbox to loopback.
//
// # Control API
//
//	GET  /_sandbox/calls    what was called: a CallLog; ?limit=n for the newest n
//	GET  /_sandbox/users    {"users": [User…], "humanUsers": [HumanUser…]};
//	                        ?limit=n for the newest n of each
//	POST /_sandbox/connect  a user of Human API's connects a source: a Connection;
//	                        answers with the HumanUser, or 404, or 409 if it
//	                        does not say whose user
//	GET  /_sandbox/faults   the faults that are left, as PUT takes them
//	PUT  /_sandbox/faults   replaces the faults: a list of Fault
//	POST /_sandbox/reset    forgets users, calls and faults; configured users return
//
// # Human API
//
// POST /v1/connect/token grants a session until the user has connected a
// source, and an id token from then on. The first session makes the user.
// Every answer has an x-humanapi-request-id, which is also in the CallLog.
//
// # Errors
//
// Huma's errors are {"code", "message"}. Statuses that are not
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
// Human API's errors are {"errorCode", "message"}, without errorCode where none
// is published; the body's shape is not (see Fault.Shape), and most statuses
// are not:
//
//	405*, 413*, 415*  method, too long, not JSON
//	400*  a member is missing, empty, unknown or of another type, a scope is not
//	      allowed, or an e-mail address came without a session
//	400*  INVALID_TOKEN_TYPE                   neither session nor id
//	403*  INVALID_CLIENT_ID                    an unknown client
//	401*  INVALID_CLIENT_ID_OR_SECRET          another secret
//	403   SESSION_TOKEN_GENERATION_NOT_ALLOWED the user has connected a source
//	403*  ID_TOKEN_GENERATION_NOT_ALLOWED      see Connection.IDAllowed
//	403*  UNKNOWN_CLIENT_USER_ID               no session yet, or no source
//
// They are checked in this order. The package shares no code with any client,
// so that one mistake cannot hide another.
package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// Server plays the services. It is safe for concurrent use.
type Server struct {
	cfg   Config
	state *state

	// seeded is the generation of the state whose users include Config.Users.
	seeded atomic.Uint64
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

// Users returns all users of Huma's half in the order they were registered.
func (s *Server) Users() []User {
	s.seed()
	return s.state.list(0)
}

// AddUser registers a user of Huma's half behind the API's back and returns it, or the one
// who has this address already.
func (s *Server) AddUser(email string) User {
	s.seed()
	u, _ := s.state.create(email, nil)
	return u
}

// HumanUsers returns all users of Human API's half in the order they came.
func (s *Server) HumanUsers() []HumanUser { return s.state.listHuman(0) }

// AddHumanUser makes a user of Human API's half behind the API's back, and
// returns it or the one who was there already.
func (s *Server) AddHumanUser(clientID, clientUserID string) HumanUser {
	u, _ := s.state.grantSession(clientID, clientUserID)
	return u
}

// Connect changes a user of Human API's half, as POST /_sandbox/connect does.
// The error is ErrNoSuchUser or ErrWhichClient.
func (s *Server) Connect(c Connection) (HumanUser, error) { return s.state.connect(c) }

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
		if ops := operationsAt(path); len(ops) > 0 {
			s.serveOperation(w, r, ops, target)
			return
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

// allow answers 405 unless the request's method is one of those given.
func allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
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
