package probe

import (
	"net/http"
	"testing"
	"time"
)

// TestFindings: what is wrong with an endpoint that issues tokens.
func TestFindings(t *testing.T) {
	set := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) { m[name] = value }
	}
	without := func(names ...string) func(map[string]any) {
		return func(m map[string]any) {
			for _, name := range names {
				delete(m, name)
			}
		}
	}
	header := func(name, value string) func(int, http.Header) {
		return func(status int, h http.Header) {
			switch {
			case status == 200 && value == "":
				h.Del(name)
			case status == 200:
				h.Set(name, value)
			}
		}
	}
	responds := func(method string, status int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != method || r.Header.Get("Cookie") == "" {
				return false
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return true
		}
	}
	const token = `{"authToken":"canary"}`
	for name, c := range map[string]struct {
		endpoint *fake
		want     []string
	}{
		// Fields.
		"no uid":                {&fake{token: without("uid")}, []string{"fields problem: uid is missing: the iOS SDK cannot → respond with uid"}},
		"the quick start":       {&fake{token: without("expiresIn")}, nil},
		"Huma's own response":   {&fake{token: without("refreshTokenExpiresIn")}, []string{"fields warning: refreshTokenExpiresIn is missing"}},
		"no refresh lifetime":   {&fake{token: without("refreshTokenExpiresIn", "expiresIn")}, []string{"fields problem: refreshTokenExpiresIn is missing"}},
		"null":                  {&fake{token: set("refreshToken", nil)}, []string{"fields problem: refreshToken must be a text, but is null"}},
		"an empty token":        {&fake{token: set("refreshToken", "")}, []string{"fields problem: refreshToken is empty"}},
		"a lifetime as text":    {&fake{token: set("authTokenExpiresIn", "900 canary")}, []string{"fields problem: authTokenExpiresIn must be a whole number, but is a text"}},
		"a fraction":            {&fake{token: set("expiresIn", 89000.5)}, []string{"fields problem: expiresIn must be a whole number, but is a number with a fraction"}},
		"an object":             {&fake{token: set("uid", map[string]any{"canary": 1})}, []string{"fields problem: uid must be a text, but is an object"}},
		"a list":                {&fake{token: set("uid", []string{"canary"})}, []string{"fields problem: uid must be a text, but is a list"}},
		"a boolean":             {&fake{token: set("uid", true)}, []string{"fields problem: uid must be a text, but is a boolean"}},
		"a number":              {&fake{token: set("uid", 4711)}, []string{"fields problem: uid must be a text, but is a number"}},
		"further fields":        {&fake{token: set("canary", "canary")}, nil},
		"a secret":              {&fake{token: set("client_secret", "canary")}, []string{"fields problem: client_secret, which must not leave the server"}},
		"Human API's id token":  {&fake{human: true, token: func(m map[string]any) { m["id_token"], m["type"] = m["token"], "id"; delete(m, "session_token") }}, nil},
		"Human API's response":  {&fake{human: true, token: without("token", "type", "human_id")}, nil},
		"two tokens":            {&fake{human: true, token: set("token", "canary")}, []string{"fields problem: token differs"}},
		"no expires_in":         {&fake{human: true, token: without("expires_in")}, []string{"fields problem: expires_in is missing"}},
		"id_refresh_token":      {&fake{human: true, token: set("id_refresh_token", "canary")}, []string{"fields problem: id_refresh_token, which must not leave → keep it on the server"}},
		"a lifetime of 0":       {&fake{token: set("authTokenExpiresIn", 0)}, []string{"lifetimes warning: authTokenExpiresIn is 0"}},
		"a negative lifetime":   {&fake{token: set("authTokenExpiresIn", -1)}, []string{"lifetimes problem: authTokenExpiresIn is negative"}},
		"a short lifetime":      {&fake{token: set("authTokenExpiresIn", 3)}, []string{"lifetimes warning: the token expires before"}},
		"milliseconds":          {&fake{token: set("authTokenExpiresIn", 900_000_0)}, []string{"lifetimes warning: authTokenExpiresIn is 104 days", "lifetimes warning: may be swapped"}},
		"a time":                {&fake{human: true, token: set("expires_in", 1795956569)}, []string{"lifetimes problem: expires_in looks like a time"}},
		"two refresh lifetimes": {&fake{token: set("expiresIn", 900)}, []string{"lifetimes warning: expiresIn differs"}},

		// Headers.
		"no Content-Type":     {&fake{header: header("Content-Type", "canary")}, []string{"content_type warning: not application/json"}},
		"a broken media type": {&fake{header: header("Content-Type", "/canary;")}, []string{"content_type warning: no valid Content-Type"}},
		"text/html":           {&fake{header: header("Content-Type", "text/html")}, []string{"content_type problem: text/html"}},
		"a charset":           {&fake{header: header("Content-Type", "application/json; charset=utf-8")}, nil},
		"may be cached":       {&fake{header: header("Cache-Control", "public, max-age=60, canary")}, []string{"cache_control problem: no-store → private, no-store"}},
		"no Cache-Control":    {&fake{header: header("Cache-Control", "")}, []string{"cache_control problem: no-store"}},
		"private":             {&fake{header: header("Cache-Control", "private, max-age=60")}, []string{"cache_control warning: not no-store"}},
		"no Vary":             {&fake{header: header("Vary", "")}, []string{"vary warning: Cookie, Authorization, X-User → send Vary: Cookie, Authorization, X-User"}},
		"Vary without one":    {&fake{header: header("Vary", "canary, COOKIE, x-user")}, []string{"vary warning: does not list Authorization:"}},
		"Vary: *":             {&fake{header: header("Vary", "*")}, nil},

		// Methods.
		"HEAD as GET":       {&fake{respond: responds("HEAD", 200, "")}, []string{"head problem: HEAD signs in the user → 405"}},
		"HEAD redirected":   {&fake{respond: responds("HEAD", 302, "")}, []string{"head warning: redirected"}},
		"HEAD is 401":       {&fake{respond: responds("HEAD", 401, "")}, nil},
		"PUT as GET":        {&fake{respond: responds("PUT", 200, token)}, []string{"put problem: PUT gets a token"}},
		"PUT is a page":     {&fake{respond: responds("PUT", 200, "canary")}, []string{"put warning: status 200 to PUT"}},
		"PUT without Allow": {&fake{respond: responds("PUT", 405, "")}, []string{"put warning: without the header Allow"}},
		"PUT is 501":        {&fake{respond: responds("PUT", 501, "canary")}, []string{"put warning: status 501 to PUT → 405"}},
		"PUT is 404":        {&fake{respond: responds("PUT", 404, "canary")}, nil},
		"a method of its own": {&fake{header: func(status int, h http.Header) {
			if status != 200 {
				h.Set("Allow", "GET, canary")
			}
		}}, nil},
		"OPTIONS as GET":         {&fake{respond: responds("OPTIONS", 200, token)}, []string{"options problem: OPTIONS gets a token → 204"}},
		"OPTIONS without Allow":  {&fake{respond: responds("OPTIONS", 200, "canary")}, nil},
		"OPTIONS is not allowed": {&fake{respond: responds("OPTIONS", 401, "canary")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := signedIn()
			o.delete = true
			finds(t, examine(t, serve(t, c.endpoint), o), c.want...)
		})
	}
}

