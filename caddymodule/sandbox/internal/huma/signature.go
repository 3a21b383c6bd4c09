package huma

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// errSignature means that the signature or MAC is wrong.
var errSignature = errors.New("invalid signature")

// signedRequest holds the parts of a request that a signature can cover.
type signedRequest struct {
	method string
	target string // request target as the client sent it: path and query
	host   string // Host header, with or without a port
	tls    bool
	header http.Header
	body   []byte
}

// checkHeaders validates the headers and the signature. Nil means that they are valid.
func (a *api) checkHeaders(r *service.Request) *service.Response {
	if rejection := service.CheckContent(r); rejection != nil {
		return rejectCall(rejection)
	}
	if !r.Operation.Signed {
		return requireHeader(r, "userAgent")
	}
	if a.isOldest() {
		return a.checkOldestHeaders(r)
	}
	if rejected := requireHeader(r, "deploymentId"); rejected != nil {
		return rejected
	}
	if a.cfg.Signature.Algorithm != config.AlgorithmOff {
		if rejected := requireHeader(r, a.cfg.Signature.HeaderName); rejected != nil {
			return rejected
		}
	}
	if r.HTTP.Header.Get("deploymentId") != a.cfg.DeploymentID {
		return reject(http.StatusForbidden, CodeForbiddenID, "forbidden id: deployment")
	}
	err := a.checkSignature(signedRequest{
		method: r.HTTP.Method,
		target: r.Target,
		host:   r.HTTP.Host,
		tls:    r.HTTP.TLS != nil,
		header: r.HTTP.Header,
		body:   r.Body,
	})
	if err != nil {
		return reject(http.StatusUnauthorized, CodeUnauthorized, "unauthorized: %v", err)
	}
	return nil
}

// requireHeader returns an error response unless the request has exactly one header with
// this name, which is not blank.
func requireHeader(r *service.Request, name string) *service.Response {
	values := r.HTTP.Header.Values(name)
	if len(values) != 1 || strings.TrimSpace(values[0]) == "" {
		return reject(http.StatusBadRequest, CodeInvalidRequest, "exactly one header %s is required", name)
	}
	return nil
}

// checkSignature verifies the signature of a call. The error is sent to the client, so it
// must not contain the expected signature.
func (a *api) checkSignature(r signedRequest) error {
	switch a.cfg.Signature.Algorithm {
	case config.AlgorithmOff:
		return nil
	case config.AlgorithmHawk:
		return a.checkHawk(r)
	}
	return a.checkHMAC(r)
}

// checkHMAC verifies an HMAC in the signature header.
func (a *api) checkHMAC(r signedRequest) error {
	sig := a.cfg.Signature
	timestamp := ""
	if strings.Contains(sig.Payload, "{sig.timestamp}") {
		timestamp = r.header.Get(sig.TimestampHeader)
		t, ok := parseTimestamp(timestamp)
		if !ok {
			return errors.New("missing or malformed timestamp")
		}
		if !a.isRecent(t) {
			return errors.New("timestamp exceeds the allowed clock skew")
		}
	}
	path, _, _ := strings.Cut(r.target, "?")
	// NewReplacer does not replace placeholders in values, such as "{sig.path}" in a body.
	payload := strings.NewReplacer(
		"{sig.body}", string(r.body),
		"{sig.method}", r.method,
		"{sig.path}", path,
		"{sig.timestamp}", timestamp,
		"{sig.deployment_id}", r.header.Get("deploymentId"),
	).Replace(sig.Payload)
	want := encodeHMAC(sig, a.cfg.Secret, payload)
	if !hmac.Equal([]byte(r.header.Get(sig.HeaderName)), []byte(want)) {
		return errSignature
	}
	return nil
}

// encodeHMAC returns the HMAC of payload, encoded as in the signature header.
func encodeHMAC(sig config.Signature, secret, payload string) string {
	newHash := sha256.New
	if sig.Algorithm == config.AlgorithmSHA512 {
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

// parseTimestamp parses Unix seconds, Unix milliseconds or RFC 3339. Which of them the
// real service accepts is not published.
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

// isRecent reports whether t is within the allowed clock skew.
func (a *api) isRecent(t time.Time) bool {
	return a.state.now().Sub(t).Abs() <= time.Duration(a.cfg.MaxClockSkew)
}
