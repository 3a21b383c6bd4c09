package huma

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// hawkSigner signs with Hawk (its public specification), with sha256 and a hash of the
// body.
//
// Huma's OpenAPI names Hawk, but also requires a signature header on each call. Which
// of them is verified, and what it covers, is not published, so the mac is sent in both
// places. That is a guess.
type hawkSigner struct {
	id     string
	secret masked.String
	header string
	nonce  func() string
}

func newHawkSigner(cfg SignatureConfig, errs []error) (Signer, []error) {
	switch {
	case cfg.ID == "":
		errs = append(errs, errors.New("id: is required for hawk"))
	case strings.ContainsFunc(cfg.ID, func(r rune) bool { return r < ' ' || r >= 0x7f || r == '"' || r == '\\' }):
		errs = append(errs, errors.New("id: must be printable ASCII without quotes and backslashes for hawk"))
	}
	return &hawkSigner{cfg.ID, cfg.Secret, cfg.HeaderName, rand.Text}, errs
}

func (s *hawkSigner) Sign(r Request) []Header {
	a := hawkArtifacts{
		ts:     strconv.FormatInt(r.Time.Unix(), 10),
		nonce:  s.nonce(),
		method: r.Method,
		url:    r.URL,
		hash:   hawkHash(r.ContentType, r.Body),
	}
	mac := a.mac(s.secret)
	return []Header{
		{"Authorization", masked.New(fmt.Sprintf(`Hawk id="%s", ts="%s", nonce="%s", hash="%s", mac="%s"`,
			s.id, a.ts, a.nonce, a.hash, mac))},
		{s.header, masked.New(mac)},
	}
}

// hawkArtifacts are the inputs of a Hawk mac.
type hawkArtifacts struct {
	ts, nonce string
	method    string
	url       *url.URL
	hash, ext string // empty: none
}

func (a hawkArtifacts) mac(secret masked.String) string {
	port := a.url.Port()
	if port == "" {
		port = "80"
		if a.url.Scheme == "https" {
			port = "443"
		}
	}
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	for _, line := range []string{
		"hawk.1.header", a.ts, a.nonce, strings.ToUpper(a.method), a.url.RequestURI(),
		strings.ToLower(a.url.Hostname()), port, a.hash, a.ext,
	} {
		mac.Write([]byte(line + "\n"))
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// hawkHash returns the hash of a body and its content type.
func hawkHash(contentType string, body []byte) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	h := sha256.New()
	h.Write([]byte("hawk.1.payload\n" + strings.ToLower(strings.TrimSpace(mediaType)) + "\n"))
	h.Write(body)
	h.Write([]byte("\n"))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}
