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
//	                        responds with the HumanUser, or 404, or 409 if it
//	                        does not say whose user
//	GET  /_sandbox/faults   the faults that are left, as PUT takes them
//	PUT  /_sandbox/faults   replaces the faults: a list of Fault
//	POST /_sandbox/reset    forgets users, calls and faults; configured users return
//
// # Human API
//
// POST /v1/connect/token grants a session until the user has connected a
// source, and an id token from then on. The first session makes the user.
// Every response has an x-humanapi-request-id, which is also in the CallLog.
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
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/control"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/humanapi"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// Server plays the services. It is safe for concurrent use.
type Server struct {
	prefix  string
	users   []string
	state   *control.State
	apis    []*service.API
	control *control.Handler

	// seeded is the generation of the state whose users include those of the
	// configuration.
	seeded atomic.Uint64
}

// New makes a Server with a state of its own. It panics if the configuration
// is invalid: in a test there is nobody to hand the error to.
func New(cfg Config) *Server {
	cfg, err := config.Complete(cfg)
	if err != nil {
		panic("sandbox: " + err.Error())
	}
	return newServer(cfg, control.NewState(time.Now))
}

// newServer expects a complete and checked configuration.
func newServer(cfg Config, state *control.State) *Server {
	return &Server{
		prefix: cfg.Prefix,
		users:  cfg.Users,
		state:  state,
		apis: []*service.API{
			huma.New(cfg, state.Huma, state.Shared),
			humanapi.New(cfg, state.HumanAPI, state.Shared),
		},
		control: control.New(state),
	}
}

// Calls returns what was called since the start or the last reset.
func (s *Server) Calls() CallLog { return s.state.Shared.Calls.Report(0) }

// Users returns all users of Huma's half in the order they were registered.
func (s *Server) Users() []User {
	s.seed()
	return s.state.Huma.List(0)
}

// AddUser registers a user of Huma's half behind the API's back and returns it, or the one
// who has this address already.
func (s *Server) AddUser(email string) User {
	s.seed()
	u, _ := s.state.Huma.Create(email, nil)
	return u
}

// HumanUsers returns all users of Human API's half in the order they came.
func (s *Server) HumanUsers() []HumanUser { return s.state.HumanAPI.List(0) }

// AddHumanUser makes a user of Human API's half behind the API's back, and
// returns it or the one who was there already.
func (s *Server) AddHumanUser(clientID, clientUserID string) HumanUser {
	u, _ := s.state.HumanAPI.FindOrCreate(clientID, clientUserID)
	return u
}

// Connect changes a user of Human API's half, as POST /_sandbox/connect does.
// The error is ErrNoSuchUser or ErrWhichClient.
func (s *Server) Connect(c Connection) (HumanUser, error) { return s.state.HumanAPI.Connect(c) }

// SetFaults replaces all faults. If one of them is wrong nothing changes.
func (s *Server) SetFaults(faults []Fault) error { return s.state.Shared.Faults.Set(faults) }

// Faults returns the faults that are left.
func (s *Server) Faults() []Fault { return s.state.Shared.Faults.List() }

// Reset forgets users, calls and faults. The users of the configuration are
// there again afterwards.
func (s *Server) Reset() { s.state.Reset() }

// seed registers the configured users, once after the start and each reset. It
// runs when the server is used and not when it is made: in Caddy a
// configuration that was rejected must leave no trace in the shared state.
func (s *Server) seed() { s.state.Huma.Seed(&s.seeded, s.users) }

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
	if path, found := strings.CutPrefix(r.URL.Path, s.prefix); found {
		for _, api := range s.apis {
			if api.Serve(w, r, path, target) {
				return
			}
		}
	}
	s.control.ServeHTTP(w, r)
}
