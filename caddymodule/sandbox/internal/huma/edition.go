package huma

import (
	"crypto/subtle"
	"net/http"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// The calls of the oldest edition of Huma's guide. Its status codes for errors and the
// members of its responses are not published; the sandbox uses those of the newest one.
const (
	oldestSignIn = "/auth/v1/private/signin"
	oldestSignUp = "/auth/v1/private/signup"

	// verificationToken is the header with the secret.
	verificationToken = "verification-token"

	// oldestMethod is the value of the member method.
	oldestMethod = 4
)

// oldestOperations returns sign-in and sign-up of the oldest edition. The sandbox rejects
// all members that are not in that edition's samples.
func (a *api) oldestOperations() []*service.Operation {
	members := func() service.Members {
		return service.StringMembers("clientId", "projectId", "email").With(service.Members{"method": service.TypeNumber})
	}
	required := []string{"method", "clientId", "projectId", "email"}
	return []*service.Operation{
		{
			Name: service.OpSignIn, Path: oldestSignIn, Success: http.StatusOK, Signed: true, Serve: a.signIn,
			Body: service.Schema{Required: required, Members: members()},
		},
		{
			Name: service.OpSignUp, Path: oldestSignUp, Success: http.StatusOK, Signed: true, Serve: a.signUp,
			Body: service.Schema{
				Required: append([]string{"validationData"}, required...),
				Members:  members().With(service.Members{"validationData": service.TypeObject, "userAttributes": service.TypeObject}),
			},
		},
	}
}

// checkOldestHeaders is checkHeaders for the calls of the oldest edition.
func (a *api) checkOldestHeaders(r *service.Request) *service.Response {
	for _, name := range []string{"deploymentId", a.cfg.Signature.HeaderName} {
		if r.HTTP.Header.Get(name) != "" {
			return reject(http.StatusBadRequest, CodeInvalidRequest, "the header %s is not part of this edition", name)
		}
	}
	if rejected := requireHeader(r, verificationToken); rejected != nil {
		return rejected
	}
	if subtle.ConstantTimeCompare([]byte(r.HTTP.Header.Get(verificationToken)), []byte(a.cfg.Secret)) == 0 {
		return reject(http.StatusUnauthorized, CodeUnauthorized, "unauthorized: invalid verification-token")
	}
	return nil
}

// checkOldestBody checks the values that only the oldest edition has. The body matches the
// schema.
func checkOldestBody(r *service.Request) *service.Response {
	if r.Members["method"] != float64(oldestMethod) {
		return reject(http.StatusBadRequest, CodeInvalidRequest, "invalid body: method must be %d", oldestMethod)
	}
	if data, given := r.Members["validationData"].(map[string]any); given {
		if code, _ := data["activationCode"].(string); code == "" {
			return reject(http.StatusBadRequest, CodeInvalidRequest, "invalid body: validationData.activationCode is required")
		}
	}
	return nil
}

// isOldest reports whether the API is that of the oldest edition.
func (a *api) isOldest() bool { return a.cfg.Edition == config.EditionOldest }
