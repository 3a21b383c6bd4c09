package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"time"
)

var payloadPlaceholders = []string{"{sig.body}", "{sig.method}", "{sig.path}", "{sig.timestamp}", "{sig.deployment_id}"}

var errSignature = errors.New("the signature does not verify")

// signedRequest is what a signature covers.
type signedRequest struct {
	method string
	target string // request target as sent: path and query
	host   string // Host as sent, perhaps with a port
	tls    bool
	header http.Header
	body   []byte
}

// checkSignature verifies a call. The error is for the caller and says what
// is wrong without telling what would be right.
func (s *Server) checkSignature(r signedRequest) error {
	switch s.cfg.Signature.Algorithm {
	case algorithmOff:
		return nil
	case algorithmHawk:
		return s.checkHawk(r)
	}
	return s.checkHMAC(r)
}

func (s *Server) checkHMAC(r signedRequest) error {
	sig := s.cfg.Signature
	timestamp := ""
	if strings.Contains(sig.Payload, "{sig.timestamp}") {
		timestamp = r.header.Get(sig.TimestampHeader)
		t, ok := parseTimestamp(timestamp)
		if !ok {
			return errors.New("the signed timestamp is missing or not a time")
		}
		if !s.isRecent(t) {
			return errors.New("the signed timestamp is too far from this clock")
		}
	}
	path, _, _ := strings.Cut(r.target, "?")
	// One pass over the template: a body that holds "{sig.path}" stays as it is.
	payload := strings.NewReplacer(
		"{sig.body}", string(r.body),
		"{sig.method}", r.method,
		"{sig.path}", path,
		"{sig.timestamp}", timestamp,
		"{sig.deployment_id}", r.header.Get("deploymentId"),
	).Replace(sig.Payload)
	want := encodeHMAC(sig, s.cfg.Secret, payload)
	if !hmac.Equal([]byte(r.header.Get(sig.HeaderName)), []byte(want)) {
		return errSignature
	}
	return nil
}

func encodeHMAC(sig Signature, secret, payload string) string {
	var newHash func() hash.Hash = sha256.New
	if sig.Algorithm == algorithmSHA512 {
		newHash = sha512.New
	}
	mac := hmac.New(newHash, []byte(secret))
	mac.Write([]byte(payload))
	sum := mac.Sum(nil)
	switch sig.Encoding {
	case "base64":
		return base64.StdEncoding.EncodeToString(sum)
	case "base64url":
		return base64.RawURLEncoding.EncodeToString(sum)
	}
	return hex.EncodeToString(sum)
}

// parseTimestamp reads Unix seconds, Unix milliseconds or RFC 3339: which one
// the service wants is not published.
func parseTimestamp(s string) (time.Time, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if len(s) >= 13 {
			return time.UnixMilli(n), true
		}
		return time.Unix(n, 0), true
	}
	t, err := time.Parse(time.RFC3339, s)
	return t, err == nil
}

// isRecent reports whether t is within the allowed skew of the clock.
func (s *Server) isRecent(t time.Time) bool {
	return s.state.now().Sub(t).Abs() <= s.cfg.MaxClockSkew
}
