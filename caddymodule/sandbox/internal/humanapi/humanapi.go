// Package humanapi plays Human API Connect: the one endpoint that grants sessions
// and id tokens.
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

// maxLogged is how many bytes of an id, or of all scopes, the log keeps.
const maxLogged = 1024

// api is Human API Connect with one configuration.
type api struct {
	cfg                config.HumanAPI
	lifetimesAsStrings bool
	state              *State
}

// New makes the API from a complete configuration.
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

// operations are the kinds of token at Human API's one endpoint, and what
// asks for neither.
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

// describeCall is what a body says about its sender, without the secret.
func describeCall(entry *service.Call, members map[string]any) {
	text := func(name string, longest int) string {
		s, _ := members[name].(string)
		if len(s) > longest {
			return ""
		}
		return s
	}
	entry.ClientID = text("client_id", maxLogged)
	entry.ClientUserID = text("client_user_id", maxLogged)
	entry.Email = text("client_user_email", service.MaxAddress)
	if scopes := extraScopes(members); len(fmt.Sprint(scopes)) <= maxLogged {
		entry.ExtraScopes = scopes
	}
}

// extraScopes are the strings in a body's extra_scopes.
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

// check is everything that comes before a user is looked at.
func (a *api) check(r *service.Request) *service.Response {
	refusal := service.CheckContent(r)
	if refusal == nil {
		refusal = service.CheckBody(r)
	}
	if refusal != nil {
		return reject(refusal)
	}
	if r.Operation.TokenType == "" { // the type is what is wrong
		return nil
	}
	return a.checkValues(r)
}

func (a *api) checkValues(r *service.Request) *service.Response {
	for _, name := range r.Operation.Body.Required {
		if r.Member(name) == "" {
			return rejectBody("invalid body: %s is empty", name)
		}
	}
	if _, given := r.Members["client_user_email"]; given {
		if r.Operation.Name == service.OpID {
			return rejectBody("invalid body: client_user_email goes with a session only")
		}
		if problem := service.AddressProblem(r.Member("client_user_email")); problem != "" {
			return rejectBody("invalid body: client_user_email %s", problem)
		}
	}
	allowed := a.cfg.ExtraScopes
	for i, scope := range extraScopes(r.Members) {
		if scope == "" || len(allowed) > 0 && !slices.Contains(allowed, scope) {
			return rejectBody("invalid body: scope %d of extra_scopes is not one of this client's", i+1)
		}
	}
	secret, found := a.cfg.Clients[r.Member("client_id")]
	if !found {
		return rejectCode(codeClientUnknown, "there is no such client")
	}
	if subtle.ConstantTimeCompare([]byte(secret), []byte(r.Member("client_secret"))) != 1 {
		return rejectCode(codeSecretWrong, "the secret is not this client's")
	}
	return nil
}

// issueSession grants a session until a source is connected. A user's first
// one makes the user.
func (a *api) issueSession(r *service.Request) *service.Response {
	user, granted := a.state.FindOrCreate(r.Member("client_id"), r.Member("client_user_id"))
	if !granted {
		return rejectCode(codeSessionNotAllowed, "the user has connected a source")
	}
	return service.JSON(r.Operation.Success, map[string]any{
		"session_token": service.RandomToken(32),
		"human_id":      user.HumanID,
		"expires_in":    a.lifetime(time.Duration(a.cfg.SessionLifetime)),
	})
}

func (a *api) issueID(r *service.Request) *service.Response {
	user, found := a.state.find(r.Member("client_id"), r.Member("client_user_id"))
	switch {
	case found && !user.IDAllowed:
		return rejectCode(codeIDNotAllowed, "not for this user")
	case !found:
		return rejectCode(codeUserUnknown, "the user has never had a session")
	case !user.Connected:
		return rejectCode(codeUserUnknown, "the user has not connected a source")
	}
	return service.JSON(r.Operation.Success, map[string]any{
		"token_type":          "Bearer",
		"id_token":            service.RandomToken(32),
		"id_refresh_token":    service.RandomToken(32),
		"id_token_expires_in": a.lifetime(time.Duration(a.cfg.IDLifetime)),
	})
}

// rejectType refuses well-formed bodies of another type; access is one that
// exists, but not for what leads to a browser.
func rejectType(*service.Request) *service.Response {
	return rejectCode(codeTypeWrong, "type is neither session nor id")
}

func (a *api) lifetime(d time.Duration) any {
	return service.Lifetime(d, a.lifetimesAsStrings)
}
