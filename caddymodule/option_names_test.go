package caddymodule_test

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/humanapitoken"
	"github.com/caddy-huma/caddy-huma/caddymodule/humatoken"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
)

// TestProblemsNameOptions checks that options in the details of errors exist in the
// directive.
func TestProblemsNameOptions(t *testing.T) {
	// human_api_token never returns these codes: it has no client types, reads no body,
	// and signs no user up.
	never := []exchange.Code{
		problem.ClientTypeRequired, problem.ClientTypeUnknown, problem.BodyInvalid,
		exchange.CodeNotRegistered, exchange.CodeRefused, exchange.CodeRegistrationLimited,
	}
	named := regexp.MustCompile(`options? ((?:[a-z_]+(?:, | and )?)+)`)
	list := strings.NewReplacer(",", "", "and ", "")
	for p, names := range map[*endpoint.Service][]string{
		endpoint.Huma: jsonNames(reflect.TypeFor[humatoken.HumaToken]()), endpoint.HumanAPI: jsonNames(reflect.TypeFor[humanapitoken.HumanAPIToken]()),
	} {
		for code := range problem.Table {
			if p == endpoint.HumanAPI && slices.Contains(never, code) {
				continue
			}
			detail := problem.Lookup(code, p.Details).Detail
			for _, m := range named.FindAllStringSubmatch(detail, -1) {
				for _, name := range strings.Fields(list.Replace(m[1])) {
					if !slices.Contains(names, name) {
						t.Errorf("%s of %s names %s, which is not one of its options: %s", code, p.Directive, name, detail)
					}
				}
			}
		}
		for code := range p.Details {
			if _, ok := problem.Table[code]; !ok {
				t.Errorf("%s has a detail for %s, which does not exist", p.Directive, code)
			}
		}
	}
}
