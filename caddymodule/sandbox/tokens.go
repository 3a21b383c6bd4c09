package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// Kinds of token, as the claim "type" tells them apart.
const (
	authToken    = "auth"
	refreshToken = "refresh"
)

// claims are what a token says.
type claims struct {
	Subject   string `json:"sub"`
	Type      string `json:"type"`
	ProjectID string `json:"projectId"`
	ClientID  string `json:"clientId"`
	ID        string `json:"jti"`
	IssuedAt  int64  `json:"iat"`
	Expires   int64  `json:"exp"`
}

func (c claims) expires() time.Time { return time.Unix(c.Expires, 0) }

var (
	errTokenWrong   = errors.New("wrong token")
	errTokenExpired = errors.New("token expired")
)

// jwtHeader is the first part of every token.
var jwtHeader = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))

// issue makes a token. exp is a whole number of seconds after iat, as both
// are whole seconds in Huma's tokens.
func (s *state) issue(c claims, lifetime time.Duration) string {
	c.ID = hex.EncodeToString(randomBytes(16))
	c.IssuedAt = s.now().Unix()
	c.Expires = c.IssuedAt + int64(lifetime/time.Second)
	payload, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and numbers only
	}
	text := jwtHeader + "." + base64.RawURLEncoding.EncodeToString(payload)
	return text + "." + s.sign(text)
}

func (s *state) sign(text string) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// verify reads a token of the wanted kind that was issued here, has not
// expired and was not revoked.
func (s *state) verify(token, kind string) (claims, error) {
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 || !hmac.Equal([]byte(token[dot+1:]), []byte(s.sign(token[:dot]))) {
		return claims{}, errTokenWrong
	}
	_, encoded, _ := strings.Cut(token[:dot], ".")
	payload, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return claims{}, errTokenWrong
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil || c.Type != kind || s.isRevoked(c.ID) {
		return claims{}, errTokenWrong
	}
	if !s.now().Before(c.expires()) {
		return claims{}, errTokenExpired
	}
	return c, nil
}
