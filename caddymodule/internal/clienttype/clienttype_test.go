package clienttype

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
)

// FuzzFromRequest sends arbitrary queries and bodies. FromRequest returns one of the
// three client types, none, or an error. If net/url finds exactly one client type in the
// query, FromRequest returns the same.
func FuzzFromRequest(f *testing.F) {
	f.Add("client_type=ios", "application/json", `{"client_type":"IOS"}`)
	f.Add("clientType=web&client_type=web", "application/x-www-form-urlencoded", "clientType=web")
	f.Add("client%5Ftype=%69os&x=%zz", "text/plain", "")
	f.Add("a=b;client_type=ios", "application/problem+json", `{"clientType":null}`)
	f.Fuzz(func(t *testing.T, query, contentType, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", contentType)
		clientType, err := FromRequest(r)
		switch {
		case err != nil && (clientType != "" || err.Code != problem.BodyInvalid && err.Code != problem.ClientTypeUnknown):
			t.Fatalf("%q with %+v", clientType, err)
		case clientType != "" && clientType != login.IOS && clientType != login.Android && clientType != login.Web:
			t.Fatalf("client type %q", clientType)
		}
		values, queryErr := url.ParseQuery(query)
		inQuery := slices.Concat(values["client_type"], values["clientType"])
		if queryErr == nil && len(inQuery) == 1 && body == "" && inQuery[0] != "" {
			if want := Parse(inQuery[0]); clientType != want {
				t.Fatalf("query %q: client type %q, want %q", query, clientType, want)
			}
		}
	})
}
