// Package assertion verifies signed assertions: JWTs with the user's identity that an
// authentication layer sends in a request header. It trusts a token only if a key of
// the layer's key server signed it and if it is issued for this site, whichever client
// sends the request.
package assertion

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// Config configures a Verifier. New checks Require and Algorithms, and that something names
// the application that tokens are for. presets.Verify.Complete checks the rest.
type Config struct {
	// Keys are the public keys. Required.
	Keys *Keys
	// Issuer is the required issuer (iss). Required. With Signers it may be empty, and
	// the issuer is not checked then.
	Issuer string
	// Audience are the accepted audiences (aud). One of them must match. If it is empty,
	// the audience is not checked: then Require must name the application. With Signers it
	// is compared with the client id that the load balancer names, and may be empty.
	Audience []string
	// NoAudience replaces Audience, which is empty then: a token with an audience is
	// rejected, because it is for another audience (RFC 7519, section 4.1.3).
	NoAudience bool
	// Require are further claims that a token must have. All of them must hold.
	Require []presets.Claim
	// Demand are claims that a token of the right kind has, Refuse those that it does not
	// have.
	Demand, Refuse []presets.Claim
	// Signers are the ARNs of AWS load balancers. One of them must have signed the
	// token. AWS has its own token format: base64url with padding, and signer, iss,
	// client and exp in the JOSE header. Keys must be ByID then.
	Signers []string
	// Algorithms are the accepted algorithms, from RS256, RS384, RS512, PS256, PS384,
	// PS512, ES256, ES384, ES512 and EdDSA (or its other name Ed25519). Default: all;
	// with Signers ES256.
	Algorithms []string
	// MaxWaiting is the maximum number of requests that wait for keys at once. Further
	// ones are rejected with identity.ErrKeysBusy. 0: no limit.
	MaxWaiting int
	// Timeout is the maximum time that a request waits for keys. 0: no limit, except
	// that of the fetch, which is 5 seconds.
	Timeout time.Duration
}

// Verifier verifies assertions. Create it with New. It is safe for concurrent use.
type Verifier struct {
	keys       *Keys
	issuer     string
	audience   []string
	noAudience bool
	require    []requirement
	demand     []requirement
	refuse     []requirement
	signers    []string // if not empty, tokens have AWS's format
	algorithms []string
	encoding   *jwt.Parser // for base64url
	waiters    *waiters
}

// Decoders of the parts of a token. Strict decoding accepts only one encoding of the
// same bytes.
var (
	unpadded = jwt.NewParser(jwt.WithStrictDecoding())
	padded   = jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithPaddingAllowed())
)

// New returns the Verifier that c describes. The error joins all problems, each with
// the name of the option.
func New(c Config) (*Verifier, error) {
	v := &Verifier{
		keys:       c.Keys,
		issuer:     c.Issuer,
		audience:   slices.Clone(c.Audience),
		noAudience: c.NoAudience,
		signers:    slices.Clone(c.Signers),
		algorithms: slices.Clone(c.Algorithms),
		encoding:   unpadded,
		waiters:    &waiters{max: int64(c.MaxWaiting), timeout: c.Timeout},
	}
	aws := len(v.signers) > 0
	if aws {
		v.encoding = padded
	}
	if len(v.algorithms) == 0 {
		v.algorithms = defaultAlgorithms(aws)
	}
	var errs []error
	v.require, errs = parseRequirements(c.Require)
	if !aws && len(c.Audience) == 0 && !c.NoAudience && len(c.Require) == 0 {
		// presets.Verify.Complete reports this first. Without both, a token for another
		// application would be accepted.
		errs = append(errs, errors.New("audience: is required"))
	}
	v.demand, v.refuse = mustParse(c.Demand), mustParse(c.Refuse)
	for i, name := range v.algorithms {
		v.algorithms[i] = canonicalAlgorithm(name)
		if _, ok := algorithms[v.algorithms[i]]; !ok {
			errs = append(errs, fmt.Errorf("algorithms: unknown algorithm %q; only algorithms with a public key are supported", name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return v, nil
}

// Verify implements identity.Verifier.
//
// It rejects what it can before it needs a key, so that such a token never causes a
// request to the key server. It does not parse the payload before the signature is
// verified.
func (v *Verifier) Verify(ctx context.Context, text, peer string) (claims.Document, error) {
	t, err := parseToken(text, v.encoding)
	if err != nil {
		return claims.Document{}, err
	}
	if !slices.Contains(v.algorithms, t.algorithm) {
		return claims.Document{}, identity.ErrAssertionAlgorithm
	}
	if !v.isSigner(t.header) {
		return claims.Document{}, identity.ErrAssertionSigner
	}
	if err := v.keys.verify(ctx, v.waiters.waiter(), t, peer); err != nil {
		return claims.Document{}, err
	}
	doc, err := claims.Parse(t.payload)
	if err != nil || doc.Map() == nil || !utf8.Valid(t.payload) { // RFC 7519, section 3
		return claims.Document{}, identity.ErrAssertionMalformed
	}
	if err := v.check(t.header, doc); err != nil {
		return claims.Document{}, err
	}
	return doc, nil
}

// Interface guards
var _ identity.Verifier = (*Verifier)(nil)
