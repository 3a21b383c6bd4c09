// Package humanapi is a fake of Human API Connect: the endpoint that issues session
// tokens and id tokens.
package humanapi

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// maxLogged is the maximum length of an id, or of all scopes, in the log, in bytes.
const maxLogged = 1024

// api is the fake API with one configuration.
type api struct {
	cfg                config.HumanAPI
	lifetimesAsStrings bool
	state              *State
}

// New returns the API. cfg must be from config.Complete.
func New(cfg config.Config, state *State, shared *service.State) *service.API {
	a := &api{cfg.HumanAPI, cfg.LifetimesAsStrings, state}
	return &service.API{
		State:          shared,
		Operations:     a.operations(),
		RequestID:      "X-Humanapi-Request-Id",
		Check:          a.check,
		DescribeCall:   describeCall,
		Reject:         reject,
		ErrorForStatus: errorForStatus,
	}
}

// operations returns the operations of the endpoint: one per token type, and one for all
// other types.
func (a *api) operations() []*service.Operation {
	body := service.Schema{
		Required: []string{"client_id", "client_user_id", "type", "client_secret"},
		Members: service.StringMembers("client_id", "client_user_id", "type", "client_secret", "client_user_email").
			With(service.Members{"extra_scopes": service.TypeStringList}),
	}
	ops := []*service.Operation{
		{Name: service.OpSession, TokenType: "session", Serve: a.issueSession},
		{Name: service.OpID, TokenType: "id", Serve: a.issueID},
		{Name: service.OpConnect, Serve: rejectType},
	}
	for _, op := range ops {
		op.Path, op.Group, op.Success, op.Body = "/v1/connect/token", service.OpConnect, http.StatusOK, body
	}
	return ops
}

// describeCall adds the client, the user and the scopes in a body to the log entry. It
// does not add the secret.
func describeCall(entry *service.Call, members map[string]any) {
	member := func(name string, maxLength int) string {
		s, _ := members[name].(string)
		if len(s) > maxLength {
			return ""
		}
		return s
	}
	entry.ClientID = member("client_id", maxLogged)
	entry.ClientUserID = member("client_user_id", maxLogged)
	entry.Email = member("client_user_email", service.MaxAddress)
	if scopes := extraScopes(members); len(fmt.Sprint(scopes)) <= maxLogged {
		entry.ExtraScopes = scopes
	}
}

// extraScopes returns the strings in the member extra_scopes.
func extraScopes(members map[string]any) []string {
	list, _ := members["extra_scopes"].([]any)
	var scopes []string
	for _, item := range list {
		if scope, ok := item.(string); ok {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// check validates the body and the client. Nil means that they are valid.
func (a *api) check(r *service.Request) *service.Response {
	rejection := service.CheckContent(r)
	if rejection == nil {
		rejection = service.CheckBody(r)
	}
	if rejection != nil {
		return reject(rejection)
	}
	if r.Operation.TokenType == "" { // rejectType reports the invalid type
		return nil
	}
	return a.checkValues(r)
}

// checkValues validates the values of members and the credentials of the client.
func (a *api) checkValues(r *service.Request) *service.Response {
	for _, name := range r.Operation.Body.Required {
		if r.Member(name) == "" {
			return rejectBody("invalid body: %s must not be empty", name)
		}
	}
	if _, given := r.Members["client_user_email"]; given {
		if r.Operation.Name == service.OpID {
			return rejectBody("invalid body: client_user_email requires the type session")
		}
		if problem := service.AddressProblem(r.Member("client_user_email")); problem != "" {
			return rejectBody("invalid body: client_user_email %s", problem)
		}
	}
	allowed := a.cfg.ExtraScopes
	for i, scope := range extraScopes(r.Members) {
		if scope == "" || len(allowed) > 0 && !slices.Contains(allowed, scope) {
			return rejectBody("invalid body: scope %d of extra_scopes is not allowed", i+1)
		}
	}
	secret, found := a.cfg.Clients[r.Member("client_id")]
	if !found {
		return rejectCode(codeClientUnknown, "unknown client")
	}
	if subtle.ConstantTimeCompare([]byte(secret), []byte(r.Member("client_secret"))) != 1 {
		return rejectCode(codeSecretWrong, "wrong client secret")
	}
	return nil
}

// issueSession responds with a session token, unless the user has connected a data
// source. It creates the user if there is none.
func (a *api) issueSession(r *service.Request) *service.Response {
	user, allowed := a.state.FindOrCreate(r.Member("client_id"), r.Member("client_user_id"))
	if !allowed {
		return rejectCode(codeSessionNotAllowed, "the user has connected a data source")
	}
	return service.JSON(r.Operation.Success, map[string]any{
		"session_token": service.RandomToken(32),
		"human_id":      user.HumanID,
		"expires_in":    a.lifetime(time.Duration(a.cfg.SessionLifetime)),
	})
}

// issueID responds with an id token if the user has connected a data source.
func (a *api) issueID(r *service.Request) *service.Response {
	user, found := a.state.find(r.Member("client_id"), r.Member("client_user_id"))
	switch {
	case found && !user.IDAllowed:
		return rejectCode(codeIDNotAllowed, "the user may not get id tokens")
	case !found:
		return rejectCode(codeUserUnknown, "the user has never had a session token")
	case !user.Connected:
		return rejectCode(codeUserUnknown, "the user has not connected a data source")
	}
	return service.JSON(r.Operation.Success, map[string]any{
		"token_type":          "Bearer",
		"id_token":            service.RandomToken(32),
		"id_refresh_token":    service.RandomToken(32),
		"id_token_expires_in": a.lifetime(time.Duration(a.cfg.IDLifetime)),
	})
}

// rejectType rejects a valid body with any other type. The real service also has the type
// access, which is not for tokens that are sent to browsers.
func rejectType(*service.Request) *service.Response {
	return rejectCode(codeTypeWrong, "type must be session or id")
}

// lifetime returns a lifetime for JSON: in seconds, as a number or a string.
func (a *api) lifetime(d time.Duration) any {
	return service.Lifetime(d, a.lifetimesAsStrings)
}
