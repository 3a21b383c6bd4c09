package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// UserinfoConfig configures an Identifier that calls the application (the option
// userinfo).
type UserinfoConfig struct {
	// ByID is the same as Config.ByID.
	ByID bool
	// Client calls the application.
	Client UserinfoClient
	// Forwards are the canonical names of the request headers that Client forwards.
	Forwards []string
	// Paths in the application's response. Empty: the value is not read.
	Email, UserID, Name, FirstName, LastName, Verified string
	// Domains is the same as Config.Domains.
	Domains []string
	// Verify says that a signed token is verified before the application is called.
	// Token is its source: the name of a request header or the placeholder of a cookie.
	// Empty: Authorization. Verifier verifies it. The default of UserID is then sub.
	Verify   bool
	Token    string
	Verifier Verifier
	// Cache, if not nil, keeps the responses to verified tokens. It requires Verify.
	Cache UserinfoCache
	// ForwardsHeader is the same as Config.ForwardsHeader.
	ForwardsHeader func(name string) bool
}

// NewUserinfo returns an Identifier that calls the application. The error joins all
// problems, each with the name of the option.
func NewUserinfo(c UserinfoConfig) (*Identifier, error) {
	i := &Identifier{byID: c.ByID, userinfoClient: c.Client, userinfoCache: c.Cache, forwards: c.Forwards, verifier: c.Verifier}
	var errs []error
	if c.Verify && c.UserID == "" {
		c.UserID = "sub" // OpenID Connect Core 1.0, section 5.3.2
	}
	switch {
	case c.ByID && c.UserID == "":
		errs = append(errs, errors.New("user_id: is required: write the path of the user ID in the application's response, for example \"user_id user.id\""))
	case !c.ByID && c.Email == "":
		errs = append(errs, errors.New("email: is required: write the path of the email address in the application's response, for example \"email user.email\""))
	}
	at := func(path string) presets.Source {
		if path == "" {
			return presets.Source{}
		}
		return presets.Source{Paths: []string{path}}
	}
	sources := presets.Sources{
		Email: at(c.Email), UserID: at(c.UserID), Name: at(c.Name), FirstName: at(c.FirstName), LastName: at(c.LastName), Verified: at(c.Verified),
	}
	for _, o := range i.sources(sources) {
		if o.configured.Paths == nil {
			continue
		}
		paths, err := parsePaths(o.configured.Paths)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.name, err))
		}
		*o.target = source{location: location{kind: kindApplication}, paths: paths}
	}
	if c.Verify {
		errs = append(errs, i.setToken(c)...)
	}
	errs = append(errs, rejectDroppedForwards(c.Forwards, c.ForwardsHeader)...)
	errs = append(errs, i.setDomains(c.Domains)...)
	errs = append(errs, i.setRequireAddress(sources, len(c.Domains) > 0)...)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	i.precompute(sources)
	return i, nil
}

// UserinfoClient gets the user of a request from the application.
type UserinfoClient interface {
	// Fetch returns the application's response about the user of these request headers.
	// Its error is always a *Rejection.
	Fetch(ctx context.Context, host string, header http.Header) (claims.Document, error)
}

// FetchUserinfo calls the application with the credentials of a request, without verifying
// its token, and returns the rejection of the response. It returns nil if the response is
// that to a signed-in user, and ErrNoCredentials without the option userinfo.
func (i *Identifier) FetchUserinfo(ctx context.Context, r *Request) *Rejection {
	if i.userinfoClient == nil {
		return ErrNoCredentials
	}
	_, err := i.userinfoClient.Fetch(ctx, r.Host, r.Header)
	return rejectionOf(err, ErrUserinfoUnavailable)
}
