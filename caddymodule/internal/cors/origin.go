package cors

import (
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

// serialize returns the origin of a URL in the form that browsers send.
func serialize(text string) (string, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		if canonical, err := serialize("https://" + text); err == nil && !strings.HasPrefix(text, "//") {
			return "", fmt.Errorf("has no scheme: write %s", canonical)
		}
		return "", errForm
	}
	scheme = strings.ToLower(scheme)
	switch {
	case !isScheme(scheme):
		return "", errForm
	case scheme == "file":
		return "", errors.New("cannot be listed: browsers send the origin null for local files; serve the web app from a host")
	}
	if end := strings.IndexAny(rest, `/?#\`); end >= 0 {
		rest = rest[:end]
	}
	host, port, hasPort := cutPort(rest)
	host, err := serializeHost(host)
	if err != nil {
		return "", err
	}
	if !hasPort {
		return scheme + "://" + host, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case port != "" && (err != nil || n == 0 || port[0] == '+'):
		return "", errors.New("has an invalid port: it must be a number from 1 to 65535")
	case port == "", scheme == "https" && n == 443, scheme == "http" && n == 80:
		return scheme + "://" + host, nil
	}
	return scheme + "://" + host + ":" + strconv.FormatUint(n, 10), nil
}

// isScheme reports whether text, in lower case, is a scheme (RFC 3986, section 3.1).
func isScheme(text string) bool {
	return text != "" && 'a' <= text[0] && text[0] <= 'z' && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

// cutPort splits the host and the port of a URL.
func cutPort(authority string) (host, port string, found bool) {
	if at := strings.LastIndexByte(authority, ']'); at >= 0 {
		port, found = strings.CutPrefix(authority[at+1:], ":")
		if !found && port != "" {
			return authority, "", false // not a host
		}
		return authority[:at+1], port, found
	}
	return strings.Cut(authority, ":")
}

// serializeHost returns a host in the form that browsers send (URL Standard, section
// 3.5): names in punycode and in lower case, IPv6 addresses in their shortest form.
func serializeHost(host string) (string, error) {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		return serializeIPv6(strings.TrimSuffix(inner, "]"))
	}
	name := strings.ToLower(host)
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" {
		var err error
		if name, err = idna.Lookup.ToASCII(name); err != nil {
			return "", errForm
		}
	}
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	for _, label := range labels {
		if label == "" {
			return "", errForm
		}
	}
	// Browsers read a name that ends with a number as an IPv4 address.
	if last := labels[len(labels)-1]; isNumber(last) {
		if ip, err := netip.ParseAddr(name); err != nil || !ip.Is4() {
			return "", errors.New("has an invalid IPv4 address: write four decimal numbers, such as 192.0.2.1")
		}
	}
	return name, nil
}

// isNumber reports whether the last label of a host makes it an IPv4 address for
// browsers.
func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

func serializeIPv6(text string) (string, error) {
	ip, err := netip.ParseAddr(text)
	switch {
	case err != nil || !ip.Is6() || ip.Zone() != "":
		return "", errors.New("has an invalid IPv6 address: write it in brackets and without a zone, such as https://[2001:db8::1]")
	case ip.Is4In6(): // browsers do not write the last 32 bits with dots
		b := ip.As16()
		return fmt.Sprintf("[::ffff:%x:%x]", int(b[12])<<8|int(b[13]), int(b[14])<<8|int(b[15])), nil
	}
	return "[" + ip.String() + "]", nil
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
