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

// hawkRequest is what a Hawk MAC covers.
type hawkRequest struct {
	method   string
	resource string // path and query
	host     string
	port     string
}

// hawkHeader is an Authorization header of the scheme Hawk.
type hawkHeader struct {
	ID, TS, Nonce, Hash, Ext, MAC, App, Dlg string
}

var (
	hawkAttributes = regexp.MustCompile(`^(\w+)="([^"\\]*)"\s*(?:,\s*|$)`)
	errHawkHeader  = errors.New("the Authorization header is not a well-formed Hawk header")
)

// checkHawk verifies the Authorization header by the public Hawk
// specification. The payload's hash, optional there, is required: without it
// the body would not be signed.
func (a *api) checkHawk(r signedRequest) error {
	values := r.header.Values("Authorization")
	if len(values) != 1 {
		return errors.New("one Authorization header with a Hawk MAC is required")
	}
	h, err := parseHawk(values[0])
	if err != nil {
		return err
	}
	if !hmac.Equal([]byte(h.ID), []byte(a.cfg.Signature.ID)) {
		return errors.New("the Hawk id is unknown")
	}
	host, port := splitHost(r.host, r.tls)
	want := hawkMAC(a.cfg.Secret, hawkRequest{r.method, r.target, host, port}, h)
	if !hmac.Equal([]byte(h.MAC), []byte(want)) {
		return errSignature
	}
	if !hmac.Equal([]byte(h.Hash), []byte(hawkPayloadHash(r.header.Get("Content-Type"), r.body))) {
		return errors.New("the Hawk payload hash is missing or wrong")
	}
	seconds, err := strconv.ParseInt(h.TS, 10, 64)
	if err != nil {
		return errHawkHeader
	}
	ts := time.Unix(seconds, 0)
	if !a.isRecent(ts) {
		return errors.New("the Hawk timestamp is too far from this clock")
	}
	// Last, so that only who knows the secret can use up a nonce. It has to be
	// remembered for as long as its timestamp would be accepted.
	if !a.state.useNonce(h.ID+"\x00"+h.TS+"\x00"+h.Nonce, ts.Add(a.cfg.MaxClockSkew)) {
		return errors.New("the Hawk nonce was used before")
	}
	return nil
}

// parseHawk reads the header's attributes, each known and given once.
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
		delete(fields, m[1]) // a second one is unknown
		rest = rest[len(m[0]):]
	}
	if slices.Contains([]string{h.ID, h.TS, h.Nonce, h.MAC}, "") {
		return hawkHeader{}, errHawkHeader
	}
	return h, nil
}

// hawkMAC computes the MAC of a request header.
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

// hawkPayloadHash computes the hash of a body. Parameters of the content
// type are not part of it.
func hawkPayloadHash(contentType string, body []byte) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	sum := sha256.New()
	sum.Write([]byte("hawk.1.payload\n" + strings.ToLower(strings.TrimSpace(mediaType)) + "\n"))
	sum.Write(body)
	sum.Write([]byte("\n"))
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// splitHost takes a Host header apart; without a port the scheme tells it.
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
