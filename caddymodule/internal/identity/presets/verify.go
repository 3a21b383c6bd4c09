package presets

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Verify says which signed assertions are believed.
type Verify struct {
	// JWKS is where the public keys are: a JSON Web Key Set, or with
	// KeyByID one key in PEM form at <JWKS>/<kid>.
	JWKS string
	// Issuer is who has to have issued it (the claim iss).
	Issuer string
	// Audience is whom it has to be for (the claim aud): one of these.
	Audience []string
	// Signers are the load balancers of which one has to have signed it, as
	// ARNs. Of aws_alb only.
	Signers []string

	// The rest is the preset's. KeyByID says that keys are fetched one by
	// one.
	KeyByID bool
	// Algorithms are those that are accepted; nil: every one with a public
	// key.
	Algorithms []string
}

// arn is a load balancer's name at AWS, which tells its region.
var arn = regexp.MustCompile(`^arn:aws[a-z-]*:elasticloadbalancing:([a-z0-9-]+):[0-9]+:loadbalancer/`)

// Requires lists what has to be written, for an error.
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

// Complete returns what was written in a block verify together with the
// defaults of the preset. Its error holds every problem there is, each with
// the name of the option.
func (v Verify) Complete(preset string) (Verify, error) {
	row, _ := Find(preset) // identity.New reports one that is unknown
	d := row.Verify
	v.KeyByID, v.Algorithms = d.KeyByID, d.Algorithms
	var errs []error
	if len(v.Signers) > 0 != d.KeyByID {
		if d.KeyByID {
			errs = append(errs, errors.New("signer: it is missing: write the load balancer's ARN, or everybody who has a load balancer at AWS could sign"))
		} else {
			errs = append(errs, errors.New("signer: only the preset aws_alb has it: leave it out"))
		}
	}
	if len(v.Audience) == 0 && !d.KeyByID {
		errs = append(errs, errors.New("audience: it is missing: write for whom the assertion is (aud), or one for another application would do"))
	}
	v.Issuer = v.fill(v.Issuer, d.Issuer)
	if strings.Contains(d.JWKS, "{issuer}") { // it is a URL without a path there
		v.Issuer = strings.TrimSuffix(v.Issuer, "/")
	}
	v.JWKS = v.fill(v.JWKS, d.JWKS)
	if v.Issuer == "" && !d.KeyByID {
		errs = append(errs, fmt.Errorf("issuer: it is missing: write who issues the assertion (iss)%s", example(row.IssuerExample)))
	}
	if v.JWKS == "" && !v.waitsFor(d.JWKS) {
		errs = append(errs, fmt.Errorf("jwks: it is missing: write the URL of the public keys%s", example(row.JWKSExample)))
	}
	for _, s := range v.Signers {
		if d.KeyByID && !arn.MatchString(s) {
			errs = append(errs, fmt.Errorf("signer: %q is not the ARN of a load balancer: write one such as arn:aws:elasticloadbalancing:eu-west-2:123456789012:loadbalancer/app/name/50dc6c495c0c9188", s))
		}
	}
	return v, errors.Join(errs...)
}

// waitsFor reports whether a preset's text has a placeholder for something
// that is still missing, and about which there is an error already.
func (v Verify) waitsFor(preset string) bool {
	return strings.Contains(preset, "{issuer}") && v.Issuer == "" ||
		strings.Contains(preset, "{audience}") && len(v.Audience) == 0 ||
		strings.Contains(preset, "{region}") && (len(v.Signers) == 0 || slices.ContainsFunc(v.Signers, func(s string) bool { return !arn.MatchString(s) }))
}

// example is the end of an error, if there is something to write.
func example(text string) string {
	if text == "" {
		return ""
	}
	return ", such as " + text
}

// fill returns what was written, or else the preset's, in which {issuer},
// {audience} and {region} stand for what is known; empty if it is not.
func (v Verify) fill(written, preset string) string {
	if written != "" {
		return written
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

// oneHost returns the only one of several hosts; empty if there is not just
// one, or if it is more than a host.
func oneHost(texts []string) string {
	if len(texts) != 1 || strings.ContainsAny(texts[0], "/:@?# ") {
		return ""
	}
	return texts[0]
}

// region is the region of all load balancers; empty if they are in several, or
// not in the commercial ones: the others have their keys elsewhere.
func (v Verify) region() string {
	var region string
	for _, s := range v.Signers {
		m := arn.FindStringSubmatch(s)
		if m == nil || !strings.HasPrefix(s, "arn:aws:") || region != "" && region != m[1] {
			return ""
		}
		region = m[1]
	}
	return region
}
