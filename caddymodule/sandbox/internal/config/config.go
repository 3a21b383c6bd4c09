// Package config defines the configuration of a sandbox, with its defaults and its
// validation.
package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// Config is the configuration of a sandbox: the credentials that it accepts and how it
// responds. The zero value is valid. For Huma it has the project p1, the deployment d1,
// the clients c1 (ios), c2 (android) and c3 (web), the secret "sandbox-secret" and an
// HMAC-SHA256 signature over the body; for Human API the client hapi1 with the same
// secret.
type Config struct {
	// The path prefix of the APIs' endpoints, such as `/huma`. It does not apply to
	// the control API and the web page. Default: none.
	Prefix string `json:"prefix,omitempty"`

	// The edition of Huma's guide whose API the sandbox plays: `newest`, `middle` or
	// `oldest`. In `middle`, a sign-up responds without tokens. In `oldest`, the calls
	// have other paths, the member `method` and the secret in the header
	// `verification-token`. Calls of another edition are rejected. Default: `newest`.
	Edition string `json:"edition,omitempty"`

	// The only accepted project id. Default: `p1`.
	ProjectID string `json:"project_id,omitempty"`

	// The only accepted deployment id. Default: `d1`.
	DeploymentID string `json:"deployment_id,omitempty"`

	// The accepted client ids by client type: `ios`, `android`, `web`. If it is set,
	// it replaces all defaults.
	// Default: ios `c1`, android `c2`, web `c3`.
	ClientIDs map[string]string `json:"client_ids,omitempty"`

	// The key of the signature. Line breaks at the end are removed.
	// Default: `sandbox-secret`.
	Secret string `json:"secret,omitempty"`

	// How clients sign their calls. Default: an HMAC-SHA256 of the body in hex.
	Signature Signature `json:"signature,omitzero"`

	// The configuration of Human API Connect. Default: one client, `hapi1`, with the
	// secret `sandbox-secret`.
	HumanAPI HumanAPI `json:"human_api,omitzero"`

	// The lifetime of an auth token, in whole seconds. Default: `15m`.
	AuthTokenLifetime caddy.Duration `json:"auth_token_lifetime,omitempty"`

	// The lifetime of a refresh token, in whole seconds. Default: `45d`.
	RefreshTokenLifetime caddy.Duration `json:"refresh_token_lifetime,omitempty"`

	// The allowed difference between a signed timestamp and the clock, in both
	// directions. Default: `1m`.
	MaxClockSkew caddy.Duration `json:"max_clock_skew,omitempty"`

	// The email addresses of users that exist from the start and after a reset.
	Users []string `json:"users,omitempty"`

	// Emulates the older responses, in which lifetimes are strings. It applies to Huma
	// and to Human API.
	LifetimesAsStrings bool `json:"lifetimes_as_strings,omitempty"`
}

// Signature defines how clients sign calls of the Integration API. How the real service
// does it is not published, so everything is configurable.
type Signature struct {
	// Algorithm is hmac-sha256, hmac-sha512, hawk or off. With off, the signature header
	// is ignored. Default: hmac-sha256.
	Algorithm string `json:"algorithm,omitempty"`

	// Encoding is the encoding of an HMAC in its header: hex (lower case), base64
	// (padded) or base64url (unpadded). Default: hex.
	Encoding string `json:"encoding,omitempty"`

	// Payload is the template of the text that an HMAC covers. Its placeholders are
	// {sig.body}, {sig.method}, {sig.path} (as sent, without the query),
	// {sig.timestamp} and {sig.deployment_id}. Default: {sig.body}.
	Payload string `json:"payload,omitempty"`

	// HeaderName is the request header with the signature. With hawk the MAC is in
	// Authorization, but this header is required, too, as in the published description.
	// Default: signature.
	HeaderName string `json:"header_name,omitempty"`

	// ID is the Hawk id of the client. Default: sandbox.
	ID string `json:"id,omitempty"`

	// TimestampHeader is the request header with the value of {sig.timestamp}: Unix
	// seconds, Unix milliseconds or RFC 3339. Default: X-Timestamp.
	TimestampHeader string `json:"timestamp_header,omitempty"`
}

// The values of Signature.Algorithm.
const (
	AlgorithmSHA256 = "hmac-sha256"
	AlgorithmSHA512 = "hmac-sha512"
	AlgorithmHawk   = "hawk"
	AlgorithmOff    = "off"
)

// The values of Config.Edition.
const (
	EditionNewest = "newest"
	EditionMiddle = "middle"
	EditionOldest = "oldest"
)

// The allowed values of options: the editions, the algorithms and encodings of a
// signature, and the client types.
var (
	editions    = []string{EditionNewest, EditionMiddle, EditionOldest}
	algorithms  = []string{AlgorithmSHA256, AlgorithmSHA512, AlgorithmHawk, AlgorithmOff}
	encodings   = []string{"hex", "base64", "base64url"}
	clientTypes = []string{"ios", "android", "web"}
)

// payloadPlaceholders are the placeholders in Signature.Payload.
var payloadPlaceholders = []string{"{sig.body}", "{sig.method}", "{sig.path}", "{sig.timestamp}", "{sig.deployment_id}"}

