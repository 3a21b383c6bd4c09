package identify

import (
	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/assertion"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

// newVerifier returns the verifier of signed assertions (option verify). If the option
// has errors, it adds them to p and returns nil.
func newVerifier(v *config.Verify, preset string, opts Options, p *option.Errors) *assertion.Verifier {
	row, _ := presets.Find(preset)
	if preset != "" && row.Signed.Email.From == "" {
		return nil // identity.New reports that the preset or its assertion does not exist
	}
	require := requirements(v.Require, p)
	transport, err := transportFor(p.Text("ca", v.CA))
	p.Add("ca", err)
	before := len(*p)
	configured := presets.Verify{
		Domain:   p.Text("domain", v.Domain),
		Project:  p.Text("project", v.Project),
		Tenant:   p.Text("tenant", v.Tenant),
		UserPool: p.Text("user_pool", v.UserPool),
		JWKS:     p.Text("jwks", v.JWKS),
		Issuer:   p.Text("issuer", v.Issuer),
		Audience: p.Texts("audience", v.Audience),
		Signers:  p.Texts("signer", v.Signer),
		Require:  require,
	}
	if row.Provider != nil && len(*p) > before {
		return nil // with a parameter that is unknown, every other error may follow from it
	}
	full, err := configured.Complete(preset)
	if err != nil {
		p.Join(err)
		return nil
	}
	if full.JWKS == "" && v.JWKS != "" {
		return nil // p has the error of its placeholder
	}
	source, option := assertion.Source{URL: full.JWKS, ByID: full.KeyByID, Transport: transport}, "jwks"
	if full.JWKS == "" {
		source.Issuer, option = full.Issuer, "issuer"
	} else if v.JWKS == "" && full.Issuer != "" {
		option = "issuer" // the URL is derived from it
	}
	keys, err := opts.Keys(source)
	if err != nil {
		p.Add(option, err)
		return nil
	}
	verifier, err := assertion.New(assertion.Config{
		Keys:       keys,
		Issuer:     full.Issuer,
		Audience:   full.Audience,
		NoAudience: full.NoAudience,
		Require:    require,
		Demand:     full.Demand,
		Refuse:     full.Refuse,
		Signers:    full.Signers,
		Algorithms: full.Algorithms,
		MaxWaiting: opts.MaxWaiting,
		Timeout:    opts.Timeout,
	})
	p.Join(err)
	return verifier
}

// requirements returns the option require with its placeholders replaced.
func requirements(required []config.Requirement, p *option.Errors) []presets.Claim {
	var all []presets.Claim
	for _, r := range required {
		all = append(all, presets.Claim{Path: p.Text("require", r.Claim), Values: p.Texts("require", r.Values)})
	}
	return all
}
