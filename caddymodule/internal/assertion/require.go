package assertion

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// requirement is the parsed form of a presets.Claim.
type requirement struct {
	path   claims.Path
	values []string // nil: any
}

// parseRequirements parses requirements. The errors have the name of the option.
func parseRequirements(requirements []presets.Claim) (parsed []requirement, errs []error) {
	for _, r := range requirements {
		path, err := claims.ParsePath(r.Path)
		switch {
		case r.Path == "":
			errs = append(errs, errors.New("require: must have a claim: write, for example, require azp clinic-app"))
		case err != nil:
			errs = append(errs, fmt.Errorf("require: the path %q: %w", r.Path, err))
		case len(r.Values) == 0:
			errs = append(errs, fmt.Errorf("require: %s must have at least one value", r.Path))
		case slices.Contains(r.Values, ""):
			errs = append(errs, fmt.Errorf("require: %s must not have an empty value", r.Path))
		default:
			parsed = append(parsed, requirement{path, slices.Clone(r.Values)})
		}
	}
	return parsed, errs
}

// mustParse parses requirements of a preset, whose paths are valid.
func mustParse(requirements []presets.Claim) []requirement {
	var parsed []requirement
	for _, r := range requirements {
		path, err := claims.ParsePath(r.Path)
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
