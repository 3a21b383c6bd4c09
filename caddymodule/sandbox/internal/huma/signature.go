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

// checkHeaders looks at everything that stands before the body.
func (a *api) checkHeaders(r *service.Request) *service.Response {
	if refusal := service.CheckContent(r); refusal != nil {
		return rejectCall(refusal)
	}
	if !r.Operation.Signed {
		return requireHeader(r, "userAgent")
	}
	if refused := requireHeader(r, "deploymentId"); refused != nil {
		return refused
	}
	if a.cfg.Signature.Algorithm != config.AlgorithmOff {
		if refused := requireHeader(r, a.cfg.Signature.HeaderName); refused != nil {
			return refused
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

func requireHeader(r *service.Request, name string) *service.Response {
	values := r.HTTP.Header.Values(name)
	if len(values) != 1 || strings.TrimSpace(values[0]) == "" {
		return reject(http.StatusBadRequest, CodeInvalidRequest, "the header %s is required, once", name)
	}
	return nil
}

// checkSignature verifies a call. The error is for the caller and says what
// is wrong without telling what would be right.
func (a *api) checkSignature(r signedRequest) error {
	switch a.cfg.Signature.Algorithm {
	case config.AlgorithmOff:
		return nil
	case config.AlgorithmHawk:
		return a.checkHawk(r)
	}
	return a.checkHMAC(r)
}

func (a *api) checkHMAC(r signedRequest) error {
	sig := a.cfg.Signature
	timestamp := ""
	if strings.Contains(sig.Payload, "{sig.timestamp}") {
		timestamp = r.header.Get(sig.TimestampHeader)
		t, ok := parseTimestamp(timestamp)
		if !ok {
			return errors.New("the signed timestamp is missing or not a time")
		}
		if !a.isRecent(t) {
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
	want := encodeHMAC(sig, a.cfg.Secret, payload)
	if !hmac.Equal([]byte(r.header.Get(sig.HeaderName)), []byte(want)) {
		return errSignature
	}
	return nil
}

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
func (a *api) isRecent(t time.Time) bool {
	return a.state.now().Sub(t).Abs() <= a.cfg.MaxClockSkew
}
