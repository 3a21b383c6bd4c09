package identity

import (
	"fmt"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"

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
	kindCookie                  // a cookie of the request with a signed assertion
)

// location is the location of a value. The zero value is no location.
type location struct {
	kind kind
	key  string // name of a placeholder or a cookie, or canonical name of a header
}

// source is the parsed form of a Source. The zero value is no source.
type source struct {
	location
	paths []claims.Path // where in a document; nil: the value is not a document
	entra []claims.Path // further paths; see presets.Source.EntraPaths
	// confirmedBy is the claim that confirms the address; see presets.Source.ConfirmedBy.
	confirmedBy claims.Path
	signed      bool   // the document is a signed assertion
	list        bool   // the document is a list of claims
	after       string // the value begins after the last occurrence
	first       bool   // read the first of several values joined by commas

	optional bool // of verified and confirmedBy: only an explicit no counts
	strict   bool // of verified: only true and "true" mean yes
}

// parseSource parses a source, without regard to trust: a request header is returned as
// kindHeader.
func parseSource(s presets.Source) (source, error) {
	p, err := parseLocation(s.From)
	if err != nil {
		return source{}, err
	}
	paths, err := parsePaths(s.Paths)
	if err != nil {
		return source{}, err
	}
	entra, err := parsePaths(s.EntraPaths)
	if err != nil {
		return source{}, err
	}
	var confirmedBy claims.Path
	if s.ConfirmedBy != "" {
		confirmedBy, err = claims.ParsePath(s.ConfirmedBy)
	}
	return source{
		location: p, paths: paths, entra: entra, confirmedBy: confirmedBy,
		list: s.ClaimList, after: s.After, first: s.First, optional: s.Optional, strict: s.Strict,
	}, err
}

func parsePaths(texts []string) ([]claims.Path, error) {
	var paths []claims.Path
	for _, text := range texts {
		p, err := claims.ParsePath(text)
		if err != nil {
			return nil, fmt.Errorf("path %q: %w", text, err)
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

// invalidSources explains, by prefix, why a placeholder cannot be a source. The first
// match is used.
var invalidSources = [...]struct{ prefix, reason string }{
	{"http.auth.candidate.", "is a user who is not authenticated: use a placeholder such as {http.auth.user.id}"},
	{"http.auth.", "is not a property of the authenticated user: use a placeholder such as {http.auth.user.id}"},
	{"http.request.tls.", "is not a property of the client certificate: use a placeholder such as {http.request.tls.client.san.emails}"},
	{"http.request.", "is set by the client, or does not identify the user: " + validSources},
	{"http.reverse_proxy.", "is not a header of the auth server's response: use a placeholder such as {http.reverse_proxy.header.Remote-Email}"},
	{"http.regexp.", "is a match of a regular expression, whose text may come from the client: copy it with map to a placeholder without a dot, such as {user_email}"},
	{"http.vars.", "is one of Caddy's own variables: " + validSources},
	{"header.", "is a Caddyfile shorthand: write the name of the header without braces, and set the option trust"},
	{"vars.", "is a Caddyfile shorthand: write it in full, such as {http.vars.user_email}"},
	{"rp.", "is a Caddyfile shorthand: write it in full, such as {http.reverse_proxy.header.Remote-Email}"},
	{"query.", "is set by the client: " + validSources},
	{"cookie.", "is set by the client: " + validSources},
	{"env.", "is the same for every user: " + validSources},
	{"file.", "is the same for every user: " + validSources},
	{"system.", "is the same for every user: " + validSources},
	{"time.", "is the same for every user: " + validSources},
}

const validSources = "use a placeholder of the authentication such as {http.auth.user.id}, the output of map such as {user_email}, or a header name together with the option trust"

// parseLocation parses the name of a header, or a placeholder in braces.
func parseLocation(text string) (location, error) {
	inner, opened := strings.CutPrefix(text, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	switch {
	case strings.ContainsAny(inner, "{}") || opened != closed:
		return location{}, fmt.Errorf("%q is not a single placeholder: write {placeholder} without other text, or combine the text with map", text)
	case opened:
		return parsePlaceholder(text, inner)
	case strings.EqualFold(text, "Host"):
		return location{}, fmt.Errorf("%s does not identify the user: %s", text, validSources)
	case !httpguts.ValidHeaderFieldName(text):
		return location{}, fmt.Errorf("%q is not a header name: write a name such as Remote-Email, or {placeholder}", text)
	}
	return location{kindHeader, textproto.CanonicalMIMEHeaderKey(text)}, nil
}

// parsePlaceholder classifies a placeholder. text has its braces, name does not.
func parsePlaceholder(text, name string) (location, error) {
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) || name == "" {
		return location{}, fmt.Errorf("%q is not a placeholder: write one such as {http.auth.user.id}", text)
	}
	if header, ok := strings.CutPrefix(name, requestHeaderPrefix); ok && httpguts.ValidHeaderFieldName(header) {
		return location{kindHeader, textproto.CanonicalMIMEHeaderKey(header)}, nil
	}
	if header, ok := strings.CutPrefix(name, responsePrefix); ok && httpguts.ValidHeaderFieldName(header) {
		// Caddy's reverse_proxy sets canonical names only.
		return location{kindResponse, responsePrefix + textproto.CanonicalMIMEHeaderKey(header)}, nil
	}
	// The name of a cookie is a token, as that of a header (RFC 6265, section 4.1.1).
	if cookie, ok := strings.CutPrefix(name, cookiePrefix); ok && httpguts.ValidHeaderFieldName(cookie) {
		return location{kindCookie, cookie}, nil
	}
	switch {
	case hasName(name, userPrefix):
		return location{kindUser, name}, nil
	case hasName(name, certificatePrefix):
		return location{kindCertificate, name}, nil
	case hasName(name, varsPrefix) && !caddyVars[name[len(varsPrefix):]], !strings.Contains(name, "."):
		return location{kindOperator, name}, nil
	}
	for _, s := range invalidSources {
		if strings.HasPrefix(name, s.prefix) {
			return location{}, fmt.Errorf("%s %s", text, s.reason)
		}
	}
	return location{}, fmt.Errorf("%s is not a known source of the user: %s", text, validSources)
}

// hasName reports whether name starts with prefix and has more text after it.
func hasName(name, prefix string) bool {
	return len(name) > len(prefix) && strings.HasPrefix(name, prefix)
}
