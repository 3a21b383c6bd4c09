package presets

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// bearer is the header in which apps send their tokens (RFC 6750, section 2.1).
const bearer = "Authorization"

// Provider describes the tokens of an identity provider. Such a preset demands that the
// token states that the address is verified, because at these providers people sign up
// by themselves: Preset.Signed.Verified, or the ConfirmedBy of Preset.Signed.Email. If it
// has neither, the operator must write the option verified.
type Provider struct {
	// Parameters are the options that the issuer is derived from. Exactly one of them is
	// required.
	Parameters []Parameter
	// Audience is the only accepted audience. A parameter in braces is replaced by its
	// value. If it is empty, the option audience is required, unless OneApplication is
	// true or a requirement names the application.
	Audience string
	// AudienceExample says what the option audience is, with an example, for an error
	// message.
	AudienceExample string
	// OneApplication says that the issuer belongs to one application, and its tokens may
	// have no audience. Without the option audience, a token that has one is rejected.
	OneApplication bool
	// Demand are claims that a token must have. Refuse are claims that it must not have:
	// those of another kind of token, or of a user who is not signed in with an account.
	Demand, Refuse []Claim
	// Lacks are further claims that a token never has, although other tokens of the
	// provider do. They must not be required.
	Lacks []string
	// CommonAudience is an audience of the tokens of every application, so that it names
	// none of them. {issuer} stands for the issuer.
	CommonAudience string
	// CheckAudience, if not nil, returns an audience as tokens have it, or says what to
	// write instead of one that no token has.
	CheckAudience func(audience string) (string, error)
	// UserWritten are members of the token that users can set themselves. An address, an
	// id or a verification is never read there.
	UserWritten []string
}

// Claim is a claim with one of several values.
type Claim struct {
	// Path is the path of the claim (see claims.ParsePath).
	Path string
	// Values are the values. A string is compared as it is, a number or a boolean as it is
	// written in JSON. Of a list, one element must match. nil stands for every value other
	// than null and an empty text.
	Values []string
}

// Parameter is an option that the issuer of a preset is derived from.
type Parameter struct {
	// Option is the name of the option.
	Option string
	// Issuer is the issuer. The option's name in braces stands for its value, and
	// {region} for the part of it before the first underscore.
	Issuer string
	// Example is a value, for error messages.
	Example string
	// check returns the value as it is used, or what to write instead.
	check func(value string) (string, error)
}

// Needs returns the options that the preset requires, for the documentation. One option of
// each list is enough.
func (p Preset) Needs() [][]string {
	d := p.Provider
	var issuers []string
	for _, parameter := range d.Parameters {
		issuers = append(issuers, parameter.Option)
	}
	needed := [][]string{issuers}
	switch {
	case d.Audience == "" && !d.OneApplication:
		needed = append(needed, []string{"audience"})
	case p.StatesNothing():
		needed = append(needed, []string{"verified"})
	}
	return needed
}

// StatesNothing reports whether a provider's token never says whether the address is
// verified.
func (p Preset) StatesNothing() bool {
	return p.Signed.Verified.From == "" && p.Signed.Email.ConfirmedBy == ""
}

// DemandingVerified returns the names of the presets that demand a verified address:
// those with a Provider.
func DemandingVerified() (names []string) {
	for _, p := range table {
		if p.Provider != nil {
			names = append(names, p.Name)
		}
	}
	return names
}

// parameters returns the parameters of v, by the name of the option.
func (v Verify) parameters() map[string]string {
	return map[string]string{"domain": v.Domain, "project": v.Project, "tenant": v.Tenant, "user_pool": v.UserPool}
}

// HavingParameter returns the names of the presets that have a parameter.
func HavingParameter(option string) (names []string) {
	for _, p := range table {
		if p.Provider != nil && slices.ContainsFunc(p.Provider.Parameters, func(q Parameter) bool { return q.Option == option }) {
			names = append(names, p.Name)
		}
	}
	return names
}

