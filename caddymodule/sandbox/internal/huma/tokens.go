package huma

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// The values of the claim "type".
const (
	authToken    = "auth"
	refreshToken = "refresh"
)

// claims are the claims of a token.
type claims struct {
	Subject   string `json:"sub"`
	Type      string `json:"type"`
	ProjectID string `json:"projectId"`
	ClientID  string `json:"clientId"`
	ID        string `json:"jti"`
	IssuedAt  int64  `json:"iat"`
	Expires   int64  `json:"exp"`
}

// expires returns the time of the claim exp.
func (c claims) expires() time.Time { return time.Unix(c.Expires, 0) }

// The errors of State.verify.
var (
	errTokenWrong   = errors.New("wrong token")
	errTokenExpired = errors.New("token expired")
)

// jwtHeader is the encoded header of all tokens.
var jwtHeader = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))

// issue returns a signed token with the claims c and a new jti, iat and exp. The lifetime
// is rounded down to whole seconds, as in Huma's tokens.
func (s *State) issue(c claims, lifetime time.Duration) string {
	c.ID = service.RandomID(16)
	c.IssuedAt = s.now().Unix()
	c.Expires = c.IssuedAt + int64(lifetime/time.Second)
	payload, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and numbers cannot fail
	}
	text := jwtHeader + "." + base64.RawURLEncoding.EncodeToString(payload)
	return text + "." + s.sign(text)
}

// sign returns the signature of the first two parts of a token.
func (s *State) sign(text string) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// verify returns the claims of a token that was issued by s with a type. The error is
// errTokenExpired, or errTokenWrong if the token is invalid in any other way.
func (s *State) verify(token, tokenType string) (claims, error) {
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
	if err := json.Unmarshal(payload, &c); err != nil || c.Type != tokenType || s.isRevoked(c.ID) {
		return claims{}, errTokenWrong
	}
	if !s.now().Before(c.expires()) {
		return claims{}, errTokenExpired
	}
	return c, nil
}

// revoke revokes a refresh token, which expires at until.
func (s *State) revoke(tokenID string, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeExpired()
	s.revoked[tokenID] = until
}

// isRevoked reports whether a token was revoked.
func (s *State) isRevoked(tokenID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.revoked[tokenID]
	return ok
}

// useNonce marks a nonce as used until a time. It returns false if the nonce was used
// before.
func (s *State) useNonce(nonce string, until time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeExpired()
	if _, ok := s.nonces[nonce]; ok {
		return false
	}
	s.nonces[nonce] = until
	return true
}

// removeExpired deletes expired nonces and revoked tokens, at most once per minute. The
// caller holds s.mu.
func (s *State) removeExpired() {
	now := s.now()
	if now.Sub(s.lastRemoval) < time.Minute {
		return
	}
	s.lastRemoval = now
	expired := func(_ string, until time.Time) bool { return until.Before(now) }
	maps.DeleteFunc(s.nonces, expired)
	maps.DeleteFunc(s.revoked, expired)
}
