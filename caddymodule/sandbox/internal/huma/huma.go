// Package huma is a fake of the Huma Integration API. Members and headers are those of
// its published description (OpenAPI, version 1.0.0).
package huma

import (
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// api is the fake API with one configuration.
type api struct {
	cfg   config.Config
	state *State
}

// New returns the API. cfg must be from config.Complete.
func New(cfg config.Config, state *State, shared *service.State) *service.API {
	a := &api{cfg, state}
	return &service.API{
		State:          shared,
		Operations:     a.operations(),
		Check:          a.check,
		DescribeCall:   describeCall,
		Reject:         rejectCall,
		ErrorForStatus: errorForStatus,
	}
}

// operations returns the operations of the API.
func (a *api) operations() []*service.Operation {
	if a.isOldest() {
		return append(a.oldestOperations(), a.tokenOperations()...)
	}
	return append(a.integrationOperations(), a.tokenOperations()...)
}

// integrationOperations returns the published operations of the Integration API.
func (a *api) integrationOperations() []*service.Operation {
	return []*service.Operation{
		{
			Name: service.OpSignIn, Path: "/api/integration/v1/auth/signin", Success: http.StatusOK, Signed: true, Serve: a.signIn,
			Body: service.Schema{
				Required: []string{"clientId", "projectId", "email"},
				Members:  service.StringMembers("language", "clientId", "projectId", "deviceAgent", "email"),
			},
		},
		{
			Name: service.OpSignUp, Path: "/api/integration/v1/auth/signup", Success: http.StatusCreated, Signed: true, Serve: a.signUp,
			Body: service.Schema{
				Required: []string{"clientId", "ipAddress", "projectId", "email"},
				Members: service.StringMembers("language", "clientId", "projectId", "email", "contactEmail", "phoneNumber", "password",
					"displayName", "timezone", "userId", "deviceAgent", "ipAddress").
					With(service.Members{"validationData": service.TypeObject, "userAttributes": service.TypeObject, "ssoEnabled": service.TypeBoolean}),
			},
		},
		{
			Name: service.OpConsent, Path: "/api/integration/v1/auth/sign-consent", Success: http.StatusCreated, Signed: true, Serve: a.signConsent,
			Body: service.Schema{Required: []string{"email"}, Members: service.StringMembers("email")},
		},
	}
}

// tokenOperations returns the operations that apps call with a refresh token.
func (a *api) tokenOperations() []*service.Operation {
	return []*service.Operation{
		{
			Name: service.OpRefresh, Path: "/api/auth/v1/refreshtoken", Success: http.StatusOK, Serve: a.refresh,
			Body: service.Schema{
				Required: []string{"refreshToken"},
				Members:  service.StringMembers("refreshToken", "password", "email", "deviceAgent", "deviceToken"),
			},
		},
		{
			Name: service.OpSignOut, Path: "/api/auth/v1/signout", Success: http.StatusOK, Serve: a.signOut,
			Body: service.Schema{
				Required: []string{"deviceAgent"},
				Members: service.StringMembers("id", "userId", "refreshToken", "deviceAgent", "devicePushId", "deviceToken", "voipDevicePushId").
					With(service.Members{"updateDateTime": service.TypeDateTime, "createDateTime": service.TypeDateTime, "isActive": service.TypeBoolean}),
			},
		},
	}
}

// describeCall adds the client and the email address in a body to the log entry.
func describeCall(entry *service.Call, members map[string]any) {
	entry.ClientID, _ = members["clientId"].(string)
	if email, _ := members["email"].(string); len(email) <= service.MaxAddress {
		entry.Email = email
	}
}

// check validates the headers, the body, and the ids and the address in the body. Nil
// means that they are valid.
func (a *api) check(r *service.Request) *service.Response {
	if rejected := a.checkHeaders(r); rejected != nil {
		return rejected
	}
	if rejection := service.CheckBody(r); rejection != nil {
		return rejectCall(rejection)
	}
	if a.isOldest() && r.Operation.Signed {
		if rejected := checkOldestBody(r); rejected != nil {
			return rejected
		}
	}
	return a.checkClient(r)
}

// checkClient checks the project id, the client id and the email address in the body.
func (a *api) checkClient(r *service.Request) *service.Response {
	if project, found := r.Members["projectId"]; found && project != a.cfg.ProjectID {
		return reject(http.StatusForbidden, CodeProjectInvalid, "invalid project id")
	}
	_, found := r.Members["clientId"]
	if found && !slices.Contains(slices.Collect(maps.Values(a.cfg.ClientIDs)), r.Member("clientId")) {
		return reject(http.StatusForbidden, CodeClientInvalid, "invalid client id")
	}
	if r.Operation.Signed {
		if problem := service.AddressProblem(r.Member("email")); problem != "" {
			return reject(http.StatusBadRequest, CodeInvalidRequest, "invalid body: email %s", problem)
		}
	}
	return nil
}

// signIn responds with tokens of an existing user.
func (a *api) signIn(r *service.Request) *service.Response {
	user, found := a.state.find(r.Member("email"))
	if !found {
		return reject(http.StatusForbidden, CodeUserUnknown, "user does not exist")
	}
	return a.tokenResponse(r, user)
}

// signUp creates a user and responds with tokens.
func (a *api) signUp(r *service.Request) *service.Response {
	ip, err := netip.ParseAddr(r.Member("ipAddress"))
	if (err != nil || ip.Zone() != "") && !a.isOldest() {
		return reject(http.StatusBadRequest, CodeInvalidRequest, "invalid body: ipAddress must be an IP address")
	}
	profile := maps.Clone(r.Members)
	delete(profile, "password")
	var user User
	var created bool
	if r.CreateAfter == 0 {
		user, created = a.state.Create(r.Member("email"), profile)
	} else {
		created = a.state.createLater(r.Member("email"), profile, r.CreateAfter)
	}
	if !created {
		return reject(http.StatusBadRequest, CodeUserExists, "user already exists")
	}
	if a.cfg.Edition == config.EditionMiddle {
		return service.JSON(r.Operation.Success, map[string]any{"uid": user.UID})
	}
	return a.tokenResponse(r, user)
}

// signConsent records the consent of a user.
func (a *api) signConsent(r *service.Request) *service.Response {
	if !a.state.consent(r.Member("email")) {
		return reject(http.StatusForbidden, CodeUserUnknown, "user does not exist")
	}
	return &service.Response{Status: r.Operation.Success}
}

// refresh responds with a new auth token and the same refresh token with its remaining
// lifetime. Whether the real service rotates refresh tokens is not published.
func (a *api) refresh(r *service.Request) *service.Response {
	old, rejected := a.checkRefreshToken(r)
	if rejected != nil {
		return rejected
	}
	lifetime := time.Duration(a.cfg.AuthTokenLifetime)
	token := a.state.issue(claims{Subject: old.Subject, Type: authToken, ProjectID: old.ProjectID, ClientID: old.ClientID}, lifetime)
	return service.JSON(r.Operation.Success, map[string]any{
		"authToken":             token,
		"expiresIn":             a.lifetime(lifetime),
		"refreshToken":          r.Member("refreshToken"),
		"refreshTokenExpiresIn": a.lifetime(old.expires().Sub(a.state.now())),
	})
}

// signOut revokes the refresh token in the body, if there is one. Auth tokens stay valid
// until they expire: whether the real service revokes them is not published.
func (a *api) signOut(r *service.Request) *service.Response {
	uid := r.Member("userId")
	if _, given := r.Members["refreshToken"]; given {
		old, rejected := a.checkRefreshToken(r)
		if rejected != nil {
			return rejected
		}
		if uid != "" && uid != old.Subject {
			return reject(http.StatusForbidden, CodeForbiddenID, "forbidden id: user")
		}
		uid = old.Subject
		a.state.revoke(old.ID, old.expires())
	}
	if uid == "" {
		return reject(http.StatusBadRequest, CodeInvalidRequest, "invalid body: userId or refreshToken is required")
	}
	if !a.state.hasUID(uid) {
		return reject(http.StatusForbidden, CodeUserUnknown, "user does not exist")
	}
	return service.JSON(r.Operation.Success, map[string]any{"id": uid})
}

// checkRefreshToken returns the claims of the refresh token in the body, or the error
// response if it is not valid.
func (a *api) checkRefreshToken(r *service.Request) (claims, *service.Response) {
	old, err := a.state.verify(r.Member("refreshToken"), refreshToken)
	if errors.Is(err, errTokenExpired) {
		return claims{}, reject(http.StatusUnauthorized, CodeTokenExpired, "token expired")
	}
	if err != nil || !a.state.hasUID(old.Subject) {
		return claims{}, reject(http.StatusUnauthorized, CodeTokenWrong, "wrong token")
	}
	return old, nil
}

// tokenResponse returns the response to a sign-in or sign-up: new tokens of the user.
func (a *api) tokenResponse(r *service.Request, user User) *service.Response {
	base := claims{Subject: user.UID, ProjectID: a.cfg.ProjectID, ClientID: r.Member("clientId")}
	auth, refresh := base, base
	auth.Type, refresh.Type = authToken, refreshToken
	authLifetime, refreshLifetime := time.Duration(a.cfg.AuthTokenLifetime), time.Duration(a.cfg.RefreshTokenLifetime)
	return service.JSON(r.Operation.Success, map[string]any{
		"uid":                user.UID,
		"authToken":          a.state.issue(auth, authLifetime),
		"authTokenExpiresIn": a.lifetime(authLifetime),
		"refreshToken":       a.state.issue(refresh, refreshLifetime),
		"expiresIn":          a.lifetime(refreshLifetime),
	})
}

// lifetime returns a lifetime for JSON: in seconds, as a number or a string.
func (a *api) lifetime(d time.Duration) any {
	return service.Lifetime(d, a.cfg.LifetimesAsStrings)
}
