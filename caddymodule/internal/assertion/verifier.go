// Package assertion verifies signed assertions of who is asking: tokens (JWT)
// that an authentication layer puts into a header of the request. A request
// that carries one is believed whoever sent it, so nothing of a token is
// believed before its signature has been verified with a key of the layer's
// key server, and nothing after that which is not addressed to this site.
package assertion

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// Config says which assertions are believed.
type Config struct {
	// Keys are the public keys that verify them.
	Keys *Keys
	// Issuer is who has to have issued them (iss). Required; with Signers it
	// may be empty, and is then not looked at.
	Issuer string
	// Audience is whom they have to be for (aud): one of these. Required; with
	// Signers it may be empty, and else is compared with the client id that
	// the load balancer names.
	Audience []string
	// Signers are the ARNs of load balancers at AWS, one of which has to have
	// signed them. AWS writes tokens of a dialect: base64url with padding, and
	// signer, iss, client and exp in the JOSE header. Keys must be ByID then.
	Signers []string
	// Algorithms are those that are accepted, among RS256, RS384, RS512,
	// PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA. Empty: all of them;
	// with Signers ES256.
	Algorithms []string
}

// Verifier verifies assertions. Use New. It may be used concurrently.
type Verifier struct {
	keys       *Keys
	issuer     string
	audience   []string
	signers    []string // AWS's dialect if there are any
	algorithms []string
	encoding   *jwt.Parser // of base64url
}

// How the parts of a token are encoded. Strict means that there is one way
// only to write the same bytes.
var (
	unpadded = jwt.NewParser(jwt.WithStrictDecoding())
	padded   = jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithPaddingAllowed())
)

// New returns the Verifier that a configuration describes. Its error holds
// every problem there is, each with the name of the option.
func New(c Config) (*Verifier, error) {
	v := &Verifier{
		keys:       c.Keys,
		issuer:     c.Issuer,
		audience:   slices.Clone(c.Audience),
		signers:    slices.Clone(c.Signers),
		algorithms: slices.Clone(c.Algorithms),
		encoding:   unpadded,
	}
	aws := len(v.signers) > 0
	if aws {
		v.encoding = padded
	}
	if len(v.algorithms) == 0 {
		v.algorithms = defaultAlgorithms(aws)
	}
	if err := errors.Join(v.problems()...); err != nil {
		return nil, err
	}
	return v, nil
}

func (v *Verifier) problems() (errs []error) {
	aws := len(v.signers) > 0
	switch {
	case v.keys == nil:
		errs = append(errs, errors.New("jwks: it is missing"))
	case aws && !v.keys.source.ByID:
		errs = append(errs, errors.New("signer: a load balancer's keys are one file each, not a JSON Web Key Set"))
	case !aws && v.keys.source.ByID:
		errs = append(errs, errors.New("signer: it is missing: the same keys sign for everybody who has a load balancer there"))
	}
	if v.issuer == "" && !aws {
		errs = append(errs, errors.New("issuer: it is missing"))
	}
	if len(v.audience) == 0 && !aws {
		errs = append(errs, errors.New("audience: it is missing"))
	}
	if slices.Contains(v.audience, "") {
		errs = append(errs, errors.New("audience: one of them is empty"))
	}
	if slices.Contains(v.signers, "") {
		errs = append(errs, errors.New("signer: one of them is empty"))
	}
	for _, name := range v.algorithms {
		if _, ok := algorithms[name]; !ok {
			errs = append(errs, fmt.Errorf("algorithms: %q is none that verifies with a public key", name))
		}
	}
	return errs
}

// Verify implements identity.Verifier.
//
// What can be refused without a key is refused first, so that such a token
// never makes anybody ask the key server. The payload is not even read as
// JSON before its signature has been verified.
func (v *Verifier) Verify(ctx context.Context, written string) (claims.Document, error) {
	t, err := readToken(written, v.encoding)
	if err != nil {
		return claims.Document{}, err
	}
	if !slices.Contains(v.algorithms, t.algorithm) {
		return claims.Document{}, identity.ErrAssertionAlgorithm
	}
	if !v.isSigner(t.header) {
		return claims.Document{}, identity.ErrAssertionSigner
	}
	if err := v.keys.verify(ctx, t); err != nil {
		return claims.Document{}, err
	}
	doc, err := claims.Parse(t.payload)
	if err != nil || doc.Map() == nil {
		return claims.Document{}, identity.ErrAssertionMalformed
	}
	if err := v.check(t.header, doc.Map()); err != nil {
		return claims.Document{}, err
	}
	return doc, nil
}

// Interface guards
var _ identity.Verifier = (*Verifier)(nil)
