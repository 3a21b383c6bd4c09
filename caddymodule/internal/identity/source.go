package identity

import (
	"fmt"
	"net/textproto"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// kind is the origin of a source's value. It decides when the value is trusted.
type kind uint8

const (
	kindNone        kind = iota // no source
	kindUser                    // a placeholder set by the authentication
	kindOperator                // a placeholder set by the operator's own directives
	kindCertificate             // a placeholder of the client certificate
	kindResponse                // a header of the last proxy's response
	kindHeader                  // a header of the request
	kindAssertion               // a header of the request with a signed assertion, accepted from any peer
	kindApplication             // the application's response
	kindAuthServer              // a header of the response of the option auth_server
)

// location is the location of a value. The zero value is no location.
type location struct {
	kind kind
	key  string // name of a placeholder, or canonical name of a header
}

// source is the parsed form of a Source. The zero value is no source.
type source struct {
	location
	paths  []claims.Path // where in a document; nil: the value is not a document
	signed bool          // the document is a signed assertion
	list   bool          // the document is a list of claims
	after  string        // the value begins after the last occurrence
	first  bool          // read the first of several values joined by commas
}

// parseSource parses a source, without regard to trust: a request header is returned as
// kindHeader.
func parseSource(s presets.Source) (source, error) {
	p, err := parseLocation(s.From)
	if err != nil {
		return source{}, err
	}
	paths, err := parsePaths(s.Paths)
	return source{location: p, paths: paths, list: s.ClaimList, after: s.After, first: s.First}, err
}

func parsePaths(written []string) ([]claims.Path, error) {
	var paths []claims.Path
	for _, w := range written {
		p, err := claims.ParsePath(w)
		if err != nil {
			return nil, fmt.Errorf("path %q: %w", w, err)
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// Placeholders that can be sources. A name follows each prefix.
const (
	userPrefix          = "http.auth.user."
	varsPrefix          = "http.vars."
	certificatePrefix   = "http.request.tls.client."
	responsePrefix      = "http.reverse_proxy.header."
	requestHeaderPrefix = "http.request.header."
)

// caddyVars are the variables that Caddy sets on every request. None identifies a user.
var caddyVars = map[string]bool{"client_ip": true, "trusted_proxy": true, "uuid": true, "start_time": true, "root": true}

// invalidSources explains, by prefix, why a placeholder cannot be a source. The first match
// is used.
var invalidSources = [...]struct{ prefix, why string }{
	{"http.auth.candidate.", "is a user whom no authentication accepted: write one such as {http.auth.user.id}"},
	{"http.auth.", "is not what an authentication says of a user: write one such as {http.auth.user.id}"},
	{"http.request.uri", "is written by the client: " + validSources},
	{"http.request.orig_uri", "is written by the client: " + validSources},
	{"http.request.cookie.", "is written by the client: " + validSources},
	{"http.request.body", "is written by the client: " + validSources},
	{"http.request.tls.", "says nothing of the client's certificate: write one such as {http.request.tls.client.san.emails}"},
	{"http.request.", "does not say who the user is: " + validSources},
	{"http.reverse_proxy.", "is not what an auth server says of a user: write one such as {http.reverse_proxy.header.Remote-Email}"},
	{"http.regexp.", "is cut out of something else, perhaps by the client's doing: let a map put it into a name without a dot, such as {user_email}"},
	{"http.vars.", "is Caddy's own variable: " + validSources},
	{"header.", "is no placeholder: write the header's name alone, with a line \"trust\""},
	{"vars.", "is no placeholder: write it out, such as {http.vars.user_email}"},
	{"rp.", "is no placeholder: write it out, such as {http.reverse_proxy.header.Remote-Email}"},
	{"query.", "is written by the client: " + validSources},
	{"cookie.", "is written by the client: " + validSources},
	{"env.", "is the same for every user: " + validSources},
	{"file.", "is the same for every user: " + validSources},
	{"system.", "is the same for every user: " + validSources},
	{"time.", "is the same for every user: " + validSources},
}

const validSources = "write a placeholder of the authentication such as {http.auth.user.id}, the output of a map such as {user_email}, or the name of a header with a line \"trust\""

// parseLocation parses the name of a header, or a placeholder in braces.
func parseLocation(written string) (location, error) {
	inner, opened := strings.CutPrefix(written, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	switch {
	case strings.ContainsAny(inner, "{}") || opened != closed:
		return location{}, fmt.Errorf("%q is not one placeholder alone: write {placeholder} with nothing around it, or put the text together in a map", written)
	case opened:
		return parsePlaceholder(written, inner)
	case strings.EqualFold(written, "Host"):
		return location{}, fmt.Errorf("%s does not say who the user is: %s", written, validSources)
	case !isToken(written):
		return location{}, fmt.Errorf("%q is not the name of a header: write one such as Remote-Email, or {placeholder}", written)
	}
	return location{kindHeader, textproto.CanonicalMIMEHeaderKey(written)}, nil
}

// parsePlaceholder classifies a placeholder. written has its braces, name does not.
func parsePlaceholder(written, name string) (location, error) {
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) || name == "" {
		return location{}, fmt.Errorf("%q is no placeholder: write one such as {http.auth.user.id}", written)
	}
	if header, ok := strings.CutPrefix(name, requestHeaderPrefix); ok && isToken(header) {
		return location{kindHeader, textproto.CanonicalMIMEHeaderKey(header)}, nil
	}
	if header, ok := strings.CutPrefix(name, responsePrefix); ok && isToken(header) {
		// Caddy's reverse_proxy sets canonical names only.
		return location{kindResponse, responsePrefix + textproto.CanonicalMIMEHeaderKey(header)}, nil
	}
	switch {
	case hasName(name, userPrefix):
		return location{kindUser, name}, nil
	case hasName(name, certificatePrefix):
		return location{kindCertificate, name}, nil
	case hasName(name, varsPrefix) && !caddyVars[name[len(varsPrefix):]], !strings.Contains(name, "."):
		return location{kindOperator, name}, nil
	}
	for _, r := range invalidSources {
		if strings.HasPrefix(name, r.prefix) {
			return location{}, fmt.Errorf("%s %s", written, r.why)
		}
	}
	return location{}, fmt.Errorf("%s is not known to say who the user is: %s", written, validSources)
}

// hasName reports whether name starts with prefix and has more text after it.
func hasName(name, prefix string) bool {
	return len(name) > len(prefix) && strings.HasPrefix(name, prefix)
}

// isToken reports whether s is a valid header name (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := lower(s[i])
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
