package huma

import (
	"encoding/json"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// signInBody is the request of sign in.
type signInBody struct {
	ClientID  string `json:"clientId"`
	ProjectID string `json:"projectId"`
	Email     string `json:"email"`
	Language  string `json:"language,omitempty"`
}

// signUpBody is the request of sign up.
type signUpBody struct {
	ClientID       string            `json:"clientId"`
	ProjectID      string            `json:"projectId"`
	IPAddress      string            `json:"ipAddress"`
	Email          string            `json:"email"`
	UserAttributes map[string]string `json:"userAttributes,omitempty"`
	Timezone       string            `json:"timezone,omitempty"`
	Language       string            `json:"language,omitempty"`
	ValidationData *validationData   `json:"validationData,omitempty"`
}

type validationData struct {
	ActivationCode string `json:"activationCode"`
}

// consentBody is the request of sign consent.
type consentBody struct {
	Email string `json:"email"`
}

// encode returns the body's bytes: those that are signed and sent.
func encode(body any) []byte {
	b, _ := json.Marshal(body) // texts and maps of texts always have a JSON form
	return b
}

func (c *Client) signUpBody(clientID string, p exchange.Person) signUpBody {
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
	return body
}

// ipAddress is the plain form of the client's IP. The API requires one at sign
// up, and some callers have none (a Unix socket, the command line): the
// unspecified address says so without inventing one.
func ipAddress(client string) string {
	ip, err := netip.ParseAddr(client)
	if err != nil {
		return "0.0.0.0"
	}
	return ip.Unmap().WithZone("").String()
}

// readGrant reads the answer of sign in and sign up. The Grant is nil if the
// answer is an object without a token.
func readGrant(op exchange.Op, a answer) (*exchange.Grant, error) {
	members, why := readObject(a.body)
	if why != "" {
		return nil, &exchange.AnswerError{Op: op, Why: why}
	}
	token := text(members["authToken"])
	if token == "" {
		return nil, nil
	}
	// expiresIn is the refresh token's lifetime; some versions of the API
	// give it the longer name instead.
	refresh := members["expiresIn"]
	if refresh == nil || string(refresh) == "null" {
		refresh = members["refreshTokenExpiresIn"]
	}
	return exchange.NewGrant(a.sent).
		Text("uid", textOrNumber(members["uid"])).
		Text("authToken", token).
		Lifetime("authTokenExpiresIn", lifetime(members["authTokenExpiresIn"])).
		Text("refreshToken", text(members["refreshToken"])).
		Lifetime("refreshTokenExpiresIn", lifetime(refresh)).
		Lifetime("expiresIn", lifetime(refresh)).
		Grant(), nil
}

// readObject reads exactly one JSON object; else why says what it is not.
// Into a map, because a struct's members would match in any case.
func readObject(body []byte) (members map[string]json.RawMessage, why string) {
	if !json.Valid(body) {
		return nil, "not JSON"
	}
	if json.Unmarshal(body, &members) != nil || members == nil {
		return nil, "not a JSON object"
	}
	return members, ""
}

// readCode returns the code of the service's {"code", "message"}, or 0.
func readCode(body []byte) int {
	members, _ := readObject(body)
	code, err := strconv.Atoi(textOrNumber(members["code"]))
	if err != nil {
		return 0
	}
	return code
}

// text is the value of a JSON string, and empty for anything else.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// textOrNumber is the value of a JSON string or the digits of a JSON number,
// and empty for anything else.
func textOrNumber(raw json.RawMessage) string {
	if len(raw) > 0 && (raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9') {
		return string(raw)
	}
	return text(raw)
}

// lifetime reads seconds, a number or a text with one, rounded down. Whatever
// is not a lifetime of at least a second is unknown, which is 0.
func lifetime(raw json.RawMessage) time.Duration {
	s := strings.TrimSpace(textOrNumber(raw))
	// ParseFloat would also take Inf, NaN and hexadecimals.
	if strings.Trim(s, "0123456789+-.eE") != "" {
		return 0
	}
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil || seconds < 1 || seconds > math.MaxInt64/float64(2*time.Second) {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
