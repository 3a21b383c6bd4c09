package humatoken

import (
	"encoding/json"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
)

// HumaToken is an HTTP handler that responds with Huma tokens. It identifies the
// signed-in user of the request and signs the user in at Huma. If Huma does not
// know the user, it signs the user up there. It responds with the tokens as JSON.
// Huma's SDK calls this endpoint, by default at /private/huma-token.
//
// All text options accept {env.*} and {file.*} placeholders, which are evaluated
// when the config loads. Options that accept placeholders of the request say so.
//
// Files that hold the service's address, its ids or credentials are checked for
// changes every two seconds. New content is used without a config reload, if it
// is valid. Every file must be a regular file, or a link to one, of at most 1 MiB
// of text, and must be readable within 3 seconds. A UTF-8 byte order mark is
// removed; UTF-16 is rejected.
//
// Handlers with the same API, ids and secret share the token cache, the limits and
// the circuit breaker, also across config reloads. They must have the same breaker,
// max_concurrent, max_waiting, cache.max_entries, tls, registration.rate and
// registration.burst.
//
// A value that is set here overrides the same value in config_file. All errors of a
// config are reported at once.
type HumaToken struct {
	// The path of the huma-config.json that Huma provides, with the API's
	// address, the project, the client ids and the secret. Its format is not
	// published, so the members may be nested or flat, and their names in
	// camelCase, snake_case or kebab-case. Spaces around values are trimmed,
	// except around the secret. Default: none.
	ConfigFile string `json:"config_file,omitempty"`

	// The base URL of Huma's API, for example
	// https://workspace-gcp-uk.api.huma.com. It must be https, or http to a
	// loopback address. It may have a path; a slash at its end is ignored.
	// Required here or in config_file.
	API string `json:"api,omitempty"`

	// The project's id at Huma. Required here or in config_file.
	ProjectID string `json:"project_id,omitempty"`

	// The deployment's id at Huma, sent as the header deploymentId. off sends
	// no such header, for editions of the API that have no deployments.
	// Required here or in config_file.
	DeploymentID string `json:"deployment_id,omitempty"`

	// The client ids at Huma: one string for all client types, or an object
	// with an id for each of ios, android and web. At least one is required
	// here or in config_file.
	ClientID ClientIDs `json:"client_id,omitempty"`

	// The secret that signs the calls to Huma. Required here or in config_file,
	// unless the signature is off. If it is written as {env.*} or {file.*}, the
	// JSON config contains the placeholder and not the secret.
	Secret string `json:"secret,omitempty"`

	// The signature of the calls to Huma. Huma has not published its algorithm:
	// the default is a documented guess, and every part of it can be configured.
	Signature *Signature `json:"signature,omitempty"`

	// Additional headers on the calls to Huma, for example Authorization. The
	// values are secrets. They may contain {sig.timestamp}, the Unix time in
	// the signature. Default: none.
	HeaderUp http.Header `json:"header_up,omitempty"`

	// Changes the call that signs a user in, for another edition of Huma's API.
	SignIn *Call `json:"sign_in,omitempty"`

	// Changes the call that signs a user up, for another edition of Huma's API.
	SignUp *Call `json:"sign_up,omitempty"`

	// The TLS settings of the calls to Huma. Default: the system's certificate
	// authorities and no client certificate.
	TLS *TLS `json:"tls,omitempty"`

	// The sign-up of users whom Huma does not know.
	Registration *Registration `json:"registration,omitempty"`

	// The client type of requests without a client type: ios, android or web.
	// Default: the only client type that has a client id. If there are several
	// with different ids, such requests are rejected with 400.
	ClientType string `json:"client_type,omitempty"`

	config.Common

	endpoint     endpoint.Endpoint
	registration login.Registration
}

// Signature configures how calls to Huma are signed.
type Signature struct {
	// The algorithm: hmac-sha256, hmac-sha512, hawk or off. Default:
	// hmac-sha256.
	Algorithm string `json:"algorithm,omitempty"`

	// The encoding of an HMAC: hex, base64 or base64url (without padding).
	// Default: hex.
	Encoding string `json:"encoding,omitempty"`

	// The signed text of an HMAC. It may contain {sig.body}, {sig.method},
	// {sig.path}, {sig.timestamp} (Unix seconds) and {sig.deployment_id}.
	// Default: {sig.body}.
	Payload string `json:"payload,omitempty"`

	// The request header of the signature. With hawk the mac is sent in this
	// header and in Authorization. Default: signature.
	HeaderName string `json:"header_name,omitempty"`

	// The id of the key. Required with hawk; not allowed otherwise.
	ID string `json:"id,omitempty"`
}

// TLS configures TLS on connections to Huma.
type TLS struct {
	// A PEM file with the certificate authorities to trust instead of the
	// system's. Default: the system's.
	CA string `json:"ca,omitempty"`

	// A PEM file with a client certificate. Requires client_key. Default: none.
	ClientCertificate string `json:"client_certificate,omitempty"`

	// A PEM file with the private key of client_certificate. Default: none.
	ClientKey string `json:"client_key,omitempty"`
}

// Registration configures the sign-up of users whom Huma does not know.
type Registration struct {
	// Disable sign-up: unknown users get a 403 response, not_registered.
	// Default: false.
	Disabled bool `json:"disabled,omitempty"`

	// The rate limit of sign-ups, as <n>/<s|m|h>, over all users of the
	// account. Default: 50/s.
	Rate string `json:"rate,omitempty"`

	// The burst of rate: how many sign-ups may be sent at once before the rate
	// limit applies. Default: 500.
	Burst int `json:"burst,omitempty"`

	// How long a user is not signed up again after a sign-up with an unknown
	// result. In this time the directive only tries to sign the user in.
	// Default: 1m.
	Hold caddy.Duration `json:"hold,omitempty"`

	// Sign the consent on the user's behalf after a sign-up. If this fails, the
	// user still gets the token. Default: false.
	SignConsent bool `json:"sign_consent,omitempty"`

	// The user's time zone, as an IANA name. Default: not sent.
	Timezone string `json:"timezone,omitempty"`

	// The user's language, as a BCP 47 tag. Default: not sent.
	Language string `json:"language,omitempty"`

	// The activation code, a secret, sent as validationData.activationCode.
	// Default: not sent.
	ActivationCode string `json:"activation_code,omitempty"`

	// Additional members of userAttributes. The first and last name are sent as
	// givenName and familyName, if the identity has them.
	Attribute map[string]string `json:"attribute,omitempty"`
}

// ClientIDs maps client types to client ids at Huma. In JSON it is an object, or a
// string if one id serves all client types.
type ClientIDs map[string]string

// allTypes is the key in ClientIDs of a client id that serves all client types.
const allTypes = "*"

// MarshalJSON implements json.Marshaler.
func (c ClientIDs) MarshalJSON() ([]byte, error) {
	if id, ok := c[allTypes]; ok && len(c) == 1 {
		return json.Marshal(id)
	}
	return json.Marshal(map[string]string(c))
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *ClientIDs) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*c = ClientIDs{allTypes: one}
		return nil
	}
	return json.Unmarshal(b, (*map[string]string)(c))
}
