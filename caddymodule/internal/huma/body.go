package huma

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/wire"
)

// signInBody is the body of a sign-in request.
type signInBody struct {
	ClientID  string `json:"clientId"`
	ProjectID string `json:"projectId"`
	Email     string `json:"email"`
	Language  string `json:"language,omitempty"`
}

// signUpBody is the body of a sign-up request.
type signUpBody struct {
	ClientID       string            `json:"clientId"`
	ProjectID      string            `json:"projectId"`
	IPAddress      string            `json:"ipAddress,omitempty"`
	Email          string            `json:"email"`
	UserAttributes map[string]string `json:"userAttributes,omitempty"`
	Timezone       string            `json:"timezone,omitempty"`
	Language       string            `json:"language,omitempty"`
	ValidationData *validationData   `json:"validationData,omitempty"`
}

type validationData struct {
	ActivationCode string `json:"activationCode"`
}

// consentBody is the body of a sign-consent request.
type consentBody struct {
	Email string `json:"email"`
}

// encode returns a body as JSON, with the additional members of the call. body has at
// least one member.
func (c *Client) encode(op exchange.Op, body any) []byte {
	b := wire.Encode(body)
	return append(b[:len(b)-1], c.suffixes[op]...)
}

func (c *Client) signInBody(clientID string, p login.Person) signInBody {
	body := signInBody{
		ClientID:  clientID,
		ProjectID: c.cfg.ProjectID,
		Email:     p.Email.Reveal(),
		Language:  c.cfg.Language,
	}
	if slices.Contains(c.cfg.SignInCall.Omit, "language") {
		body.Language = ""
	}
	return body
}

func (c *Client) signUpBody(clientID string, p login.Person) signUpBody {
	attributes := make(map[string]string, len(c.cfg.Attributes)+2)
	add := func(name, value string) {
		if value != "" {
			attributes[name] = value
		}
	}
	for name, value := range c.cfg.Attributes {
		add(name, value)
	}
	add("givenName", p.FirstName.Reveal())
	add("familyName", p.LastName.Reveal())

	body := signUpBody{
		ClientID:       clientID,
		ProjectID:      c.cfg.ProjectID,
		IPAddress:      ipAddress(p.ClientIP),
		Email:          p.Email.Reveal(),
		UserAttributes: attributes,
		Timezone:       c.cfg.Timezone,
		Language:       c.cfg.Language,
	}
	if !c.cfg.ActivationCode.IsZero() {
		body.ValidationData = &validationData{c.cfg.ActivationCode.Reveal()}
	}
	body.omit(c.cfg.SignUpCall.Omit)
	return body
}

// omit removes members. Their names are those of ownMembers.
func (b *signUpBody) omit(names []string) {
	for _, name := range names {
		switch name {
		case "ipAddress":
			b.IPAddress = ""
		case "userAttributes":
			b.UserAttributes = nil
		case "timezone":
			b.Timezone = ""
		case "language":
			b.Language = ""
		case "validationData":
			b.ValidationData = nil
		}
	}
}

// ipAddress returns the client's IP address in plain form. The API requires one at
// sign-up. If the client has none (a Unix socket, the command line), it returns the
// unspecified address 0.0.0.0 instead of an invented one.
func ipAddress(client string) string {
	ip, err := netip.ParseAddr(client)
	if err != nil {
		return "0.0.0.0"
	}
	return ip.Unmap().WithZone("").String()
}

// readToken parses the response to sign-in and sign-up. The Token is nil if the
// response is a JSON object without a token.
func readToken(op exchange.Op, a response) (*exchange.Token, error) {
	members, reason := wire.Object(a.body)
	if reason != "" {
		return nil, &exchange.ResponseError{Op: op, Reason: reason}
	}
	token := wire.Text(members["authToken"])
	if token == "" {
		return nil, nil
	}
	// expiresIn is the lifetime of the refresh token. Some versions of the API call it
	// refreshTokenExpiresIn instead.
	refresh := members["expiresIn"]
	if refresh == nil || string(refresh) == "null" {
		refresh = members["refreshTokenExpiresIn"]
	}
	return exchange.NewToken(a.sent).
		Text("uid", wire.TextOrNumber(members["uid"])).
		Text("authToken", token).
		Lifetime("authTokenExpiresIn", wire.Lifetime(members["authTokenExpiresIn"])).
		Text("refreshToken", wire.Text(members["refreshToken"])).
		Lifetime("refreshTokenExpiresIn", wire.Lifetime(refresh)).
		Lifetime("expiresIn", wire.Lifetime(refresh)).
		Token(), nil
}

// readCode returns the code in the service's {"code", "message"} if it is a number
// other than 0, or "".
func readCode(body []byte) string {
	members, _ := wire.Object(body)
	code, err := strconv.Atoi(wire.TextOrNumber(members["code"]))
	if err != nil || code == 0 {
		return ""
	}
	return strconv.Itoa(code)
}
