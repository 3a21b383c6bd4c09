package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

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

// UserinfoCache keeps the application's responses to verified tokens.
type UserinfoCache interface {
	// Get returns the response to a token.
	Get(token string) (claims.Document, bool)
	// Put keeps the response to a token, at most until expiry.
	Put(token string, response claims.Document, expiry time.Time)
}

// setToken sets the source of the token of the option userinfo.
func (i *Identifier) setToken(c UserinfoConfig) []error {
	text := c.Token
	if text == "" {
		text = "Authorization"
	}
	at, err := parseLocation(text)
	switch {
	case err != nil:
		return []error{fmt.Errorf("token: %w", err)}
	case at.kind != kindHeader && at.kind != kindCookie:
		return []error{errors.New("token: must be the name of a request header or the placeholder of a cookie, such as {http.request.cookie.access_token}")}
	case at.kind == kindHeader:
		at.kind = kindAssertion // accepted from any peer, because it is signed
	}
	i.token = at
	return rejectDroppedHeaders([]option{{name: "token", target: &source{location: at}}}, c.ForwardsHeader)
}

// verifiedResponse is the application's response to a verified token.
type verifiedResponse struct {
	token    string // "" if there is none, or if it is from the cache
	document claims.Document
	expiry   time.Time // of the token; zero if it is not known
}

// fetchVerified verifies the token of a request and returns the application's response
// to it. It calls the application only if the token is valid.
func (i *Identifier) fetchVerified(ctx context.Context, r *Request) (claims.Document, *Rejection) {
	token, rejection := i.plainValue(r, i.token)
	switch {
	case rejection != nil:
		return claims.Document{}, rejection.forToken()
	case strings.TrimSpace(token) == "":
		return claims.Document{}, ErrEmpty.forToken()
	}
	verified, err := i.verifier.Verify(ctx, token, r.RemoteAddr)
	if err != nil {
		return claims.Document{}, rejectionOf(err, ErrAssertionMalformed)
	}
	var doc claims.Document
	cached := false
	if i.userinfoCache != nil {
		doc, cached = i.userinfoCache.Get(token)
	}
	if !cached {
		doc, err = i.userinfoClient.Fetch(ctx, r.Host, http.Header{"Authorization": {i.authorization(token)}})
		if err != nil {
			return claims.Document{}, rejectionOf(err, ErrUserinfoUnavailable)
		}
		r.userinfo = verifiedResponse{token, doc, expiry(verified)}
	}
	if !isSameSubject(verified, doc) {
		return claims.Document{}, ErrUserinfoSubject
	}
	return doc, nil
}

// expiry returns the time at which a verified token expires (RFC 7519, section 4.1.4),
// or the zero time if it is not known.
func expiry(token claims.Document) time.Time {
	exp, _ := token.Map()["exp"].(json.Number)
	seconds, err := exp.Float64()
	if err != nil || math.Abs(seconds) > math.MaxInt32 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

// authorization returns the header Authorization for a token: as received, if the token
// is from this header or has the scheme Bearer, otherwise with this scheme (RFC 6750,
// section 2.1).
func (i *Identifier) authorization(token string) string {
	const scheme = "Bearer "
	hasScheme := len(token) >= len(scheme) && strings.EqualFold(token[:len(scheme)], scheme)
	if hasScheme || i.token == (location{kindAssertion, "Authorization"}) {
		return token
	}
	return scheme + token
}

// isSameSubject reports whether the application's response is about the user of the
// token: its member sub, if there is one, is equal to the token's (OpenID Connect Core
// 1.0, section 5.3.2).
func isSameSubject(token, response claims.Document) bool {
	value, exists := response.Map()["sub"]
	if !exists {
		return true
	}
	sub, ok := value.(string)
	return ok && sub == token.Map()["sub"]
}

// keepUserinfo keeps the application's response in the cache. Call it only if the user
// was accepted, so that no rejection is repeated because of the cache.
func (i *Identifier) keepUserinfo(r *Request) {
	if i.userinfoCache != nil && r.userinfo.token != "" {
		i.userinfoCache.Put(r.userinfo.token, r.userinfo.document, r.userinfo.expiry)
	}
}
