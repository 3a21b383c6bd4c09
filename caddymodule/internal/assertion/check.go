package assertion

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

const (
	// leeway is the tolerated difference between the clocks of the issuer and of this
	// server.
	leeway = 30 * time.Second

	// maxSeconds is the last second of the year 9999 in Unix time. Larger times are
	// rejected: no token lives that long, and very large numbers would overflow.
	maxSeconds = 253402300799
)

// check validates issuer, audience, times and requirements of a token whose signature is
// valid.
func (v *Verifier) check(header map[string]any, doc claims.Document) error {
	now, check := time.Now(), v.checkStandard
	if len(v.signers) > 0 {
		check = v.checkAWS
	}
	if err := check(header, doc.Map(), now); err != nil {
		return err
	}
	for _, r := range v.demand {
		if !r.isMet(doc) {
			return identity.ErrAssertionKind
		}
	}
	for _, r := range v.refuse {
		if r.isMet(doc) {
			return identity.ErrAssertionKind
		}
	}
	for _, r := range v.require {
		if !r.isMet(doc) {
			return identity.ErrAssertionRequirement
		}
	}
	return nil
}

// checkStandard validates the claims of RFC 7519, section 4.1.
func (v *Verifier) checkStandard(_, payload map[string]any, now time.Time) error {
	if !isText(payload["iss"], v.issuer) {
		return identity.ErrAssertionIssuer
	}
	if len(v.audience) > 0 && !matchesAudience(payload["aud"], v.audience) || v.noAudience && payload["aud"] != nil {
		return identity.ErrAssertionAudience
	}
	if _, ok := payload["exp"]; !ok {
		return identity.ErrAssertionExpired
	}
	return checkTimes(payload, now)
}

// checkAWS is checkStandard for tokens of an AWS load balancer. They have issuer, client and
// expiry in the JOSE header instead of the payload. If the payload has iss or times
// too, they must also be valid.
func (v *Verifier) checkAWS(header, payload map[string]any, now time.Time) error {
	if v.issuer != "" {
		fromPayload, ok := payload["iss"]
		if !isText(header["iss"], v.issuer) || ok && !isText(fromPayload, v.issuer) {
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

// isSigner reports whether the header names one of the accepted load balancers. It
// returns true if the config has no signers.
func (v *Verifier) isSigner(header map[string]any) bool {
	if len(v.signers) == 0 {
		return true
	}
	signer, ok := header["signer"].(string)
	return ok && slices.Contains(v.signers, signer)
}

// checkTimes validates exp, nbf and iat, each only if present. For nbf and iat, null is
// the same as absent: some libraries write it for a time that is not set.
func checkTimes(members map[string]any, now time.Time) error {
	if exp, ok := members["exp"]; ok {
		until, ok := parseTime(exp)
		if !ok || !now.Before(until.Add(leeway)) {
			return identity.ErrAssertionExpired
		}
	}
	for _, name := range []string{"nbf", "iat"} {
		value := members[name]
		if value == nil {
			continue
		}
		from, ok := parseTime(value)
		if !ok {
			return identity.ErrAssertionMalformed
		}
		if now.Before(from.Add(-leeway)) {
			return identity.ErrAssertionNotYetValid
		}
	}
	return nil
}

// parseTime converts a number of Unix seconds to a time. Fractions are dropped.
func parseTime(value any) (time.Time, bool) {
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

// isText reports whether value is a string equal to text.
func isText(value any, text string) bool {
	s, ok := value.(string)
	return ok && s == text
}

// matchesAudience reports whether the audience value, a string or a list of strings,
// contains one of accepted. A list with another type in it never matches.
func matchesAudience(value any, accepted []string) bool {
	if s, ok := value.(string); ok {
		return slices.Contains(accepted, s)
	}
	list, _ := value.([]any)
	found := false
	for _, element := range list {
		s, ok := element.(string)
		if !ok {
			return false
		}
		found = found || slices.Contains(accepted, s)
	}
	return found
}
