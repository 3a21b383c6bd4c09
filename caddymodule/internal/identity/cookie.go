package identity

import (
	"fmt"
	"strings"
)

// cookiePrefix is the prefix of Caddy's placeholders of cookies. The name of the cookie
// follows. Identity reads the header itself, because the placeholder has the first of
// several cookies with the same name.
const cookiePrefix = "http.request.cookie."

// cookie returns the signed token in the cookie with this name.
func (i *Identifier) cookie(r *Request, name string) (string, *Rejection) {
	value, count := findCookie(r.Header["Cookie"], name)
	if count == 0 {
		return "", ErrNoCookie
	}
	if i.cookiesFromProxies {
		if rejection := i.checkPeer(r); rejection != nil {
			return "", rejection
		}
	}
	switch {
	case count > 1:
		return "", ErrDuplicateCookie
	case strings.ContainsFunc(value, isInvalidInToken):
		return "", ErrAssertionMalformed
	}
	return value, nil
}

// findCookie returns the value of the cookie with this name in the lines of the header
// Cookie, and how many there are (RFC 6265, section 4.2.1). It counts everything that
// another parser may take for such a cookie: one without a value, with blanks around its
// name, or in a second line.
func findCookie(lines []string, name string) (value string, count int) {
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			key, text, _ := strings.Cut(pair, "=")
			if strings.TrimSpace(key) == name {
				value = strings.Trim(text, " \t")
				count++
			}
		}
	}
	return value, count
}

// isInvalidInToken reports whether r is not a character of a signed token in compact form
// (RFC 7515, section 3.1): base64url, with padding as AWS adds it, and dots.
func isInvalidInToken(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("-_.=", r)
}

// rejectUnsignedCookies rejects the sources that are cookies, but not signed assertions.
// It disables them, so that no second error is about them.
func rejectUnsignedCookies(options []option) (errs []error) {
	for _, o := range options {
		if o.target.kind != kindCookie || o.target.signed {
			continue
		}
		errs = append(errs, fmt.Errorf("%s: {%s%s} is set by the client: if the cookie holds a signed token (JWT), write \"%s {%s%s} <claim>\" and \"verify { … }\" on several lines; otherwise %s",
			o.name, cookiePrefix, o.target.key, o.name, cookiePrefix, o.target.key, validSources))
		o.target.kind = kindNone
	}
	return errs
}
