package assertion

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
)

// Requirement is a claim that a token must have, with one of several values.
type Requirement struct {
	// Claim is the path of the claim (see claims.ParsePath).
	Claim string
	// Values are the accepted values. A string is compared as it is, a number or a
	// boolean as it is written in JSON. Of a list, one element must match.
	Values []string
}

// clientClaims are the claims that name the application that a token was issued to: azp
// (OpenID Connect Core 1.0, section 2), client_id (RFC 9068, section 2.2), cid (Okta) and
// appid (Microsoft Entra, version 1.0 tokens).
var clientClaims = []string{"azp", "client_id", "cid", "appid"}

// NamesClient reports whether one of the requirements is about the application that a
// token was issued to. An audience is not required then.
func NamesClient(requirements []Requirement) bool {
	return slices.ContainsFunc(requirements, func(r Requirement) bool { return slices.Contains(clientClaims, r.Claim) })
}

// requirement is the parsed form of a Requirement.
type requirement struct {
	path   claims.Path
	values []string // nil: any
}

// parseRequirements parses requirements. The errors have the name of the option.
func parseRequirements(requirements []Requirement) (parsed []requirement, errs []error) {
	for _, r := range requirements {
		path, err := claims.ParsePath(r.Claim)
		switch {
		case r.Claim == "":
			errs = append(errs, errors.New("require: must have a claim: write, for example, require azp clinic-app"))
		case err != nil:
			errs = append(errs, fmt.Errorf("require: the path %q: %w", r.Claim, err))
		case len(r.Values) == 0:
			errs = append(errs, fmt.Errorf("require: %s must have at least one value", r.Claim))
		case slices.Contains(r.Values, ""):
			errs = append(errs, fmt.Errorf("require: %s must not have an empty value", r.Claim))
		default:
			parsed = append(parsed, requirement{path, slices.Clone(r.Values)})
		}
	}
	return parsed, errs
}

// mustParse parses requirements of a preset, whose paths are valid.
func mustParse(requirements []Requirement) []requirement {
	var parsed []requirement
	for _, r := range requirements {
		path, err := claims.ParsePath(r.Claim)
		if err != nil {
			panic("assertion: " + err.Error())
		}
		parsed = append(parsed, requirement{path, r.Values})
	}
	return parsed
}

// isMet reports whether the claims have one of the values, or, without values, any value.
func (r requirement) isMet(doc claims.Document) bool {
	value := doc.Lookup(r.path)
	if r.values == nil {
		list, ok := value.([]any)
		return value != nil && value != "" && (!ok || len(list) > 0)
	}
	if list, ok := value.([]any); ok {
		return slices.ContainsFunc(list, r.accepts)
	}
	return r.accepts(value)
}

// accepts reports whether a value that is not a list is accepted.
func (r requirement) accepts(value any) bool {
	switch v := value.(type) {
	case string:
		return slices.Contains(r.values, v)
	case json.Number:
		return slices.Contains(r.values, v.String())
	case bool:
		return slices.Contains(r.values, strconv.FormatBool(v))
	}
	return false
}
