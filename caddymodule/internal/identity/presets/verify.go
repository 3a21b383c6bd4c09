package presets

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Verify holds the block verify: which signed assertions are accepted.
type Verify struct {
	// JWKS is the URL of the public keys: a JSON Web Key Set, or, with KeyByID, one key
	// in PEM form at <JWKS>/<kid>. If it is empty after Complete, the discovery document
	// of Issuer has the URL.
	JWKS string
	// Issuer is the required issuer (claim iss).
	Issuer string
	// Audience are the accepted audiences (claim aud). One of them must match.
	Audience []string
	// Signers are the ARNs of the accepted load balancers. One of them must have signed
	// the assertion. For the preset aws_alb only.
	Signers []string

	// Domain, Project, Tenant and UserPool are the parameters of presets with a Provider,
	// from which the issuer is derived.
	Domain, Project, Tenant, UserPool string

	// Require are the required claims. If one of them names the application that the
	// assertion was issued to, Audience may be empty.
	Require []Claim

	// The other fields come from the preset. KeyByID fetches each key by its id.
	KeyByID bool
	// Algorithms are the accepted signature algorithms. nil accepts all that use a
	// public key.
	Algorithms []string
	// NoAudience says that a token must not have an audience.
	NoAudience bool
	// Demand are claims that a token must have, Refuse those that it must not have.
	Demand, Refuse []Claim
}

// arnPattern matches the ARN of an AWS load balancer. Its group is the region.
var arnPattern = regexp.MustCompile(`^arn:aws[a-z-]*:elasticloadbalancing:([a-z0-9-]+):[0-9]+:loadbalancer/`)

// Requires lists the options of the block verify that have no default, for an
// error message.
func (v Verify) Requires() string {
	var needed []string
	if v.KeyByID {
		return "signer"
	}
	for _, o := range []struct{ name, preset string }{{"jwks", v.JWKS}, {"issuer", v.Issuer}} {
		if o.preset == "" {
			needed = append(needed, o.name)
		}
	}
	return strings.Join(append(needed, "audience"), ", ")
}

// Complete returns v with the preset's defaults filled in. The error joins all
// problems, each with the name of the option; an empty audience is reported alone.
func (v Verify) Complete(preset string) (Verify, error) {
	if slices.Contains(v.Audience, "") {
		return v, errors.New("audience: must not contain an empty value")
	}
	p, _ := Find(preset) // identity.New reports one that is unknown
	if p.Provider != nil {
		return v.completeProvider(p)
	}
	d := p.Verify
	v.KeyByID, v.Algorithms = d.KeyByID, d.Algorithms
	errs := v.rejectParameters()
	if len(v.Signers) > 0 != d.KeyByID {
		if d.KeyByID {
			errs = append(errs, errors.New("signer: is required: write the ARN of the load balancer; without it, any load balancer on AWS could sign the assertion"))
		} else {
			errs = append(errs, errors.New("signer: is valid with the preset aws_alb only; remove it"))
		}
	}
	needsAudience := !d.KeyByID && !v.namesClient()
	if len(v.Audience) == 0 && needsAudience {
		errs = append(errs, errors.New("audience: is required: write the audience of the assertion (claim aud), or, if it does not name the application, a claim that does (such as `require azp <client ID>`); without it, an assertion for another application would be accepted"))
	}
	v.Issuer = v.fill(v.Issuer, d.Issuer)
	if strings.Contains(d.JWKS, "{issuer}") { // in this preset the issuer is a URL without a path
		v.Issuer = strings.TrimSuffix(v.Issuer, "/")
		if v.Issuer != "" && v.JWKS == "" && !strings.HasPrefix(strings.ToLower(v.Issuer), "https://") {
			errs = append(errs, fmt.Errorf("issuer: must begin with https://, because the URL of the public keys is derived from it%s", example(p.IssuerExample)))
		}
	}
	v.JWKS = v.fill(v.JWKS, d.JWKS)
	if v.Issuer == "" && !d.KeyByID {
		errs = append(errs, fmt.Errorf("issuer: is required: write the issuer of the assertion (claim iss)%s", example(p.IssuerExample)))
	}
	// Without a preset, the issuer is that of an OpenID provider. A preset that has an
	// example of the URL is of another kind.
	discovers := d.JWKS == "" && p.JWKSExample == ""
	if v.JWKS == "" && !discovers && !v.dependsOnMissing(d.JWKS, needsAudience) {
		errs = append(errs, fmt.Errorf("jwks: is required: write the URL of the public keys%s", example(p.JWKSExample)))
	}
	for _, s := range v.Signers {
		if d.KeyByID && !arnPattern.MatchString(s) {
			errs = append(errs, fmt.Errorf("signer: %q is not the ARN of a load balancer: write an ARN such as arn:aws:elasticloadbalancing:eu-west-2:123456789012:loadbalancer/app/name/50dc6c495c0c9188", s))
		}
	}
	return v, errors.Join(errs...)
}

// dependsOnMissing reports whether the preset's text has a placeholder for an option that
// is missing. For that option there is already an error.
func (v Verify) dependsOnMissing(preset string, needsAudience bool) bool {
	return strings.Contains(preset, "{issuer}") && v.Issuer == "" ||
		strings.Contains(preset, "{audience}") && needsAudience && len(v.Audience) == 0 ||
		strings.Contains(preset, "{region}") && (len(v.Signers) == 0 || slices.ContainsFunc(v.Signers, func(s string) bool { return !arnPattern.MatchString(s) }))
}

// clientClaims are the claims that name the application that a token was issued to: azp
// (OpenID Connect Core 1.0, section 2), client_id (RFC 9068, section 2.2), cid (Okta) and
// appid (Microsoft Entra, version 1.0 tokens).
var clientClaims = []string{"azp", "client_id", "cid", "appid"}

// namesClient reports whether one of the required claims names the application that a
// token was issued to.
func (v Verify) namesClient() bool {
	return slices.ContainsFunc(v.Require, func(c Claim) bool { return slices.Contains(clientClaims, c.Path) })
}

// example returns text as the end of an error message, or "" if there is no example.
func example(text string) string {
	if text == "" {
		return ""
	}
	return ", such as " + text
}

// fill returns value, or, if that is empty, the preset's text with {issuer},
// {audience} and {region} replaced. It returns "" if one of these is not known.
func (v Verify) fill(value, preset string) string {
	if value != "" {
		return value
	}
	var known []string
	for _, p := range []struct{ name, value string }{
		{"{issuer}", v.Issuer}, {"{audience}", oneHost(v.Audience)}, {"{region}", v.region()},
	} {
		if strings.Contains(preset, p.name) && p.value == "" {
			return ""
		}
		known = append(known, p.name, p.value)
	}
	return strings.NewReplacer(known...).Replace(preset)
}

// oneHost returns the only element of texts if it is a plain host, or "".
func oneHost(texts []string) string {
	if len(texts) != 1 || strings.ContainsAny(texts[0], "/:@?# ") {
		return ""
	}
	return texts[0]
}

// region returns the region that all load balancers are in. It returns "" if they are
// in several, or not in the commercial regions (arn:aws:), because the others have
// their keys at other URLs.
func (v Verify) region() string {
	var region string
	for _, s := range v.Signers {
		m := arnPattern.FindStringSubmatch(s)
		if m == nil || !strings.HasPrefix(s, "arn:aws:") || region != "" && region != m[1] {
			return ""
		}
		region = m[1]
	}
	return region
}
