package sandbox

import (
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/humanapi"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// The types of the configuration and of the state of a Server.
type (
	// Config is the configuration of a Server: the credentials that it accepts and how
	// it responds. The zero value is valid.
	Config = config.Config

	// Signature defines how clients sign calls of the Integration API.
	Signature = config.Signature

	// HumanAPI is the configuration of Human API Connect.
	HumanAPI = config.HumanAPI

	// Fault is a fault that is injected into calls.
	Fault = service.Fault

	// Call is the log entry of one call.
	Call = service.Call

	// CallLog is the log of all calls since the start or the last reset, with counters.
	CallLog = service.CallLog

	// User is a user of Huma.
	User = huma.User

	// HumanUser is a user of Human API.
	HumanUser = humanapi.User

	// Connection is a change of a user of Human API.
	Connection = humanapi.Connection
)

// The operations of Huma, as in Call.Op and Fault.Op.
const (
	OpSignIn  = service.OpSignIn
	OpSignUp  = service.OpSignUp
	OpConsent = service.OpConsent
	OpRefresh = service.OpRefresh
	OpSignOut = service.OpSignOut

	// The operations of Human API: requests for the two token types, and requests for
	// any other type.
	OpSession = service.OpSession
	OpID      = service.OpID
	OpConnect = service.OpConnect
)

// The values of Fault.Reset.
const (
	// ResetBefore resets the connection before the call is processed.
	ResetBefore = service.ResetBefore
	// ResetAfter resets the connection after the call is processed.
	ResetAfter = service.ResetAfter
)