// TestBehavior: what is wrong with the behavior of an endpoint that issues tokens.
func TestBehavior(t *testing.T) {
	// as serves a request as if it had other headers or another query.
	as := func(when func(*http.Request) bool, change func(*http.Request)) func(*fake) {
		return func(f *fake) {
			f.respond = func(w http.ResponseWriter, r *http.Request) bool {
				if when(r) {
					change(r)
				}
				f.serve(w, r)
				return true
			}
		}
	}
	always := func(*http.Request) bool { return true }
	drop := func(names ...string) func(*http.Request) {
		return func(r *http.Request) {
			for _, name := range names {
				r.Header.Del(name)
			}
		}
	}
	onlyCookie := options{cookies: []string{"session=canary"}, timeout: defaultTimeout}
	onlyBearer := options{bearer: "canary", timeout: defaultTimeout}
	statusFor := func(clientType string, status int, body string) func(*fake) {
		return func(f *fake) {
			f.respond = func(w http.ResponseWriter, r *http.Request) bool {
				return r.Method == "GET" && r.URL.Query().Get("client_type") == clientType && r.Header.Get("Cookie") != "" && responds(status, "application/problem+json", body)(w, r)
			}
		}
	}
	uncached := func(f *fake) { f.token = func(map[string]any) { f.issued++ } }
	noDelete := func(status int, more func(*fake)) func(*fake) {
		return func(f *fake) {
			f.respond = func(w http.ResponseWriter, r *http.Request) bool {
				return r.Method == "DELETE" && responds(status, "", "")(w, r)
			}
			more(f)
		}
	}
	for name, c := range map[string]struct {
		options options
		change  func(*fake)
		want    []string
	}{
		"cross-site with a cookie": {onlyCookie, as(always, drop("Sec-Fetch-Site", "Origin")), []string{
			"fetch_metadata problem: Sec-Fetch-Site: cross-site gets a token: any page → 403", "origin problem: Origin of another site gets a token → SameSite"}},
		"cross-site with a bearer token": {onlyBearer, as(always, drop("Sec-Fetch-Site", "Origin")), []string{
			"fetch_metadata warning: if a proxy or the browser adds → 403", "origin warning: Origin of another site"}},
		"basic authentication": {options{user: "canary:canary", timeout: defaultTimeout}, as(always, drop("Sec-Fetch-Site")), []string{"fetch_metadata problem: any page"}},
		"every origin": {onlyBearer, func(f *fake) {
			as(always, drop("Origin"))(f)
			f.header = func(_ int, h http.Header) { h.Set("Access-Control-Allow-Origin", "*") }
		}, []string{"origin problem: any page can read the token → known origins"}},

		"any client type": {onlyCookie, as(func(r *http.Request) bool { return r.Method == "GET" }, func(r *http.Request) { r.URL.RawQuery = "" }),
			[]string{"client_type warning: an unknown client type gets a token"}},
		"unknown client type is 500":   {onlyCookie, statusFor("caddy-huma-probe", 500, ""), []string{"client_type warning: status 500: an app cannot tell"}},
		"no android":                   {onlyCookie, statusFor("android", 400, `{"code":"client_type_unknown"}`), nil},
		"android's id is wrong":        {onlyCookie, statusFor("android", 502, `{"code":"upstream_config"}`), []string{"client_type problem: android: status 502, code upstream_config → errors.md#upstream_config"}},
		"a client type is required":    {onlyCookie, statusFor("", 400, `{"code":"client_type_required"}`), nil},
		"another cannot be":            {options{cookies: onlyCookie.cookies, clientType: "IOS", timeout: defaultTimeout}, statusFor("android", 502, ""), nil},
		"the one asked for":            {options{cookies: onlyCookie.cookies, clientType: "android", timeout: defaultTimeout}, statusFor("android", 502, ""), []string{"token problem: status 502"}},
		"another service":              {options{cookies: onlyCookie.cookies, service: "human_api", timeout: defaultTimeout}, func(*fake) {}, []string{"token problem: a token of Huma, not of Human API → --service"}},
		"nothing is cached":            {onlyCookie, uncached, []string{"cache warning: another token"}},
		"no_cache ignore":              {onlyCookie, as(always, drop("Cache-Control")), []string{"no_cache warning: gets the same token → no_cache honor"}},
		"DELETE does nothing":          {deleting(onlyCookie), noDelete(204, func(*fake) {}), []string{"delete problem: the next request gets the same token"}},
		"no DELETE":                    {deleting(onlyCookie), noDelete(405, func(*fake) {}), []string{"delete warning: status 405 to DELETE"}},
		"no DELETE, nothing is cached": {deleting(onlyCookie), noDelete(501, uncached), []string{"cache warning: another token"}},
		"DELETE fails":                 {deleting(onlyCookie), noDelete(500, func(*fake) {}), []string{"delete problem: status 500"}},
		"status 201":                   {onlyCookie, func(f *fake) { f.status = 201 }, []string{"token warning: status is 201"}},
		"DELETE is not asked for":      {onlyCookie, noDelete(500, func(*fake) {}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := new(fake)
			c.change(f)
			finds(t, examine(t, serve(t, f), c.options), c.want...)
		})
	}
}

// deleting returns o with --delete.
func deleting(o options) options {
	o.delete = true
	return o
}

// TestStaticLifetimes: a cached token whose lifetimes do not go down.
func TestStaticLifetimes(t *testing.T) {
	f := &fake{token: func(m map[string]any) { m["authTokenExpiresIn"] = 900 }}
	o := signedIn()
	p, err := newProbe(serve(t, f), &o, defaultPause)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	all := p.check(t.Context())
	finds(t, all, "cache problem: the same token, but authTokenExpiresIn is not lower → seconds that are left")
	if time.Since(start) < time.Second {
		t.Error("the lifetimes could not be lower yet")
	}
}
