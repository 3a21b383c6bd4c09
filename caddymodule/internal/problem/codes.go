package problem

import (
	"errors"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// Explanation explains an error code of a service to the operator.
type Explanation struct {
	Text string // a sentence without its full stop; names the options that may be wrong
	Fix  string // the line of the config to change; empty if the config is not the cause
}

// Values of Explanation.Fix that are used more than once.
const (
	FixSecret  = "secret {file./path/to/secret}, or in the config_file; or signature, if Huma has told how calls are signed: caddy huma token --trace shows how they are"
	fixSupport = "ask Human API's support, with the id of the request that caddy huma token shows"
)

// Explanations maps the error codes that the services have published to their
// explanations.
var Explanations = map[string]Explanation{
	"10001":  {"a token that the option header_up sends has expired", "header_up Authorization <token>"},
	"10002":  {"Huma does not accept a token that the option header_up sends", "header_up Authorization <token>"},
	"100001": {"Huma does not know this project (option project_id)", "project_id <id>, or in the config_file"},
	"100002": {"Huma does not know this client (option client_id)", "client_id <type> <id>, or in the config_file"},
	"100003": {"Huma does not understand the request (option api)", "api <url>: is it the right one, with the right path?"},
	"100004": {"Huma forbids an id, such as that of the deployment (option deployment_id)", "deployment_id <id>, or in the config_file"},
	"100006": {"Huma does not accept the signature (options secret and signature)", FixSecret},
	"100010": {"the user exists already at Huma", ""},
	"100012": {"Huma knows this user with a password, and refuses the one that was sent or that was not sent", ""},
	"100015": {"Huma has not verified this user's e-mail address yet", ""},
	"300011": {"Huma does not know this user", ""},

	"INVALID_CLIENT_ID":                   {"Human API does not know this application (option client_id)", "client_id <id>"},
	"INVALID_CLIENT_ID_OR_SECRET":         {"Human API does not know this application, or not with this secret (options client_id and client_secret)", "client_id <id>, client_secret {file./path/to/secret}"},
	"CLIENT_TOKEN_GENERATION_NOT_ALLOWED": {"Human API gives this application no tokens", fixSupport},
	"NOT_AUTHORIZED":                      {"Human API does not authorize this application to do that", fixSupport},
	"INVALID_TOKEN_TYPE":                  {"Human API knows no id tokens at this address (option api)", "api <url>: is it the right one?"},
}

// Explain returns the explanation of the service's error code in err. ok is false if err
// wraps no *exchange.StatusError, or if its code is not in Explanations.
func Explain(err error) (m Explanation, ok bool) {
	var status *exchange.StatusError
	if errors.As(err, &status) {
		m, ok = Explanations[status.Code]
	}
	return m, ok
}
