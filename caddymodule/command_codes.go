package caddymodule

import (
	"errors"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// meaning is what an error code of a service says about a config.
type meaning struct{ says, write string }

// What to write about codes, where a directive's own are meant.
const (
	writeSecret  = "secret {file./path/to/secret}, or in the config_file; or signature, if Huma has told how calls are signed: caddy huma token --trace shows how they are"
	writeSupport = "ask Human API's support, with the id of the request that caddy huma token shows"
)

// codeMeanings are the published codes that blame the config, or nobody.
var codeMeanings = map[string]meaning{
	"100001": {"it does not know the project", "project_id <id>, or in the config_file"},
	"100002": {"it does not know the client", "client_id <type> <id>, or in the config_file"},
	"100003": {"it does not understand the request", "api <url>: is it the right one, with the right path?"},
	"100004": {"it forbids an id, such as the deployment's", "deployment_id <id>, or in the config_file"},
	"100006": {"it does not accept the signature", writeSecret},

	"INVALID_CLIENT_ID":                   {"it does not know the application", "client_id <id>"},
	"INVALID_CLIENT_ID_OR_SECRET":         {"it does not know the application, or not with this secret", "client_id <id>, client_secret {file./path/to/secret}"},
	"CLIENT_TOKEN_GENERATION_NOT_ALLOWED": {"this application may have no tokens", writeSupport},
	"NOT_AUTHORIZED":                      {"this application may not do that", writeSupport},
	"INVALID_TOKEN_TYPE":                  {"it knows no id tokens", "api <url>: is it the right one?"},
}

// blamed is what the service's own code says of the config.
func (p *performance) blamed() (m meaning, ok bool) {
	var status *exchange.StatusError
	if errors.As(p.err, &status) {
		m, ok = codeMeanings[status.Code]
	}
	return m, ok
}
