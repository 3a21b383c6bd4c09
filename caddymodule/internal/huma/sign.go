package huma

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// Request holds the parts of one attempt that can be signed.
type Request struct {
	Method       string
	URL          *url.URL // as it is called
	ContentType  string   // of Body
	Body         []byte   // exactly the bytes that are sent
	DeploymentID string
	Time         time.Time // signed in whole Unix seconds
}

// Signer returns the headers that sign an attempt. It must not retain the Request or
// anything of it, and must be safe for concurrent use.
type Signer interface {
	Sign(r Request) []Header
}

// SignatureConfig configures a Signer. Huma has not published how calls are signed, so
// everything can be configured.
type SignatureConfig struct {
	// Algorithm is hmac-sha256, hmac-sha512, hawk or off. Default: hmac-sha256.
	Algorithm string

	// Encoding of the HMAC: hex, base64 (with padding) or base64url (without). Default:
	// hex. Not for hawk and off.
	Encoding string

	// Payload is the text that the HMAC is computed over: a template with {sig.body},
	// {sig.method}, {sig.path} (as sent, with the path of the base URL, without a
	// query), {sig.timestamp} (Unix seconds) and {sig.deployment_id}. Default:
	// {sig.body}. Not for hawk and off.
	Payload string

	// HeaderName is the name of the signature header. Default: signature.
	HeaderName string

	// ID is the id of Hawk's key. Only for hawk. Required for hawk.
	ID string

	// Secret is the key. Its bytes are used unchanged. Required, except for off.
	Secret masked.String
}

// Values of SignatureConfig.Algorithm.
const (
	algorithmSHA256 = "hmac-sha256"
	algorithmSHA512 = "hmac-sha512"
	algorithmHawk   = "hawk"
	algorithmOff    = "off"
)

var encodings = map[string]func([]byte) string{
	"hex":       hex.EncodeToString,
	"base64":    base64.StdEncoding.EncodeToString,
	"base64url": base64.RawURLEncoding.EncodeToString,
}

// NewSigner returns the Signer that cfg describes. The error names every invalid
// option. It does not contain the secret.
func NewSigner(cfg SignatureConfig) (Signer, error) {
	if cfg.Algorithm == "" {
		cfg.Algorithm = algorithmSHA256
	}
	if cfg.HeaderName == "" {
		cfg.HeaderName = "signature"
	}
	var errs []error
	if err := checkSignatureHeader(cfg); err != nil {
		errs = append(errs, err)
	}
	if cfg.Secret.IsZero() && cfg.Algorithm != algorithmOff {
		errs = append(errs, errors.New("secret: is required"))
	}

	var signer Signer
	switch cfg.Algorithm {
	case algorithmSHA256:
		signer, errs = newHMACSigner(cfg, sha256.New, errs)
	case algorithmSHA512:
		signer, errs = newHMACSigner(cfg, sha512.New, errs)
	case algorithmHawk:
		signer, errs = newHawkSigner(cfg, checkNoHMAC(cfg, errs))
	case algorithmOff:
		signer, errs = noSigner{}, checkNoHawk(cfg, checkNoHMAC(cfg, errs))
	default:
		errs = append(errs, fmt.Errorf("signature: unknown algorithm %q: must be hmac-sha256, hmac-sha512, hawk or off", cfg.Algorithm))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return signer, nil
}

func checkSignatureHeader(cfg SignatureConfig) error {
	name := http.CanonicalHeaderKey(cfg.HeaderName)
	switch {
	case !validName(cfg.HeaderName):
		return fmt.Errorf("header_name: %q is not a valid header name", cfg.HeaderName)
	case reserved[name], name == "Deploymentid":
		return fmt.Errorf("header_name: the header %s cannot be set", cfg.HeaderName)
	case name == "Authorization" && cfg.Algorithm == algorithmHawk:
		return fmt.Errorf("header_name: cannot be %s with hawk, which uses this header itself", cfg.HeaderName)
	}
	return nil
}

func checkNoHMAC(cfg SignatureConfig, errs []error) []error {
	if cfg.Encoding != "" {
		errs = append(errs, fmt.Errorf("encoding: cannot be combined with %s", cfg.Algorithm))
	}
	if cfg.Payload != "" {
		errs = append(errs, fmt.Errorf("payload: cannot be combined with %s", cfg.Algorithm))
	}
	return errs
}

func checkNoHawk(cfg SignatureConfig, errs []error) []error {
	if cfg.ID != "" {
		errs = append(errs, fmt.Errorf("id: cannot be combined with %s", cfg.Algorithm))
	}
	return errs
}

// noSigner adds no signature.
type noSigner struct{}

func (noSigner) Sign(Request) []Header { return nil }

// hmacSigner signs with an HMAC of a payload template.
type hmacSigner struct {
	hash    func() hash.Hash
	encode  func([]byte) string
	payload []part
	header  string
	secret  masked.String
}

func newHMACSigner(cfg SignatureConfig, hash func() hash.Hash, errs []error) (Signer, []error) {
	if cfg.Encoding == "" {
		cfg.Encoding = "hex"
	}
	if cfg.Payload == "" {
		cfg.Payload = "{sig.body}"
	}
	errs = checkNoHawk(cfg, errs)
	encode := encodings[cfg.Encoding]
	if encode == nil {
		errs = append(errs, fmt.Errorf("encoding: unknown encoding %q: must be hex, base64 or base64url", cfg.Encoding))
	}
	payload, err := parsePayload(cfg.Payload)
	if err != nil {
		errs = append(errs, err)
	}
	return &hmacSigner{hash, encode, payload, cfg.HeaderName, cfg.Secret}, errs
}

func (s *hmacSigner) Sign(r Request) []Header {
	mac := hmac.New(s.hash, []byte(s.secret.Reveal()))
	for _, p := range s.payload {
		if p.value == nil {
			mac.Write([]byte(p.text))
			continue
		}
		mac.Write(p.value(r))
	}
	return []Header{{s.header, masked.New(s.encode(mac.Sum(nil)))}}
}

// part of a payload template: text, or the function that returns the value of a
// placeholder.
type part struct {
	text  string
	value func(Request) []byte
}

var placeholders = map[string]func(Request) []byte{
	"body":          func(r Request) []byte { return r.Body },
	"method":        func(r Request) []byte { return []byte(r.Method) },
	"path":          func(r Request) []byte { return []byte(r.URL.EscapedPath()) },
	"timestamp":     func(r Request) []byte { return strconv.AppendInt(nil, r.Time.Unix(), 10) },
	"deployment_id": func(r Request) []byte { return []byte(r.DeploymentID) },
}

// parsePayload parses a template once, when the config is loaded. A placeholder in a
// value, such as the body, is therefore never replaced.
func parsePayload(template string) ([]part, error) {
	if strings.TrimSpace(template) == "" {
		return nil, errors.New("payload: must not be empty")
	}
	var (
		parts []part
		errs  []error
	)
	for template != "" {
		text, rest, found := strings.Cut(template, "{sig.")
		if text != "" {
			parts = append(parts, part{text: text})
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		value := placeholders[name]
		switch {
		case !closed:
			errs = append(errs, errors.New("payload: a placeholder has no closing brace"))
		case value == nil:
			errs = append(errs, fmt.Errorf("payload: unknown placeholder {sig.%s}: must be body, method, path, timestamp or deployment_id", name))
		}
		parts = append(parts, part{value: value})
		template = after
	}
	return parts, errors.Join(errs...)
}
