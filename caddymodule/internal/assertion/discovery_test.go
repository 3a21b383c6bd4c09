package assertion

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
)

func TestCheckURL(t *testing.T) {
	for text, want := range map[string]error{
		"https://auth.example.com/.well-known/jwks.json": nil,
		"https://auth.example.com:8443/jwks?tenant=a":    nil,
		"https://10.0.0.1/jwks":                          nil,
		"HTTPS://auth.example.com":                       nil,
		"http://localhost:8080/jwks":                     nil,
		"http://127.0.0.1/jwks":                          nil,
		"http://127.9.9.9:1/jwks":                        nil,
		"http://[::1]:8080/jwks":                         nil,
		"http://keycloak:8080/jwks":                      nil,
		"http://my_auth-1/jwks":                          nil,
		"http://auth.example.com/jwks":                   errInsecure,
		"http://auth./jwks":                              errInsecure,
		"http://auth\u3002example/jwks":                  errInsecure, // net/http converts it to a dot
		"http://[fe80::1]/jwks":                          errInsecure,
		"http://[2001:db8::1]/jwks":                      errInsecure,
		"http://0x7f000001/jwks":                         errInsecure,
		"http://a%2eb/jwks":                              errURL,
		"http://10.0.0.1/jwks":                           errInsecure,
		"http://localhost.example.com/jwks":              errInsecure,
		"http://a.localhost/jwks":                        errInsecure,
		"http://127.0.0.1.example.com/jwks":              errInsecure,
		"http://0.0.0.0/jwks":                            errInsecure,
		"http://2130706433/jwks":                         errInsecure,
		"https://ada:canary@auth.example.com/jwks":       errUserInfo,
		"http://canary@localhost/jwks":                   errUserInfo,
		"https://auth.example.com/jwks#canary":           errFragment,
		"https://auth.example.com/jwks#":                 errFragment,
		"":                                               errURL,
		"auth.example.com/jwks":                          errURL,
		"https:///canary":                                errURL,
		"https://:443/canary":                            errURL,
		"https://a b/canary":                             errURL,
		"https://a/%zz?canary":                           errURL,
		"/etc/canary":                                    errURL,
	} {
		if err := CheckURL(text); err != want {
			t.Errorf("%s: got %v, want %v", text, err, want)
		}
		if k, err := NewKeys(Source{URL: text}, Log{}); err != want || (k != nil) != (want == nil) {
			t.Errorf("NewKeys(%s): got %v, want %v", text, err, want)
		}
	}
	for _, text := range []string{"ftp://x/canary", "file://localhost/canary", "ldap://127.0.0.1/canary"} {
		err := CheckURL(text)
		if err == nil || !strings.Contains(err.Error(), "must use https") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestCheckIssuer(t *testing.T) {
	for issuer, want := range map[string]error{
		"https://login.example.com":          nil,
		"https://login.example.com/":         nil,
		"https://login.example.com/realms/x": nil,
		"http://localhost:8080/realms/x":     nil,
		"http://keycloak:8080/realms/x":      nil,
		"clinic":                             errIssuer,
		"login.example.com":                  errIssuer,
		"urn:clinic":                         errIssuer,
		"ftp://login.example.com":            errIssuer,
		"https://login.example.com?a=b":      errIssuerQuery,
		"https://login.example.com/#a":       errFragment,
		"https://canary@login.example.com":   errUserInfo,
		"https://":                           errURL,
		"http://login.example.com":           errInsecure,
	} {
		if err := checkIssuer(issuer); err != want {
			t.Errorf("%s: got %v, want %v", issuer, err, want)
		}
		if k, err := NewKeys(Source{Issuer: issuer}, Log{}); err != want || (k != nil) != (want == nil) {
			t.Errorf("NewKeys(%s): got %v, want %v", issuer, err, want)
		}
	}
}

// provider serves a discovery document and keys. The document can be changed.
type provider struct {
	*keyServer
	issuer   string
	document http.HandlerFunc
	paths    chan string
}

// newProvider returns an OpenID provider whose issuer has a path that ends with end.
func newProvider(t *testing.T, end string) *provider {
	p := &provider{keyServer: newKeyServer(t), paths: make(chan string, 100)}
	p.issuer = p.URL + end
	p.document = text(`{"issuer":"` + p.issuer + `","jwks_uri":"` + p.URL + `/keys","x":[1]}`)
	p.respond(func(w http.ResponseWriter, r *http.Request) {
		p.paths <- r.URL.Path
		if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
			p.mu.Lock()
			document := p.document
			p.mu.Unlock()
			document(w, r)
			return
		}
		_, _ = io.WriteString(w, setOf(jwk("k1", p256())))
	})
	return p
}

// publishes changes the discovery document.
func (p *provider) publishes(document http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.document = document
}

// discovering returns a Verifier that finds the keys of the provider by discovery.
func (p *provider) discovering(t *testing.T, r *reports) *Verifier {
	return verifierOf(t, keysOf(t, Source{Issuer: p.issuer}, r), func(c *Config) { c.Issuer = p.issuer })
}

func TestDiscovery(t *testing.T) {
	for end, path := range map[string]string{"": "", "/": "", "/realms/clinic": "/realms/clinic", "/t/": "/t"} {
		t.Run(end, func(t *testing.T) {
			p := newProvider(t, end)
			v := p.discovering(t, nil)
			for range 3 {
				accept(t, v, es256(object{"iss": p.issuer}))
			}
			reject(t, v, es256(object{"iss": p.issuer + "/"}), identity.ErrAssertionIssuer)
			p.wantHits(t, 2)
			if first, second := <-p.paths, <-p.paths; first != path+"/.well-known/openid-configuration" || second != "/keys" {
				t.Errorf("requested %s and %s", first, second)
			}
			v.keys.set.older(refreshAfter + time.Second)
			v.keys.Prefetch()
			v.keys.set.wait()
			p.wantHits(t, 4)
		})
	}
}

// Wrong documents are reported with the reason. The cached keys remain.
func TestDiscoveryErrors(t *testing.T) {
	elsewhere := newKeyServer(t, jwk("k1", p256()))
	for _, test := range []struct {
		name     string
		document func(p *provider) http.HandlerFunc
		want     string
	}{
		{"another issuer", doc(`{"issuer":"https://canary.example","jwks_uri":"URL/keys"}`), errOtherIssuer.Error()},
		{"issuer in another case", doc(`{"issuer":"HTTP:HOST","jwks_uri":"URL/keys"}`), errOtherIssuer.Error()},
		{"a slash more", doc(`{"issuer":"URL/","jwks_uri":"URL/keys"}`), errMissingSlash.Error()},
		{"no issuer", doc(`{"jwks_uri":"URL/keys"}`), errNotDiscovery.Error()},
		{"issuer a list", doc(`{"issuer":["URL"],"jwks_uri":"URL/keys"}`), errNotDiscovery.Error()},
		{"issuer twice", doc(`{"issuer":"URL","issuer":"URL","jwks_uri":"URL/keys"}`), errNotDiscovery.Error()},
		{"Issuer", doc(`{"Issuer":"URL","jwks_uri":"URL/keys"}`), errNotDiscovery.Error()},
		{"a list", doc(`[{"issuer":"URL","jwks_uri":"URL/keys"}]`), errNotDiscovery.Error()},
		{"HTML", doc(`<html>canary`), errNotDiscovery.Error()},
		{"no jwks_uri", doc(`{"issuer":"URL"}`), errNoJWKSURI.Error()},
		{"jwks_uri null", doc(`{"issuer":"URL","jwks_uri":null}`), errNoJWKSURI.Error()},
		{"jwks_uri http", doc(`{"issuer":"URL","jwks_uri":"http://canary.example/keys"}`), "jwks_uri in the document " + errInsecure.Error()},
		{"jwks_uri with a password", doc(`{"issuer":"URL","jwks_uri":"https://canary:x@a.example/keys"}`), "jwks_uri in the document " + errUserInfo.Error()},
		{"jwks_uri file", doc(`{"issuer":"URL","jwks_uri":"file:///canary"}`), "jwks_uri in the document " + errURL.Error()},
		{"404", func(*provider) http.HandlerFunc { return http.NotFound }, "unexpected status 404"},
		{"a redirect", func(*provider) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }
		}, "unexpected status 302; redirects are not followed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var reported reports
			p := newProvider(t, "")
			good := p.document
			v := p.discovering(t, &reported)
			p.publishes(test.document(p))
			token := es256(object{"iss": p.issuer})
			reject(t, v, token, identity.ErrKeysUnavailable)
			p.wantHits(t, 1)
			if got := reported.only(t); got != "fetch discovery document: "+test.want || strings.Contains(got, "canary") {
				t.Errorf("reported %q, want %q", got, test.want)
			}
			p.publishes(good)
			v.keys.set.older(MinInterval)
			accept(t, v, token)
			p.publishes(test.document(p))
			v.keys.set.older(maxIdle + time.Second)
			accept(t, v, token)
			p.wantHits(t, 1+2+1)
		})
	}
	elsewhere.wantHits(t, 0)

	p := newProvider(t, "/")
	p.publishes(doc(`{"issuer":"URL","jwks_uri":"URL/keys"}`)(p))
	var reported reports
	reject(t, p.discovering(t, &reported), es256(object{"iss": p.issuer}), identity.ErrKeysUnavailable)
	if got := reported.only(t); got != "fetch discovery document: "+errExtraSlash.Error() {
		t.Errorf("reported %q", got)
	}
}

// doc returns a document in which URL stands for that of the provider.
func doc(document string) func(*provider) http.HandlerFunc {
	return func(p *provider) http.HandlerFunc { return text(strings.ReplaceAll(document, "URL", p.URL)) }
}

// A server that does not send its discovery document does not delay a fetch beyond its
// time limit.
func TestDiscoveryTimeout(t *testing.T) {
	p := newProvider(t, "")
	p.publishes(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.discovering(t, nil).keys.fetchSet(ctx); !errors.Is(err, subrequest.ErrTimeout) {
		t.Errorf("got %v", err)
	}
}
