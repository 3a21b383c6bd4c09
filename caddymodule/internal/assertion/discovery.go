package assertion

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
)

// Errors of a discovery document. They contain no text of it.
var (
	errNotDiscovery = errors.New("the response is not an OpenID Connect discovery document (a JSON object with issuer)")
	errOtherIssuer  = errors.New("the issuer in the document is not the one in the option issuer: they must be equal byte for byte")
	errExtraSlash   = errors.New("the issuer in the document differs from the option issuer in a slash at its end: remove the slash from the option")
	errMissingSlash = errors.New("the issuer in the document differs from the option issuer in a slash at its end: add a slash to the option")
	errNoJWKSURI    = errors.New("the document has no jwks_uri: write the option jwks")
)

// discoveryURL returns the URL of the discovery document of an issuer (OpenID Connect
// Discovery 1.0, section 4).
func discoveryURL(issuer string) string {
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
}

// discover returns the URL of the public keys of the issuer. Redirects are not followed.
func (k *Keys) discover(ctx context.Context) (jwksURI string, err error) {
	b, err := k.download(ctx, discoveryURL(k.source.Issuer))
	if err != nil {
		return "", err
	}
	return parseDiscovery(b, k.source.Issuer)
}

// parseDiscovery returns the jwks_uri of a discovery document. The issuer in it must be
// equal to issuer (OpenID Connect Discovery 1.0, section 4.3).
func parseDiscovery(b []byte, issuer string) (jwksURI string, err error) {
	doc, err := claims.Parse(b)
	if err != nil {
		return "", errNotDiscovery
	}
	named, ok := doc.Map()["issuer"].(string)
	switch {
	case !ok:
		return "", errNotDiscovery
	case named == issuer:
	case named+"/" == issuer:
		return "", errExtraSlash
	case named == issuer+"/":
		return "", errMissingSlash
	default:
		return "", errOtherIssuer
	}
	jwksURI, _ = doc.Map()["jwks_uri"].(string)
	if jwksURI == "" {
		return "", errNoJWKSURI
	}
	if err := CheckURL(jwksURI); err != nil {
		return "", fmt.Errorf("jwks_uri in the document %w", err)
	}
	return jwksURI, nil
}
