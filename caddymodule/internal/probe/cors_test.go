package probe

import (
	"net/http"
	"strings"
	"testing"
)

// TestCORS: what a web app on another site would suffer from.
func TestCORS(t *testing.T) {
	// header changes the header of responses with a status.
	header := func(of int, name, value string) func(*fake) {
		return func(f *fake) {
			f.header = func(status int, h http.Header) {
				if status == of && h.Get("Access-Control-Allow-Origin") != "" {
					h.Set(name, value)
				}
			}
		}
	}
	const preflight, token, failure = 204, 200, 401
	bearer, cookie := options{bearer: "canary", timeout: defaultTimeout}, options{cookies: []string{"session=canary"}, timeout: defaultTimeout}
	for name, c := range map[string]struct {
		options options
		origin  string
		change  func(*fake)
		want    []string
	}{
		"works": {bearer, webApp, func(*fake) {}, nil},
		"another origin": {bearer, "https://app.example", func(*fake) {}, []string{
			"cors_preflight problem: no Access-Control-Allow-Origin → allow_origins", "cors_token problem: status 403, code cross_site instead of a token → allow_origins", "cors_401 problem: status 403"}},
		"a cookie":                   {cookie, webApp, func(*fake) {}, nil},
		"a cookie is not allowed":    {cookie, webApp, header(token, "Access-Control-Allow-Credentials", "canary"), []string{"cors_token problem: does not allow cookies → Access-Control-Allow-Credentials"}},
		"a cookie with *":            {cookie, webApp, header(token, "Access-Control-Allow-Origin", "*"), []string{"cors_token problem: does not allow cookies → instead of *"}},
		"a bearer token with *":      {bearer, webApp, header(token, "Access-Control-Allow-Origin", "*"), nil},
		"no Authorization":           {bearer, webApp, header(preflight, "Access-Control-Allow-Headers", "*, canary"), []string{"cors_preflight problem: lacks Authorization"}},
		"no Cache-Control":           {bearer, webApp, header(preflight, "Access-Control-Allow-Headers", "authorization"), []string{"cors_preflight warning: lacks Cache-Control"}},
		"no Vary":                    {bearer, webApp, header(token, "Vary", "Authorization"), []string{"cors_token warning: does not list Origin → Vary: Origin"}},
		"the token is not readable":  {bearer, webApp, header(token, "Access-Control-Allow-Origin", "https://canary.example"), []string{"cors_token problem: does not let the web app read"}},
		"errors are not readable":    {bearer, webApp, header(failure, "Access-Control-Allow-Origin", "canary"), []string{"cors_401 problem: status 401, code identity_missing without credentials has no → with errors too"}},
		"the preflight needs a user": {bearer, webApp, unauthorizedPreflight, []string{"cors_preflight problem: status 401 to the preflight"}},
		"every origin":               {bearer, webApp, reflectOrigin, []string{"cors_other_origin problem: any page → known origins"}},
		"no credentials":             {options{timeout: defaultTimeout}, webApp, func(*fake) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := new(fake)
			c.change(f)
			c.options.origin = c.origin
			all := examine(t, serve(t, f), c.options)
			finds(t, all, c.want...)
			if got, want := resultOf(all, "cors_token") == "skipped", len(c.options.cookies)+len(c.options.bearer) == 0; got != want {
				t.Errorf("cors_token is skipped: %t", got)
			}
		})
	}
}

// unauthorizedPreflight makes authentication in front of the endpoint refuse preflights.
func unauthorizedPreflight(f *fake) {
	f.respond = func(w http.ResponseWriter, r *http.Request) bool {
		return r.Header.Get("Access-Control-Request-Method") != "" && responds(401, "", "canary")(w, r)
	}
}

// reflectOrigin makes preflights allow every origin.
func reflectOrigin(f *fake) {
	f.respond = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == "OPTIONS" && r.Header.Get("Origin") != webApp {
			w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		}
		return false
	}
}

// TestCanary: text in any part of a response is not printed. The helpers of all tests
// check the same.
func TestCanary(t *testing.T) {
	names := []string{
		"Allow", "Access-Control-Allow-Headers", "Access-Control-Allow-Origin", "Cache-Control", "Canary", "Content-Type", "Location",
		"Retry-After", "Server", "Set-Cookie", "Vary", "Www-Authenticate",
	}
	bodies := []string{
		"", "canary", `{"canary":"canary"}`, `{"authToken":"canary","canary":{"canary":1}}`, `{"id_token":"canary","type":"canary"}`,
		`{"authToken":{"canary":1},"expiresIn":"canary","uid":["canary"]}`, `{"code":"canary","detail":"canary@clinic.example"}`,
		"<html>canary</html>", `{"canary":{"authToken":"canary"}}`, `["canary"]`, `{"authToken":"canary"`,
	}
	for _, status := range []int{200, 201, 204, 301, 302, 400, 401, 403, 404, 405, 409, 422, 429, 451, 500, 501, 502, 503, 504, 599} {
		for _, body := range bodies {
			for _, contentType := range []string{"canary/canary", "application/problem+json", "text/html"} {
				f := &fake{respond: func(w http.ResponseWriter, r *http.Request) bool {
					for _, name := range names {
						w.Header().Set(name, "canary, canary@clinic.example")
					}
					w.Header().Set("Location", "https://canary@app.example/canary?canary#canary")
					w.Header().Set("Content-Type", contentType)
					return responds(status, "", body)(w, r)
				}}
				o := signedIn()
				o.origin, o.delete = webApp, true
				if all := examine(t, serve(t, f)+"/path?q=canary", o); strings.Contains(resultOf(all, "unauthenticated"), "skipped") {
					t.Errorf("status %d is not checked", status)
				}
			}
		}
	}
}
