// Package config says what a sandbox accepts and how it responds: of both
// services, their defaults and what is wrong with it.
package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// Config says which project a Server plays, which credentials it accepts and
// how it answers. The zero value is a working sandbox: project p1, deployment
// d1, the clients c1 (ios), c2 (android) and c3 (web), the secret
// "sandbox-secret" and an HMAC-SHA256 signature over the body; of Human API the
// client hapi1, with the same secret.
type Config struct {
	// ProjectID is the only accepted projectId. Default: p1.
	ProjectID string

	// DeploymentID is the only accepted value of the deploymentId header.
	// Default: d1.
	DeploymentID string

	// ClientIDs holds the accepted client ids by kind: ios, android, web.
	// A map given here replaces the default as a whole.
	// Default: ios c1, android c2, web c3.
	ClientIDs map[string]string

	// Secret keys the signature. Default: sandbox-secret.
	Secret string

	// Signature says how calls have to be signed.
	Signature Signature

	// HumanAPI is Human API's half. It has nothing but the prefix and
	// LifetimesAsStrings in common with Huma's.
	HumanAPI HumanAPI

	// AuthTokenLifetime is how long an auth token is good for, in whole
	// seconds. Default: 15m.
	AuthTokenLifetime time.Duration

	// RefreshTokenLifetime is how long a refresh token is good for, in whole
	// seconds. Default: 1080h (45 days).
	RefreshTokenLifetime time.Duration

	// Users are the e-mail addresses that are registered from the start, and
	// again after a reset.
	Users []string

	// SignUpWithoutToken plays the older sign-up, whose response holds the uid
	// and no tokens.
	SignUpWithoutToken bool

	// LifetimesAsStrings plays the older responses, in which lifetimes are
	// strings such as "900" and "3887999.603985". Human API's are strings then,
	// too.
	LifetimesAsStrings bool

	// MaxClockSkew is how far a signed timestamp may lie from the sandbox's
	// clock, both ways. Default: 1m.
	MaxClockSkew time.Duration

	// Prefix is a path in front of the APIs' endpoints, such as "/huma".
	// The control API and the page stay where they are. Default: none.
	Prefix string
}

// Signature says how calls of the Integration API have to be signed. How the
// real service signs is not published, so all of it can be set.
type Signature struct {
	// Algorithm is hmac-sha256, hmac-sha512, hawk or off. With off the
	// signature header is not looked at. Default: hmac-sha256.
	Algorithm string `json:"algorithm,omitempty"`

	// Encoding of an HMAC in its header: hex (lower case), base64 (padded) or
	// base64url (unpadded). Default: hex.
	Encoding string `json:"encoding,omitempty"`

	// Payload is the text an HMAC is made of, with {sig.body}, {sig.method},
	// {sig.path} (as sent, without the query), {sig.timestamp} and
	// {sig.deployment_id}. Default: {sig.body}.
	Payload string `json:"payload,omitempty"`

	// HeaderName is the request header that carries the signature. It has to
	// be there with hawk too, whose proof is in Authorization, as the
	// published description requires it. Default: signature.
	HeaderName string `json:"header_name,omitempty"`

	// ID is the Hawk id of the caller. Default: sandbox.
	ID string `json:"id,omitempty"`

	// TimestampHeader is the request header from which {sig.timestamp} is
	// taken: Unix seconds, Unix milliseconds or RFC 3339. Default: X-Timestamp.
	TimestampHeader string `json:"timestamp_header,omitempty"`
}

// Signature algorithms.
const (
	AlgorithmSHA256 = "hmac-sha256"
	AlgorithmSHA512 = "hmac-sha512"
	AlgorithmHawk   = "hawk"
	AlgorithmOff    = "off"
)

// The values that an option may have.
var (
	Algorithms  = []string{AlgorithmSHA256, AlgorithmSHA512, AlgorithmHawk, AlgorithmOff}
	Encodings   = []string{"hex", "base64", "base64url"}
	ClientTypes = []string{"ios", "android", "web"}
)

var payloadPlaceholders = []string{"{sig.body}", "{sig.method}", "{sig.path}", "{sig.timestamp}", "{sig.deployment_id}"}

// Complete returns a copy of a configuration that shares nothing with the
// original and in which everything left out is set, or what is wrong with it.
func Complete(c Config) (Config, error) {
	c = c.withDefaults()
	return c, c.check()
}

