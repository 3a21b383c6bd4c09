// Package sandbox is a fake of the Huma Integration API and of Human API Connect, for
// development and tests. The two services belong to different companies. The sandbox
// keeps users in memory and issues tokens in the format of the real services. It
// validates signatures, headers and bodies as strictly as the published descriptions
// allow, logs all calls, and injects faults.
//
// A Server is an http.Handler:
//
//	fake := sandbox.New(sandbox.Config{})
//	srv := httptest.NewServer(fake)
//
// Handler is the same as a Caddy module, the directive huma_sandbox. In addition to the
// APIs there are a control API under /_sandbox/ and a web page at /. They require no
// authentication, so bind the sandbox to loopback.
//
// # Editions
//
// Config.Edition selects the edition of Huma's guide. The calls of the newest one are
// published. The middle one differs in that a sign-up responds with the uid only. The
// oldest one has these calls instead of those of the Integration API; both respond with
// 200, and a 403 at sign-in means an unknown user:
//
//	POST /auth/v1/private/signin  method (4), email, clientId, projectId
//	POST /auth/v1/private/signup  the same, validationData.activationCode, userAttributes
//
// They require the header verification-token with the secret. All other members, and the
// headers deploymentId and signature, are rejected with 400. Not published: the members of
// its responses, and the status and code of its errors. The sandbox uses those of the
// newest edition.
//
// # Control API
//
//	GET  /_sandbox/calls    returns the CallLog; ?limit=n: the newest n calls
//	GET  /_sandbox/users    returns {"users": [User…], "humanUsers": [HumanUser…]};
//	                        ?limit=n: the newest n of each
//	POST /_sandbox/connect  connects a data source of a user of Human API; the body is
//	                        a Connection; returns the HumanUser, 404 if there is no
//	                        such user, or 409 if client_id is required
//	GET  /_sandbox/faults   returns the remaining faults in the format of PUT
//	PUT  /_sandbox/faults   replaces all faults; the body is a list of Fault
//	POST /_sandbox/reset    deletes users, calls and faults; adds the configured users
//
// # Human API
//
// POST /v1/connect/token issues session tokens until the user has connected a data
// source, and id tokens after that. The first session token creates the user. Each
// response has the header x-humanapi-request-id, which is also in the CallLog.
//
// # Errors
//
// The errors of Huma have the body {"code", "message"}. A star marks a status that is
// not published:
//
//	404*, 405*, 413*, 415* 100003  unknown endpoint, wrong method, body too long, not JSON
//	400* 100003  a header or member is missing, unknown or of the wrong type
//	403* 100004  wrong deployment id
//	401* 100006  invalid signature
//	403* 100001  wrong project id
//	403* 100002  unknown client id
//	403  300011  (* the code) the user does not exist
//	400  100010  the user already exists
//	401* 10002   the refresh token was not issued by this sandbox, or was revoked
//	401* 10001   the refresh token has expired
//
// The errors of Human API have the body {"errorCode", "message"}, without errorCode if no
// code is published for the error. The format of the body is not published (see
// Fault.Shape), and neither is a status with a star:
//
//	405*, 413*, 415*  wrong method, body too long, not JSON
//	400*  a member is missing, empty, unknown or of the wrong type, a scope is not
//	      allowed, or there is an email address in a request for an id token
//	400*  INVALID_TOKEN_TYPE                   neither session nor id
//	403*  INVALID_CLIENT_ID                    unknown client id
//	401*  INVALID_CLIENT_ID_OR_SECRET          wrong secret
//	403   SESSION_TOKEN_GENERATION_NOT_ALLOWED the user has connected a data source
//	403*  ID_TOKEN_GENERATION_NOT_ALLOWED      see Connection.IDAllowed
//	403*  UNKNOWN_CLIENT_USER_ID               no session token yet, or no data source
//
// They are checked in this order. The package shares no code with the plugin, so that a
// bug in shared code cannot hide from tests.
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

// Server is an http.Handler that serves the fake services. Create it with New. It is safe
// for concurrent use.
type Server struct {
	prefix  string
	users   []string
	state   *control.State
	apis    []*service.API
	control *control.Handler

	// seeded is the generation of the state to which the configured users were added.
	seeded atomic.Uint64
}

// New returns a Server with its own state. It panics if cfg is invalid.
func New(cfg Config) *Server {
	cfg, err := config.Complete(cfg)
	if err != nil {
		panic("sandbox: " + err.Error())
	}
	return newServer(cfg, control.NewState(time.Now))
}

// newServer returns a Server with a state. cfg must be from config.Complete.
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

// Calls returns the log of the calls since the start or the last reset.
func (s *Server) Calls() CallLog { return s.state.Shared.Calls.Report(0) }

// Users returns all users of Huma in the order of their creation.
func (s *Server) Users() []User {
	s.seed()
	return s.state.Huma.List(0)
}

// AddUser creates a user of Huma and returns it. If a user with this address exists, it
// returns that user.
func (s *Server) AddUser(email string) User {
	s.seed()
	u, _ := s.state.Huma.Create(email, nil)
	return u
}

// HumanUsers returns all users of Human API in the order of their creation.
func (s *Server) HumanUsers() []HumanUser { return s.state.HumanAPI.List(0) }

// AddHumanUser creates a user of Human API and returns it. If the client already has a
// user with this id, it returns that user.
func (s *Server) AddHumanUser(clientID, clientUserID string) HumanUser {
	u, _ := s.state.HumanAPI.FindOrCreate(clientID, clientUserID)
	return u
}

// Connect changes a user of Human API, as POST /_sandbox/connect does, and returns the
// changed user. It returns an error if there is no such user, or if several clients have
// one and c has no client id.
func (s *Server) Connect(c Connection) (HumanUser, error) { return s.state.HumanAPI.Connect(c) }

// SetFaults replaces all faults. If one is invalid, it returns an error and changes
// nothing.
func (s *Server) SetFaults(faults []Fault) error { return s.state.Shared.Faults.Set(faults) }

// Faults returns the remaining faults.
func (s *Server) Faults() []Fault { return s.state.Shared.Faults.List() }

// Reset deletes all users, calls and faults, and adds the configured users again.
func (s *Server) Reset() { s.state.Reset() }

// seed adds the configured users once after the start and after each reset. It is called
// when the server is used, not when it is created, because a config that Caddy rejects
// must not change the shared state.
func (s *Server) seed() { s.state.Huma.Seed(&s.seeded, s.users) }

// ServeHTTP serves the APIs, the control API and the web page.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	target := r.RequestURI
	if target == "" {
		target = r.URL.RequestURI()
	}
	s.serve(w, r, target)
}

// serve is ServeHTTP for a request whose URL may have been rewritten. target is the
// request target as the client sent and signed it.
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