// rejectParameters returns an error for each parameter that is set, except those in own.
func (v Verify) rejectParameters(own ...Parameter) (errs []error) {
	for _, option := range []string{"domain", "project", "tenant", "user_pool"} {
		if v.parameters()[option] == "" || slices.ContainsFunc(own, func(p Parameter) bool { return p.Option == option }) {
			continue
		}
		errs = append(errs, fmt.Errorf("%s: is valid with the %s only; remove it", option, presetList(HavingParameter(option))))
	}
	return errs
}

// presetList returns names as part of a sentence.
func presetList(names []string) string {
	if len(names) == 1 {
		return "preset " + names[0]
	}
	return "presets " + strings.Join(names, ", ")
}

// completeProvider is Complete for a preset with a Provider.
func (v Verify) completeProvider(p Preset) (Verify, error) {
	d := p.Provider
	errs := v.rejectParameters(d.Parameters...)
	if len(v.Signers) > 0 {
		errs = append(errs, errors.New("signer: is valid with the preset aws_alb only; remove it"))
	}
	parameter, value, err := v.parameter(p)
	if err != nil {
		errs = append(errs, err)
	}
	region, _, _ := strings.Cut(value, "_")
	replace := strings.NewReplacer("{"+parameter.Option+"}", value, "{region}", region)
	if value != "" {
		v.Issuer = replace.Replace(parameter.Issuer)
	}
	if v.JWKS == "" {
		v.JWKS = strings.ReplaceAll(replace.Replace(p.Verify.JWKS), "{issuer}", v.Issuer)
	}
	switch {
	case d.Audience != "" && len(v.Audience) > 0:
		errs = append(errs, fmt.Errorf("audience: the preset %s requires %s; remove it", p.Name, d.Audience))
	case d.Audience != "":
		v.Audience = []string{replace.Replace(d.Audience)}
	case len(v.Audience) == 0 && !d.OneApplication && !v.namesClient():
		errs = append(errs, fmt.Errorf("audience: is required: write %s; without it, a token for another application of the same issuer would be accepted", d.AudienceExample))
	}
	v.Audience = slices.Clone(v.Audience)
	errs = append(errs, v.rejectCommonAudience(p)...)
	errs = append(errs, v.checkAudience(d)...)
	errs = append(errs, v.rejectRequired(p)...)
	v.Algorithms = p.Verify.Algorithms
	v.NoAudience = len(v.Audience) == 0 && d.OneApplication
	v.Demand, v.Refuse = d.Demand, d.Refuse
	return v, errors.Join(errs...)
}

// parameter returns the parameter that is set, with its value. If there is none, or more
// than one, or if the value is not valid, it returns an error and no value.
func (v Verify) parameter(p Preset) (parameter Parameter, value string, err error) {
	values := v.parameters()
	values["issuer"] = v.Issuer
	all := p.Provider.Parameters
	for _, q := range all {
		switch {
		case values[q.Option] == "":
		case value != "":
			return q, "", fmt.Errorf("%s: cannot be combined with %s; remove one of them", q.Option, parameter.Option)
		default:
			parameter, value = q, values[q.Option]
		}
	}
	if v.Issuer != "" && !slices.ContainsFunc(all, func(q Parameter) bool { return q.Option == "issuer" }) {
		return all[0], "", fmt.Errorf("issuer: the preset %s derives it from %s; remove it, and write, for example, %q", p.Name, all[0].Option, all[0].line())
	}
	if value == "" {
		text := fmt.Sprintf("%q", all[0].line())
		for _, q := range all[1:] {
			text += fmt.Sprintf(" or %q", q.line())
		}
		return all[0], "", fmt.Errorf("%s: is required: write, for example, %s", all[0].Option, text)
	}
	if value, err = parameter.check(value); err != nil {
		return parameter, "", fmt.Errorf("%s: %w", parameter.Option, err)
	}
	return parameter, value, nil
}

// line returns the example of a parameter as a line of a Caddyfile.
func (q Parameter) line() string { return q.Option + " " + q.Example }
