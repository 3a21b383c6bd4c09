package assertion

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

const (
	// leeway is how far the clocks of the issuer and of this server may be
	// apart.
	leeway = 30 * time.Second

	// maxSeconds is the last second of the year 9999. No token is meant to
	// live longer, and numbers far beyond overflow to some other time.
	maxSeconds = 253402300799
)

// check says whether a token whose signature is right is for this site and
// this time.
func (v *Verifier) check(header, payload map[string]any) error {
	now := time.Now()
	if len(v.signers) > 0 {
		return v.checkAWS(header, payload, now)
	}
	if !isText(payload["iss"], v.issuer) {
		return identity.ErrAssertionIssuer
	}
	if !isFor(payload["aud"], v.audience) {
		return identity.ErrAssertionAudience
	}
	if _, ok := payload["exp"]; !ok {
		return identity.ErrAssertionExpired
	}
	return checkTimes(payload, now)
}

// checkAWS is check for what a load balancer signed. It writes into the header
// what others write into the payload; where the payload says it too, both
// have to be right.
func (v *Verifier) checkAWS(header, payload map[string]any, now time.Time) error {
	if v.issuer != "" {
		again, ok := payload["iss"]
		if !isText(header["iss"], v.issuer) || ok && !isText(again, v.issuer) {
			return identity.ErrAssertionIssuer
		}
	}
	if len(v.audience) > 0 {
		client, ok := header["client"].(string)
		if !ok || !slices.Contains(v.audience, client) {
			return identity.ErrAssertionAudience
		}
	}
	if _, ok := header["exp"]; !ok {
		return identity.ErrAssertionExpired
	}
	if err := checkTimes(header, now); err != nil {
		return err
	}
	return checkTimes(payload, now)
}

// isSigner reports whether the load balancer that a header names is one of
// those that are believed. It says nothing where a token is of another kind.
func (v *Verifier) isSigner(header map[string]any) bool {
	if len(v.signers) == 0 {
		return true
	}
	signer, ok := header["signer"].(string)
	return ok && slices.Contains(v.signers, signer)
}

// checkTimes checks the times that members say.
func checkTimes(members map[string]any, now time.Time) error {
	if exp, ok := members["exp"]; ok {
		until, ok := date(exp)
		if !ok || !now.Before(until.Add(leeway)) {
			return identity.ErrAssertionExpired
		}
	}
	for _, name := range []string{"nbf", "iat"} {
		value, ok := members[name]
		if !ok {
			continue
		}
		from, ok := date(value)
		if !ok {
			return identity.ErrAssertionMalformed
		}
		if now.Before(from.Add(-leeway)) {
			return identity.ErrAssertionEarly
		}
	}
	return nil
}

// date reads a time: a number of seconds since 1970, of which fractions are
// dropped.
func date(value any) (time.Time, bool) {
	n, ok := value.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := n.Float64()
	if err != nil || math.Abs(seconds) > maxSeconds {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

// isText reports whether a value is exactly this text.
func isText(value any, text string) bool {
	s, ok := value.(string)
	return ok && s == text
}

// isFor reports whether an audience, which is a text or a list of texts, has
// one of those wanted in it.
func isFor(value any, wanted []string) bool {
	if s, ok := value.(string); ok {
		return slices.Contains(wanted, s)
	}
	list, _ := value.([]any)
	found := false
	for _, element := range list {
		s, ok := element.(string)
		if !ok {
			return false
		}
		found = found || slices.Contains(wanted, s)
	}
	return found
}