// Complete returns a deep copy of c with defaults for all fields that are not set. The
// error describes everything that is invalid.
func Complete(c Config) (Config, error) {
	c = c.withDefaults()
	return c, c.check()
}

// withDefaults returns a deep copy of c with defaults for all fields that are not set.
func (c Config) withDefaults() Config {
	c.ClientIDs = maps.Clone(c.ClientIDs)
	c.Users = slices.Clone(c.Users)
	if c.ClientIDs == nil {
		c.ClientIDs = map[string]string{"ios": "c1", "android": "c2", "web": "c3"}
	}
	setDefault(&c.Edition, EditionNewest)
	setDefault(&c.ProjectID, "p1")
	setDefault(&c.DeploymentID, "d1")
	setDefault(&c.Secret, "sandbox-secret")
	setDefault(&c.Signature.Algorithm, AlgorithmSHA256)
	setDefault(&c.Signature.Encoding, "hex")
	setDefault(&c.Signature.Payload, "{sig.body}")
	setDefault(&c.Signature.HeaderName, "signature")
	setDefault(&c.Signature.ID, "sandbox")
	setDefault(&c.Signature.TimestampHeader, "X-Timestamp")
	setDefault(&c.AuthTokenLifetime, caddy.Duration(15*time.Minute))
	setDefault(&c.RefreshTokenLifetime, caddy.Duration(45*24*time.Hour))
	setDefault(&c.MaxClockSkew, caddy.Duration(time.Minute))
	c.HumanAPI = c.HumanAPI.withDefaults()
	c.Prefix = strings.TrimRight(c.Prefix, "/")
	return c
}

// setDefault sets *p to value if it is the zero value.
func setDefault[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// check returns everything that is invalid in a configuration with defaults. Options are
// named as in the Caddyfile.
func (c Config) check() error {
	var errs []error
	if !slices.Contains(editions, c.Edition) {
		errs = append(errs, fmt.Errorf("edition: unknown edition %q; use one of %s", c.Edition, strings.Join(editions, ", ")))
	}
	for _, clientType := range slices.Sorted(maps.Keys(c.ClientIDs)) {
		if !slices.Contains(clientTypes, clientType) {
			errs = append(errs, fmt.Errorf("client_id: unknown client type %q; use one of %s", clientType, strings.Join(clientTypes, ", ")))
		}
		if c.ClientIDs[clientType] == "" {
			errs = append(errs, fmt.Errorf("client_id %s: the id must not be empty", clientType))
		}
	}
	if len(c.ClientIDs) == 0 {
		errs = append(errs, errors.New("client_id: at least one client is required"))
	}
	errs = append(errs, checkLifetime("auth_token_lifetime", c.AuthTokenLifetime), checkLifetime("refresh_token_lifetime", c.RefreshTokenLifetime))
	if c.MaxClockSkew < 0 {
		errs = append(errs, fmt.Errorf("max_clock_skew: must not be negative, but is %s", time.Duration(c.MaxClockSkew)))
	}
	for i, user := range c.Users {
		if problem := service.AddressProblem(user); problem != "" {
			// The address itself is not in the error, since errors are logged.
			errs = append(errs, fmt.Errorf("user: address %d %s", i+1, problem))
		}
	}
	if c.Prefix != "" && !strings.HasPrefix(c.Prefix, "/") {
		errs = append(errs, fmt.Errorf("prefix: must start with a slash, unlike %q", c.Prefix))
	}
	return errors.Join(append(errs, c.Signature.check(), c.HumanAPI.check())...)
}

// checkLifetime returns an error if the lifetime of a token is too short.
func checkLifetime(option string, lifetime caddy.Duration) error {
	if d := time.Duration(lifetime); d < time.Second {
		return fmt.Errorf("%s: must be at least 1s, not %s", option, d)
	}
	return nil
}

// check returns everything that is invalid in a signature with defaults.
func (s Signature) check() error {
	var errs []error
	if !slices.Contains(algorithms, s.Algorithm) {
		errs = append(errs, fmt.Errorf("signature: unknown algorithm %q; use one of %s", s.Algorithm, strings.Join(algorithms, ", ")))
	}
	if !slices.Contains(encodings, s.Encoding) {
		errs = append(errs, fmt.Errorf("signature encoding: unknown encoding %q; use one of %s", s.Encoding, strings.Join(encodings, ", ")))
	}
	for _, h := range [][2]string{{"header_name", s.HeaderName}, {"timestamp_header", s.TimestampHeader}} {
		if !service.IsHeaderName(h[1]) {
			errs = append(errs, fmt.Errorf("signature %s: %q is not a valid header name", h[0], h[1]))
		}
	}
	if strings.ContainsAny(s.ID, "\"\\") {
		errs = append(errs, errors.New("signature id: must not contain quotes or backslashes"))
	}
	// A misspelt placeholder would be part of the signed text as it is, and the
	// signature of every call would be invalid.
	rest := s.Payload
	for _, name := range payloadPlaceholders {
		rest = strings.ReplaceAll(rest, name, "")
	}
	if strings.Contains(rest, "{sig.") {
		errs = append(errs, fmt.Errorf("signature payload: unknown placeholder {sig.…}; use %s", strings.Join(payloadPlaceholders, " ")))
	}
	return errors.Join(errs...)
}
