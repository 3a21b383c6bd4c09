package humatoken

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
)

// FuzzClientType sends arbitrary queries and bodies. clientTypeOf returns one of the
// three client types, none, or an error. If net/url finds exactly one client type in the
// query, clientTypeOf returns the same.
func FuzzClientType(f *testing.F) {
	f.Add("client_type=ios", "application/json", `{"client_type":"IOS"}`)
	f.Add("clientType=web&client_type=web", "application/x-www-form-urlencoded", "clientType=web")
	f.Add("client%5Ftype=%69os&x=%zz", "text/plain", "")
	f.Add("a=b;client_type=ios", "application/problem+json", `{"clientType":null}`)
	f.Fuzz(func(t *testing.T, query, contentType, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", contentType)
		kind, err := clientTypeOf(r)
		switch {
		case err != nil && (kind != "" || !errors.Is(err, errBody) && !errors.Is(err, errClientTypes)):
			t.Fatalf("%q with %v", kind, err)
		case kind != "" && kind != login.IOS && kind != login.Android && kind != login.Web:
			t.Fatalf("client type %q", kind)
		}
		values, queryErr := url.ParseQuery(query)
		named := slices.Concat(values["client_type"], values["clientType"])
		if queryErr == nil && len(named) == 1 && body == "" && named[0] != "" {
			if want := parseClientType(named[0]); kind != want {
				t.Fatalf("query %q: client type %q, want %q", query, kind, want)
			}
		}
	})
}
