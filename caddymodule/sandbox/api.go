package sandbox

import (
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/humanapi"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// What a Server is made of, and what it tells.
type (
	// Config says which project a Server plays, which credentials it accepts
	// and how it responds. The zero value is a working sandbox.
	Config = config.Config

	// Signature says how calls of the Integration API have to be signed.
	Signature = config.Signature

	// HumanAPI says which clients of Human API Connect are accepted, and how
	// they are responded to.
	HumanAPI = config.HumanAPI

	// Fault makes calls go wrong.
	Fault = service.Fault

	// Call is one call of an operation.
	Call = service.Call

	// CallLog is what a Server has seen since its start or the last reset.
	CallLog = service.CallLog

	// User is an account of Huma's half.
	User = huma.User

	// HumanUser is a user of Human API's half.
	HumanUser = humanapi.User

	// Connection changes a user of Human API's half.
	Connection = humanapi.Connection
)

// Names of operations, as calls are counted and faults are aimed.
const (
	OpSignIn  = service.OpSignIn
	OpSignUp  = service.OpSignUp
	OpConsent = service.OpConsent
	OpRefresh = service.OpRefresh
	OpSignOut = service.OpSignOut

	// Human API's: the two kinds of token, and what asks for neither of them.
	OpSession = service.OpSession
	OpID      = service.OpID
	OpConnect = service.OpConnect
)

// Values of Fault.Reset.
const (
	// ResetBefore resets the connection before the call is processed.
	ResetBefore = service.ResetBefore
	// ResetAfter processes the call, then resets the connection.
	ResetAfter = service.ResetAfter
)

// What is wrong with a Connection.
var (
	// ErrNoSuchUser says that nobody has this id.
	ErrNoSuchUser = humanapi.ErrNoSuchUser
	// ErrAmbiguousClient says that a client id is needed.
	ErrAmbiguousClient = humanapi.ErrAmbiguousClient
)
