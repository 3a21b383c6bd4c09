package humatoken

import (
	"encoding/json"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
)

// HumaToken answers with Huma tokens: it takes the signed-in user of the
// request, signs them in at Huma, registers them there if Huma does not know
// them, and returns the tokens as JSON. It is the endpoint that the SDK of
// Huma asks for, by default at /private/huma-token.
//
// Every text option takes {env.*} and {file.*} placeholders, evaluated when
// the config loads; where a placeholder of the request may stand, it says so.
// Files that say whose service is called, and as whom, are looked at again every
// two seconds: new content that is valid is used without a reload.
// Every file is a regular one, or a link to one, of at most 1 MiB of text that is
// read within 3 seconds. A UTF-8 byte order mark is dropped; UTF-16 is refused.
// A value that is given here wins over the same one in ConfigFile. All problems
// of a config are reported at once.
type HumaToken struct {
	// The huma-config.json that Huma hands out, with the API's address, the
	// project, the client ids and the secret. Its members are unpublished, so
	// it is read tolerantly: nested or flat, camelCase, snake_case or
	// kebab-case. Blanks around values are trimmed, except around the secret.
	// Default: none.
	ConfigFile string `json:"config_file,omitempty"`

	// The base URL of Huma's API, for example
	// https://workspace-gcp-uk.api.huma.com. It is https, or http to a
	// loopback address; it may have a path, and a slash at its end does not
	// count. Required here or in ConfigFile.
	API string `json:"api,omitempty"`

	// The project's id at Huma. Required here or in ConfigFile.
	ProjectID string `json:"project_id,omitempty"`

	// The deployment's id at Huma, sent as the header deploymentId. Required
	// here or in ConfigFile.
	DeploymentID string `json:"deployment_id,omitempty"`

	// The client ids at Huma: one text for all client types, or an object
	// with one for each of ios, android and web. At least one is required
	// here or in ConfigFile.
	ClientID ClientIDs `json:"client_id,omitempty"`

	// The secret that signs the calls. Required, unless the signature is off,
	// here or in ConfigFile. Written as {env.*} or {file.*} it stays a
	// placeholder in the JSON config.
	Secret string `json:"secret,omitempty"`

	// How calls are signed. Huma has not published its algorithm: the default
	// is a documented guess, and everything about it can be set.
	Signature *Signature `json:"signature,omitempty"`

	// Further headers on the calls to Huma, for example Authorization. The
	// values are secrets, and may contain {sig.timestamp}, the Unix time that
	// was signed.
	HeaderUp http.Header `json:"header_up,omitempty"`

	// TLS on the calls to Huma. Default: the system's certificate authorities
	// and no client certificate.
	TLS *TLS `json:"tls,omitempty"`

	// Whether and how users whom Huma does not know are signed up.
	Registration *Registration `json:"registration,omitempty"`

	// The client type of a request that names none: ios, android or web.
	// Default: the only one that has a client id, else such a request is
	// refused with 400.
	ClientType string `json:"client_type,omitempty"`

	config.Common

	endpoint     endpoint.Endpoint
	registration login.Registration
}

// Signature is how calls to Huma are signed.
type Signature struct {
	// hmac-sha256, hmac-sha512, hawk or off. Default: hmac-sha256.
	Algorithm string `json:"algorithm,omitempty"`

	// How an HMAC is written: hex, base64 or base64url (without padding).
	// Default: hex.
	Encoding string `json:"encoding,omitempty"`

	// What an HMAC is computed over: text with {sig.body}, {sig.method},
	// {sig.path}, {sig.timestamp} (Unix seconds) and {sig.deployment_id}.
	// Default: {sig.body}.
	Payload string `json:"payload,omitempty"`

	// The header that carries it. With hawk it carries the mac as well as
	// Authorization does. Default: signature.
	HeaderName string `json:"header_name,omitempty"`

	// The key's id. Required with hawk, and only there.
	ID string `json:"id,omitempty"`
}

// TLS is how the connection to the service is secured.
type TLS struct {
	// A PEM file with the certificate authorities to trust instead of the
	// system's.
	CA string `json:"ca,omitempty"`

	// A PEM file with a client certificate, with ClientKey. Default: none.
	ClientCertificate string `json:"client_certificate,omitempty"`

	// A PEM file with the key of ClientCertificate. Default: none.
	ClientKey string `json:"client_key,omitempty"`
}

// Registration is what happens to users whom Huma does not know.
type Registration struct {
	// Sign nobody up: unknown users are answered 403 not_registered.
	Disabled bool `json:"disabled,omitempty"`

	// How many sign-ups are sent at most, as <n>/<s|m|h>, over all users of
	// the account. Default: 50/s.
	Rate string `json:"rate,omitempty"`

	// How many sign-ups may be sent at once before Rate holds. Default: 500.
	Burst int `json:"burst,omitempty"`

	// For how long only sign-in decides after a sign-up whose end is unclear.
	// Default: 1m.
	Hold caddy.Duration `json:"hold,omitempty"`

	// Sign the consent on the user's behalf after a sign-up. If that fails
	// the user gets the token all the same. Default: false.
	SignConsent bool `json:"sign_consent,omitempty"`

	// The user's time zone, an IANA name. Default: not sent.
	Timezone string `json:"timezone,omitempty"`

	// The user's language, a BCP 47 tag. Default: not sent.
	Language string `json:"language,omitempty"`

	// Sent as validationData.activationCode, a secret. Default: not sent.
	ActivationCode string `json:"activation_code,omitempty"`

	// Further members of userAttributes. First and last name are sent as
	// givenName and familyName if the identity has them.
	Attribute map[string]string `json:"attribute,omitempty"`
}

// ClientIDs are the client ids at Huma by client type. In JSON it is an
// object, or a text for one id that serves all types.
type ClientIDs map[string]string

// allTypes is the key of a client id that serves every client type.
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
