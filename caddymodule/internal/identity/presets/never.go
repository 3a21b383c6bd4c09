package presets

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// checkAudience replaces the audiences by the form in which tokens have them. It returns
// an error for each that no token has.
func (v Verify) checkAudience(d *Provider) (errs []error) {
	if d.CheckAudience == nil {
		return nil
	}
	for i, audience := range v.Audience {
		checked, err := d.CheckAudience(audience)
		if err != nil {
			errs = append(errs, fmt.Errorf("audience: %q %w: write %s", audience, err, d.AudienceExample))
			continue
		}
		v.Audience[i] = checked
	}
	return errs
}

// rejectCommonAudience returns an error if tokens of every application are accepted: the
// operator of another one could use the tokens that its users send to it.
func (v Verify) rejectCommonAudience(p Preset) []error {
	common := strings.ReplaceAll(p.Provider.CommonAudience, "{issuer}", v.Issuer)
	if common == "" || v.namesClient() || !slices.Contains(v.Audience, common) {
		return nil
	}
	return []error{fmt.Errorf("audience: %s is the audience of every application with the preset %s, so tokens of another application would be accepted; write %s", common, p.Name, p.Provider.AudienceExample)}
}

// rejectRequired returns an error for each required claim that no accepted token has: with
// it, every request would be rejected.
func (v Verify) rejectRequired(p Preset) (errs []error) {
	for _, r := range v.Require {
		if !p.Provider.excludes(r) {
			continue
		}
		fix := "remove it"
		isClient := slices.Contains([]string{"client_id", "cid", "appid"}, r.Path) // stands for the audience
		if isClient && len(v.Audience) == 0 && p.Provider.AudienceExample != "" {
			fix += ", and write " + p.Provider.AudienceExample
		}
		errs = append(errs, fmt.Errorf("require: the preset %s accepts no token with this claim %s, so every request would be rejected; %s", p.Name, r.Path, fix))
	}
	return errs
}

// excludes reports whether no accepted token has one of the values of a claim.
func (d *Provider) excludes(r Claim) bool {
	isRefused := func(c Claim) bool {
		return c.Path == r.Path && (c.Values == nil || !slices.ContainsFunc(r.Values, func(value string) bool { return !slices.Contains(c.Values, value) }))
	}
	isOther := func(c Claim) bool {
		return c.Path == r.Path && c.Values != nil && !slices.ContainsFunc(r.Values, func(value string) bool { return slices.Contains(c.Values, value) })
	}
	return slices.Contains(d.Lacks, r.Path) || slices.ContainsFunc(d.Refuse, isRefused) || slices.ContainsFunc(d.Demand, isOther)
}

// guid is the CheckAudience of entra: tokens of version 2 always have the client ID
// (Microsoft identity platform, page "Access token claims reference").
func guid(audience string) (string, error) {
	id := strings.ToLower(audience)
	if !guidPattern.MatchString(id) {
		return "", errors.New("is not a GUID, and the audience of a token of version 2 always is")
	}
	return id, nil
}

// clientID is the CheckAudience of providers whose ID tokens have the ID of the app.
func clientID(audience string) (string, error) {
	if strings.ContainsAny(audience, ":/") {
		return "", errors.New("is a URI, such as access tokens have, and the audience of an ID token is not")
	}
	return audience, nil
}