func (c Config) withDefaults() Config {
	c.ClientIDs = maps.Clone(c.ClientIDs)
	c.Users = slices.Clone(c.Users)
	if c.ClientIDs == nil {
		c.ClientIDs = map[string]string{"ios": "c1", "android": "c2", "web": "c3"}
	}
	setDefault(&c.ProjectID, "p1")
	setDefault(&c.DeploymentID, "d1")
	setDefault(&c.Secret, "sandbox-secret")
	setDefault(&c.Signature.Algorithm, AlgorithmSHA256)
	setDefault(&c.Signature.Encoding, "hex")
	setDefault(&c.Signature.Payload, "{sig.body}")
	setDefault(&c.Signature.HeaderName, "signature")
	setDefault(&c.Signature.ID, "sandbox")
	setDefault(&c.Signature.TimestampHeader, "X-Timestamp")
	setDefault(&c.AuthTokenLifetime, 15*time.Minute)
	setDefault(&c.RefreshTokenLifetime, 45*24*time.Hour)
	setDefault(&c.MaxClockSkew, time.Minute)
	c.HumanAPI = c.HumanAPI.withDefaults()
	c.Prefix = strings.TrimRight(c.Prefix, "/")
	return c
}

func setDefault[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// check reports everything that is wrong with a configuration whose defaults
// are set. Options are named as in the Caddyfile.
func (c Config) check() error {
	var errs []error
	for _, kind := range slices.Sorted(maps.Keys(c.ClientIDs)) {
		if !slices.Contains(ClientTypes, kind) {
			errs = append(errs, fmt.Errorf("client_id: %q is not one of %s", kind, strings.Join(ClientTypes, ", ")))
		}
		if c.ClientIDs[kind] == "" {
			errs = append(errs, fmt.Errorf("client_id %s: the id is empty", kind))
		}
	}
	if len(c.ClientIDs) == 0 {
		errs = append(errs, errors.New("client_id: no client is accepted"))
	}
	if c.AuthTokenLifetime < time.Second {
		errs = append(errs, fmt.Errorf("auth_token_lifetime: %s is less than a second", c.AuthTokenLifetime))
	}
	if c.RefreshTokenLifetime < time.Second {
		errs = append(errs, fmt.Errorf("refresh_token_lifetime: %s is less than a second", c.RefreshTokenLifetime))
	}
	if c.MaxClockSkew < 0 {
		errs = append(errs, fmt.Errorf("max_clock_skew: %s is negative", c.MaxClockSkew))
	}
	for i, user := range c.Users {
		if problem := service.AddressProblem(user); problem != "" {
			// Not the address itself: errors end up in logs.
			errs = append(errs, fmt.Errorf("user: address %d %s", i+1, problem))
		}
	}
	if c.Prefix != "" && !strings.HasPrefix(c.Prefix, "/") {
		errs = append(errs, fmt.Errorf("prefix: %q does not start with a slash", c.Prefix))
	}
	return errors.Join(append(errs, c.Signature.check(), c.HumanAPI.check())...)
}

func (s Signature) check() error {
	var errs []error
	if !slices.Contains(Algorithms, s.Algorithm) {
		errs = append(errs, fmt.Errorf("signature: %q is not one of %s", s.Algorithm, strings.Join(Algorithms, ", ")))
	}
	if !slices.Contains(Encodings, s.Encoding) {
		errs = append(errs, fmt.Errorf("signature encoding: %q is not one of %s", s.Encoding, strings.Join(Encodings, ", ")))
	}
	for _, h := range [][2]string{{"header_name", s.HeaderName}, {"timestamp_header", s.TimestampHeader}} {
		if !service.IsHeaderName(h[1]) {
			errs = append(errs, fmt.Errorf("signature %s: %q is not a header name", h[0], h[1]))
		}
	}
	if strings.ContainsAny(s.ID, "\"\\") {
		errs = append(errs, errors.New("signature id: a Hawk id holds no quote and no backslash"))
	}
	// A misspelt placeholder would be signed as the text it is, and no call
	// would ever verify.
	rest := s.Payload
	for _, name := range payloadPlaceholders {
		rest = strings.ReplaceAll(rest, name, "")
	}
	if strings.Contains(rest, "{sig.") {
		errs = append(errs, fmt.Errorf("signature payload: only %s are known", strings.Join(payloadPlaceholders, " ")))
	}
	return errors.Join(errs...)
}
