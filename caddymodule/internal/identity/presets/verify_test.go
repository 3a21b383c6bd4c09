package presets

import (
	"slices"
	"strings"
	"testing"
)

func TestVerifyComplete(t *testing.T) {
	const balancer = "arn:aws:elasticloadbalancing:eu-west-2:123456789012:loadbalancer/app/clinic/50dc6c495c0c9188"
	tests := map[string]struct {
		preset string
		config Verify
		want   Verify
		wrong  []string
	}{
		"iap": {"google_iap", Verify{Audience: []string{"/projects/1/apps/p"}},
			Verify{JWKS: "https://www.gstatic.com/iap/verify/public_key-jwk", Issuer: "https://cloud.google.com/iap"}, nil},
		"cloudflare": {"cloudflare_access", Verify{Issuer: "https://team.cloudflareaccess.com", Audience: []string{"tag"}},
			Verify{JWKS: "https://team.cloudflareaccess.com/cdn-cgi/access/certs", Issuer: "https://team.cloudflareaccess.com"}, nil},
		"pomerium": {"pomerium", Verify{Audience: []string{"app.clinic.example"}},
			Verify{JWKS: "https://app.clinic.example/.well-known/pomerium/jwks.json", Issuer: "app.clinic.example"}, nil},
		"pomerium, keys elsewhere": {"pomerium", Verify{Audience: []string{"app.clinic.example"}, JWKS: "https://auth.clinic.example/keys"},
			Verify{JWKS: "https://auth.clinic.example/keys", Issuer: "app.clinic.example"}, nil},
		"pomerium, no host":    {"pomerium", Verify{Audience: []string{"https://a.example"}}, Verify{}, []string{"issuer: ", "jwks: ", "such as https://<the route's host>"}},
		"pomerium, two routes": {"pomerium", Verify{Audience: []string{"a.example", "b.example"}}, Verify{}, []string{"issuer: ", "such as the route's host"}},
		"alb": {"aws_alb", Verify{Signers: []string{balancer}},
			Verify{JWKS: "https://public-keys.auth.elb.eu-west-2.amazonaws.com"}, nil},
		"alb, region injected":    {"aws_alb", Verify{Signers: []string{strings.Replace(balancer, "eu-west-2", "evil.example/", 1)}}, Verify{}, []string{"signer: "}},
		"none, a client":          {"", Verify{Issuer: "https://i.example", Require: []Claim{{"azp", []string{"clinic"}}}}, Verify{Issuer: "https://i.example"}, nil},
		"none, another claim":     {"", Verify{Issuer: "https://i.example", Require: []Claim{{"sub", []string{"x"}}, {"x.azp", []string{"x"}}, {"AZP", []string{"x"}}, {"azp.x", []string{"x"}}}}, Verify{}, []string{"audience: is required"}},
		"okta, an empty audience": {"okta", Verify{Issuer: "https://i.example", Audience: []string{""}}, Verify{}, []string{"audience: must not contain an empty value"}},
		"none, discovery":         {"", Verify{Issuer: "https://i.example/", Audience: []string{"a"}}, Verify{Issuer: "https://i.example/"}, nil},
		"none, whole": {"", Verify{JWKS: "https://k.example", Issuer: "https://i.example", Audience: []string{"a"}},
			Verify{JWKS: "https://k.example", Issuer: "https://i.example"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.config.Complete(tt.preset)
			if tt.wrong != nil {
				if err == nil {
					t.Fatal("it is complete")
				}
				for _, part := range tt.wrong {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("without %q: %v", part, err)
					}
				}
				if lines := strings.Count(err.Error(), "\n") + 1; lines > 3 {
					t.Errorf("%d problems: %v", lines, err)
				}
				return
			}
			if err != nil || got.JWKS != tt.want.JWKS || got.Issuer != tt.want.Issuer {
				t.Errorf("%+v, %v; want %+v", got, err, tt.want)
			}
			row, _ := Find(tt.preset)
			if !slices.Equal(got.Algorithms, row.Verify.Algorithms) || got.KeyByID != row.Verify.KeyByID {
				t.Errorf("the preset's part: %+v", got)
			}
		})
	}
}
