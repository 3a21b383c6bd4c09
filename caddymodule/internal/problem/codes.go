package problem

import (
	"errors"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// Explanation explains an error code of a service to the operator.
type Explanation struct {
	Text string // a sentence without its full stop; names the options that may be wrong
	Fix  string // what to change in the config, such as a line of it; empty if the config is not the cause
	code string // set by Explain
}

// Values of Explanation.Fix that are used more than once.
const (
	FixSecret  = "secret {file./path/to/secret}, or the secret in the config_file, or header_up, if a header has the secret; or signature, if Huma has told you how to sign calls (caddy huma token --trace shows how they are signed now)"
	FixAPI     = "check the URL and the path of the option api; sign_in and sign_up, if the API is of another edition"
	fixToken   = "header_up <name> {file./path/to/token}"
	fixSupport = "ask Human API's support; caddy huma token shows the ID of the request"
)

// Explanations maps the error codes that the services have published to their
// explanations.
var Explanations = map[string]Explanation{
	"10001":  {Text: "a token in the option header_up has expired", Fix: fixToken},
	"10002":  {Text: "Huma rejects a token in the option header_up", Fix: fixToken},
	"100001": {Text: "Huma does not know this project (option project_id)", Fix: "project_id <id>, or in the config_file"},
	"100002": {Text: "Huma does not know this client (option client_id)", Fix: "client_id <type> <id>, or in the config_file"},
	"100003": {Text: "Huma cannot parse the request (options api, sign_in and sign_up)", Fix: FixAPI},
	"100004": {Text: "Huma rejects an ID, such as the deployment ID (option deployment_id)", Fix: "deployment_id <id>, or in the config_file"},
	"100006": {Text: "Huma rejects the signature, or a header with a secret (options secret, signature and header_up)", Fix: FixSecret},
	"100010": {Text: "the user already exists at Huma"},
	"100012": {Text: "Huma requires a password for this user, and the password is missing or wrong"},
	"100015": {Text: "Huma has not verified this user's email address yet"},
	"300011": {Text: "Huma does not know this user"},

	"INVALID_CLIENT_ID":                   {Text: "Human API does not know this application (option client_id)", Fix: "client_id <id>"},
	"INVALID_CLIENT_ID_OR_SECRET":         {Text: "Human API does not know this application, or the secret is wrong (options client_id and client_secret)", Fix: "client_id <id>, or client_secret {file./path/to/secret}"},
	"CLIENT_TOKEN_GENERATION_NOT_ALLOWED": {Text: "Human API does not allow this application to request tokens", Fix: fixSupport},
	"NOT_AUTHORIZED":                      {Text: "Human API does not authorize this application for the request", Fix: fixSupport},
	"INVALID_TOKEN_TYPE":                  {Text: "Human API does not support id tokens at this URL (option api)", Fix: "check the URL of the option api"},
}

// Explain returns the explanation of the service's error code in err. ok is false if err
// wraps no *exchange.StatusError, or if its code is not in Explanations.
func Explain(err error) (e Explanation, ok bool) {
	var status *exchange.StatusError
	if errors.As(err, &status) {
		e, ok = Explanations[status.Code]
		e.code = status.Code
	}
	return e, ok
}

// Meaning returns the code and its meaning, such as "300011: Huma does not know this
// user". e must be from Explain.
func (e Explanation) Meaning() string { return e.code + ": " + e.Text }
