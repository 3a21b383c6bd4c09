package caddymodule_test

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestJSONSuggestsFields checks that the error for an unknown field of the JSON config
// suggests one with a similar name, and that a value of another type is named.
func TestJSONSuggestsFields(t *testing.T) {
	for text, want := range map[string]string{
		`{"handler":"huma_token","secrets":"x"}`:                                        `unknown field "secrets" (did you mean 'secret'?)`,
		`{"handler":"huma_token","projectId":"x"}`:                                      `unknown field "projectId" (did you mean 'project_id'?)`,
		`{"handler":"huma_token","identity":{"verify":{"issuers":"x"}}}`:                `unknown field "issuers" (did you mean 'issuer'?)`,
		`{"handler":"huma_token","colour":"red"}`:                                       `unknown field "colour"`,
		`{"handler":"human_api_token","client_sceret":"x"}`:                             `unknown field "client_sceret" (did you mean 'client_secret'?)`,
		`{"handler":"huma_token","cache":{"store":{"module":"redis","user_name":"a"}}}`: `unknown field "user_name" (did you mean 'username'?)`,
		`{"handler":"huma_token","identity":"authelia"}`:                                `identity: must be an object in JSON, not string`,
		`{"handler":"huma_token","identity":{"domains":"x"}}`:                           `domains: must be an array in JSON, not string`,
		`{"handler":"huma_token","max_waiting":"x"}`:                                    `max_waiting: must be a number in JSON, not string`,
		`{"handler":"huma_token","trace_upstream":1}`:                                   `trace_upstream: must be true or false in JSON, not number`,
		`{"handler":"human_api_token","api":5}`:                                         `api: must be a string in JSON, not number`,
		`{"handler":"huma_token","client_id":["c1"]}`:                                   `client_id: must be an object in JSON, not array`,
		`{"handler":"huma_token","client_id":{"ios":1}}`:                                `client_id: must be a string in JSON, not number`,
	} {
		var config caddy.Config
		must(t, caddy.StrictUnmarshalJSON([]byte(`{"admin":{"disabled":true},"apps":{"http":{"servers":{"a":{"listen":["127.0.0.1:0"],"routes":[{"handle":[`+text+`]}]}}}}}`), &config))
		if err := caddy.Validate(&config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
