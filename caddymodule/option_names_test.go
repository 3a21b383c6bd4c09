package caddymodule

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

// TestWhereTheSecretGoes: without the option api, to Human API and nobody else.
func TestWhereTheSecretGoes(t *testing.T) {
	h := &HumanAPIToken{ClientID: "c", ClientSecret: "s"}
	var p option.Problems
	if c := h.readHuman(&p); p.Err() != nil || c.API.String() != "https://auth.humanapi.co" {
		t.Errorf("the secret goes to %s: %v", c.API, p.Err())
	}
}

// TestProblemsNameOptions: where an answer names options, the directive has
// them.
func TestProblemsNameOptions(t *testing.T) {
	// What human_api_token never answers: it knows no client types, reads no
	// body, and signs nobody up.
	never := []exchange.Code{
		codeClientTypeRequired, codeClientTypeUnknown, codeBodyInvalid,
		exchange.CodeNotRegistered, exchange.CodeRefused, exchange.CodeRegistrationLimited,
	}
	named := regexp.MustCompile(`options? ((?:[a-z_]+(?:, | and )?)+)`)
	list := strings.NewReplacer(",", "", "and ", "")
	for p, names := range map[*provider][]string{
		humaProvider: jsonNames(reflect.TypeFor[HumaToken]()), humanProvider: jsonNames(reflect.TypeFor[HumanAPIToken]()),
	} {
		for code := range problemTable {
			if p == humanProvider && slices.Contains(never, code) {
				continue
			}
			detail := problemOf(code, p.details).detail
			for _, m := range named.FindAllStringSubmatch(detail, -1) {
				for _, name := range strings.Fields(list.Replace(m[1])) {
					if !slices.Contains(names, name) {
						t.Errorf("%s of %s names %s, which is no option of it: %s", code, p.directive, name, detail)
					}
				}
			}
		}
		for code := range p.details {
			if _, ok := problemTable[code]; !ok {
				t.Errorf("%s has a detail for %s, which there is not", p.directive, code)
			}
		}
	}
}
