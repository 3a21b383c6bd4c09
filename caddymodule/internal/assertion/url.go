package assertion

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// Errors of a URL. They do not contain the URL, because it may contain a secret.
var (
	errURL      = errors.New("is not a URL: write one such as https://auth.example.com/.well-known/jwks.json")
	errUserInfo = errors.New("must not contain a user or a password: remove the text before the @; public keys need no credentials")
	errFragment = errors.New("must not contain a fragment: remove the # and the text after it")
	errInsecure = errors.New("must use https, because an attacker on the network could replace the keys; http is allowed for loopback addresses and for host names without a dot only")
)

// CheckURL returns an error if keys must not or cannot be fetched from a URL. It must use
// https, or http to a loopback address or to a host name without a dot, such as the name
// of a container.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return errURL
	}
	switch {
	case u.User != nil:
		return errUserInfo
	case strings.Contains(text, "#"):
		return errFragment
	case u.Scheme == "http" && !isLocal(u.Hostname()):
		return errInsecure
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("must use https, not the scheme %q", u.Scheme)
	}
	return nil
}

// localName matches host names without a dot. A number, such as 2130706433 or 0x7f000001,
// is an IPv4 address to some resolvers, and net/http converts some other characters to
// dots, so neither matches.
var localName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

// isLocal reports whether http to a host is allowed.
func isLocal(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return localName.MatchString(host)
}

// Errors of an issuer. They do not contain it, because a URL may contain a secret.
var (
	errIssuer      = errors.New("must be a URL that begins with https://, because the public keys are found by the document at <issuer>/.well-known/openid-configuration; if there is none, write the option jwks")
	errIssuerQuery = errors.New("must not contain a query, because the public keys are found by the document at <issuer>/.well-known/openid-configuration; if there is none, write the option jwks")
)

// checkIssuer returns an error if an issuer cannot have a discovery document (OpenID
// Connect Discovery 1.0, sections 3 and 4).
func checkIssuer(issuer string) error {
	scheme, _, ok := strings.Cut(issuer, "://")
	switch {
	case !ok || !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http"):
		return errIssuer
	case strings.Contains(issuer, "?"):
		return errIssuerQuery
	}
	return CheckURL(issuer)
}
