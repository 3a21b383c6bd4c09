package huma

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// hawkRequest holds the parts of a request that a Hawk MAC covers.
type hawkRequest struct {
	method   string
	resource string // path and query
	host     string
	port     string
}

// hawkHeader holds the attributes of an Authorization header with the scheme Hawk.
type hawkHeader struct {
	ID, TS, Nonce, Hash, Ext, MAC, App, Dlg string
}

var (
	hawkAttributes = regexp.MustCompile(`^(\w+)="([^"\\]*)"\s*(?:,\s*|$)`)
	errHawkHeader  = errors.New("malformed Hawk Authorization header")
)

// checkHawk verifies the Authorization header according to the Hawk specification. The
// payload hash, which is optional there, is required, since without it the body is not
// signed.
func (a *api) checkHawk(r signedRequest) error {
	values := r.header.Values("Authorization")
	if len(values) != 1 {
		return errors.New("exactly one Authorization header is required")
	}
	h, err := parseHawk(values[0])
	if err != nil {
		return err
	}
	if !hmac.Equal([]byte(h.ID), []byte(a.cfg.Signature.ID)) {
		return errors.New("unknown Hawk id")
	}
	host, port := splitHost(r.host, r.tls)
	want := hawkMAC(a.cfg.Secret, hawkRequest{r.method, r.target, host, port}, h)
	if !hmac.Equal([]byte(h.MAC), []byte(want)) {
		return errSignature
	}
	if !hmac.Equal([]byte(h.Hash), []byte(hawkPayloadHash(r.header.Get("Content-Type"), r.body))) {
		return errors.New("missing or wrong Hawk payload hash")
	}
	seconds, err := strconv.ParseInt(h.TS, 10, 64)
	if err != nil {
		return errHawkHeader
	}
	ts := time.Unix(seconds, 0)
	if !a.isRecent(ts) {
		return errors.New("the Hawk timestamp exceeds the allowed clock skew")
	}
	// This is the last check, so that only clients with the secret can use up a nonce.
	// The nonce is kept for as long as its timestamp would be accepted.
	if !a.state.useNonce(h.ID+"\x00"+h.TS+"\x00"+h.Nonce, ts.Add(time.Duration(a.cfg.MaxClockSkew))) {
		return errors.New("the Hawk nonce was already used")
	}
	return nil
}

// parseHawk parses an Authorization header. Unknown and duplicate attributes are errors.
func parseHawk(value string) (hawkHeader, error) {
	scheme, rest, found := strings.Cut(value, " ")
	if !found || !strings.EqualFold(scheme, "Hawk") || len(value) > 4096 {
		return hawkHeader{}, errHawkHeader
	}
	var h hawkHeader
	fields := map[string]*string{
		"id": &h.ID, "ts": &h.TS, "nonce": &h.Nonce, "hash": &h.Hash,
		"ext": &h.Ext, "mac": &h.MAC, "app": &h.App, "dlg": &h.Dlg,
	}
	for rest = strings.TrimSpace(rest); rest != ""; {
		m := hawkAttributes.FindStringSubmatch(rest)
		if m == nil || fields[m[1]] == nil {
			return hawkHeader{}, errHawkHeader
		}
		*fields[m[1]] = m[2]
		delete(fields, m[1]) // a duplicate is an error
		rest = rest[len(m[0]):]
	}
	if slices.Contains([]string{h.ID, h.TS, h.Nonce, h.MAC}, "") {
		return hawkHeader{}, errHawkHeader
	}
	return h, nil
}

// hawkMAC returns the MAC of a request, in base64.
func hawkMAC(key string, r hawkRequest, h hawkHeader) string {
	ext := strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(h.Ext)
	lines := []string{"hawk.1.header", h.TS, h.Nonce, strings.ToUpper(r.method), r.resource, strings.ToLower(r.host), r.port, h.Hash, ext}
	if h.App != "" {
		lines = append(lines, h.App, h.Dlg)
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(strings.Join(lines, "\n") + "\n"))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// hawkPayloadHash returns the hash of a body, in base64. It does not cover the parameters
// of the content type.
func hawkPayloadHash(contentType string, body []byte) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	sum := sha256.New()
	sum.Write([]byte("hawk.1.payload\n" + strings.ToLower(strings.TrimSpace(mediaType)) + "\n"))
	sum.Write(body)
	sum.Write([]byte("\n"))
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// splitHost splits a Host header. Without a port, the port is that of the scheme.
func splitHost(hostport string, tls bool) (host, port string) {
	host, port, err := net.SplitHostPort(hostport)
	if err == nil {
		return host, port
	}
	host, port = strings.Trim(hostport, "[]"), "80"
	if tls {
		port = "443"
	}
	return host, port
}
