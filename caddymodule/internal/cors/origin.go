package cors

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// CheckOrigin returns an error if a value of the option allow_origins is not an origin as
// browsers write it in the header Origin: scheme, host and, if it is not the default of
// the scheme, port (RFC 6454, section 6.2). Origins are compared byte for byte, so any
// other form would never match. The error contains the form to write, if there is one.
func CheckOrigin(origin string) error {
	switch {
	case origin == "":
		return errors.New("must not contain an empty value")
	case origin == "*":
		return errors.New("must not be *: any page could get tokens of its visitors; list the origins of your web apps, such as https://app.example.com")
	case strings.EqualFold(origin, "null"):
		return errors.New("must not be null: sandboxed frames and local files of anyone have this origin; serve the web app from a host, and list its origin")
	case strings.Contains(origin, "@"):
		return errors.New("an origin must not contain a user name or a password") // not quoted
	case strings.Contains(origin, "*"):
		return fmt.Errorf("'%s' contains a wildcard: list each origin, such as https://app.example.com", origin)
	case strings.ContainsAny(origin, " \t\r\n,;"):
		return fmt.Errorf("'%s' is not one origin: write each origin as a value of its own, without commas", origin)
	}
	canonical, err := serialize(origin)
	switch {
	case err != nil:
		return fmt.Errorf("'%s' %w", origin, err)
	case canonical != origin:
		return fmt.Errorf("'%s' is not the form that browsers send: write %s", origin, canonical)
	}
	return nil
}

// errForm is the error of a value that is not an origin in any form.
var errForm = errors.New("is not an origin: write scheme://host or scheme://host:port, such as https://app.example.com")

// serialize returns the origin of a URL in the form that browsers send: names in punycode
// and in lower case, IPv6 addresses in their shortest form (URL Standard, section 3.5).
func serialize(text string) (string, error) {
	if !strings.Contains(text, "://") {
		if canonical, err := serialize("https://" + text); err == nil {
			return "", fmt.Errorf("has no scheme: write %s", canonical)
		}
		return "", errForm
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", errForm
	case u.Scheme == "file":
		return "", errors.New("cannot be listed: browsers send the origin null for local files; serve the web app from a host")
	}
	host := strings.ToLower(u.Hostname())
	if strings.HasPrefix(u.Host, "[") {
		ip, err := netip.ParseAddr(host)
		if err != nil || !ip.Is6() || ip.Is4In6() || ip.Zone() != "" {
			return "", errForm
		}
		host = "[" + ip.String() + "]"
	} else if strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" {
		if host, err = idna.Lookup.ToASCII(host); err != nil {
			return "", errForm
		}
	}
	port, err := strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16)
	switch {
	case host == "":
		return "", errForm
	case err != nil || port == 0:
		return "", errors.New("has an invalid port: it must be a number from 1 to 65535")
	case u.Port() == "", u.Scheme == "https" && port == 443, u.Scheme == "http" && port == 80:
		return u.Scheme + "://" + host, nil
	}
	return u.Scheme + "://" + host + ":" + strconv.FormatUint(port, 10), nil
}

// IsInsecure reports whether pages of an origin are loaded without TLS from another
// machine, so that an attacker on the network can change them. The origin must be one
// that CheckOrigin accepts.
func IsInsecure(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" {
		return false
	}
	host := strings.TrimSuffix(u.Hostname(), ".")
	ip, _ := netip.ParseAddr(host)
	return host != "localhost" && !strings.HasSuffix(host, ".localhost") && !ip.IsLoopback()
}
