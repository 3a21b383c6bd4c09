package probe

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
)

// TestHealthy: nothing is found at an endpoint like those of the plugin, and all checks
// run.
func TestHealthy(t *testing.T) {
	for _, human := range []bool{false, true} {
		f := &fake{human: human}
		o := signedIn()
		o.origin, o.delete = webApp, true
		all := examine(t, serve(t, f)+"/token?x=canary", o)
		finds(t, all)
		for _, check := range checks {
			want := "ok"
			if check.name == "client_type" {
				want = map[bool]string{false: "ok ok", true: "skipped"}[human]
			}
			if got := resultOf(all, check.name); got != want {
				t.Errorf("Human API %t: %s is %q", human, check.name, got)
			}
		}
	}
}

// responds returns a function that responds with a body.
func responds(status int, contentType, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
		return true
	}
}

// TestUnauthenticated: each response that a request without credentials can get.
func TestUnauthenticated(t *testing.T) {
	const page = "<!DOCTYPE html><title>canary</title>"
	redirect := func(status int, to string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Location", strings.ReplaceAll(to, "HOST", r.Host))
			w.WriteHeader(status)
			return true
		}
	}
	header := func(name, value string, next func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set(name, value)
			return next(w, r)
		}
	}
	const problemJSON = "application/problem+json"
	for name, c := range map[string]struct {
		respond func(http.ResponseWriter, *http.Request) bool
		want    string // empty: nothing is found
	}{
		"401":               {responds(401, "application/json", `{"message":"canary"}`), ""},
		"401 with a token":  {responds(401, "application/json", `{"authToken":"canary"}`), "problem: the body contains a token"},
		"401 with a dialog": {header("WWW-Authenticate", `basic realm="canary"`, responds(401, "", "")), "warning: WWW-Authenticate: Basic"},
		"a token for POST": {func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == "POST" {
				return responds(200, "", `{"authToken":"canary"}`)(w, r)
			}
			return responds(401, "", "")(w, r)
		}, "problem: POST gets a token without credentials: anyone → all methods"},
		"a token of Huma":            {responds(200, "", `{"authToken":"canary"}`), "problem: anyone can get tokens → put the authentication in front"},
		"a token of Human API":       {responds(200, "", `{"id_token":"canary"}`), "problem: anyone can get tokens → put the authentication in front"},
		"Authelia's redirect":        {redirect(302, "https://auth.example.com/?rd=canary"), "problem: status 302: redirects to auth.example.com → auth_server"},
		"a redirect to a user":       {redirect(302, "https://canary%40clinic.example:canary@canary_host/canary"), "problem: redirects to another host → auth_server"},
		"a redirect to a login page": {redirect(307, "/login?token=canary"), "problem: status 307: redirects to another page of this site → 401"},
		"a redirect to https":        {redirect(308, "https://HOST/private/huma-token?canary"), "problem: status 308: redirects to https → use the https URL"},
		"a redirect to nowhere":      {redirect(302, "%zzcanary"), "problem: status 302 without a valid Location"},
		"index.html by try_files":    {responds(200, "text/html; charset=utf-8", page), "problem: status 200 with a page → try_files"},
		"a page as JSON":             {responds(200, "application/json", "\n "+page), "problem: status 200 with a page → try_files"},
		"Caddy's empty response":     {responds(200, "", ""), "problem: status 200 with an empty body → handle_path"},
		"204":                        {responds(204, "", ""), "problem: status 204 with an empty body"},
		"text":                       {responds(200, "text/plain", "canary"), "problem: the body is not JSON → check the URL"},
		"two JSON values":            {responds(200, "", "{} {}"), "problem: the body is not JSON"},
		"a list":                     {responds(200, "", `["canary"]`), "problem: not an object"},
		"another object":             {responds(200, "", `{"canary":1}`), "problem: no field of a token response"},
		"a wrapped token":            {responds(200, "", `{"data":{"authToken":"canary"}}`), "problem: inside of another object (data) → top level"},
		"a token in a canary":        {responds(200, "", `{"canary":{"authToken":"canary"}}`), "problem: inside of another object (another field)"},
		"too much":                   {responds(200, "", strings.Repeat(" ", maxBody)+"{}"), "problem: more than 1 MiB"},
		"403":                        {responds(403, "", "canary"), "problem: status 403 instead of 401 → 401"},
		"403 of the plugin":          {responds(403, problemJSON, `{"code":"domain_not_allowed"}`), "problem: code domain_not_allowed: Email addresses of this domain → errors.md#domain_not_allowed"},
		"404":                        {responds(404, "", "canary"), "problem: no token endpoint at this path → check the URL"},
		"400":                        {responds(400, "", "canary"), "problem: requires something else → query parameters"},
		"405":                        {responds(405, "", ""), "problem: GET is not allowed"},
		"418":                        {responds(418, "", "canary"), "problem: status 418: expected a token"},
		"429":                        {header("Retry-After", "7", responds(429, "", "canary")), "problem: rate limit is exceeded in 7 seconds → try again"},
		"500":                        {responds(500, "", "canary"), "problem: the endpoint failed → log"},
		"502":                        {responds(502, "", "canary"), "problem: no usable response from the server behind → start the application"},
		"503":                        {header("Retry-After", "30", responds(503, "", "canary")), "problem: temporarily unavailable in 30 seconds (Retry-After) → try again later"},
		"503 with a date":            {header("Retry-After", "canary", responds(503, "", "canary")), "problem: the endpoint is temporarily unavailable → try again later"},
		"504":                        {responds(504, "", "canary"), "problem: in time → log"},
		"503 of the plugin":          {header("Retry-After", "5", responds(503, problemJSON, `{"code":"upstream_unavailable","detail":"canary"}`)), "problem: status 503, code upstream_unavailable: The service cannot issue a token → try again in 5 seconds"},
		"502 of the plugin":          {responds(502, problemJSON, `{"code":"upstream_config"}`), "problem: code upstream_config: The service rejects the credentials of this site → caddy huma check"},
		"a code that is none":        {responds(502, problemJSON, `{"code":"canary"}`), "problem: status 502: "},
		"a code of another status":   {responds(500, problemJSON, `{"code":"upstream_config"}`), "problem: status 500: "},
	} {
		t.Run(name, func(t *testing.T) {
			all := examine(t, serve(t, &fake{respond: c.respond}), options{timeout: defaultTimeout})
			if c.want == "" {
				finds(t, all)
			} else {
				finds(t, all, "unauthenticated "+c.want)
			}
			if got := resultOf(all, "token"); got != "skipped" {
				t.Errorf("without credentials, token is %q", got)
			}
			// The same response to a request with credentials. A 401 is a problem then.
			all = examine(t, serve(t, &fake{respond: func(w http.ResponseWriter, r *http.Request) bool {
				return r.Header.Get("Cookie") != "" && c.respond(w, r)
			}}), signedIn())
			if got := resultOf(all, "token"); got != "problem" && !strings.Contains(c.want, "anyone") {
				t.Errorf("with credentials, token is %q", got)
			}
		})
	}
}

// TestClientTypeBeforeAuthentication: an endpoint that validates the query before it
// authenticates the request gets another request with a client type.
func TestClientTypeBeforeAuthentication(t *testing.T) {
	f := &fake{respond: func(w http.ResponseWriter, r *http.Request) bool {
		return r.URL.Query().Get("client_type") == "" && r.Method == "GET" && responds(422, "application/json", `{"detail":"canary"}`)(w, r)
	}}
	all := examine(t, serve(t, f), signedIn())
	finds(t, all)
	for _, e := range all {
		if e.Check == "token" && !strings.Contains(e.Detail, "with the client type ios; without a client type") {
			t.Errorf("%+v", e)
		}
	}
}

// TestTimeout: a server that does not respond is a problem, whichever request it does not
// respond to, and the command ends.
func TestTimeout(t *testing.T) {
	for _, cookie := range []string{"", "session=canary-cookie"} {
		blocks := make(chan struct{})
		f := &fake{respond: func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Cookie") == cookie {
				select {
				case <-r.Context().Done():
				case <-blocks:
				}
			}
			return false
		}}
		url := serve(t, f)
		o := signedIn()
		o.timeout = 300 * time.Millisecond
		all := examine(t, url, o)
		close(blocks)
		if report.Count(all, report.Problem) != 1 || resultOf(all, "cache") != "skipped" {
			t.Errorf("%q: %+v", cookie, all)
		}
	}
}

// TestUsage: mistakes in the arguments are explained, without the values.
func TestUsage(t *testing.T) {
	t.Setenv("HUMA_TEST_TOKEN", "canary-token")
	const url = "https://canary.example"
	for want, args := range map[string][]string{
		"must be a URL such as https://app.example.com": {"canary.example/private"},
		"must be a URL": {"ftp://canary"},
		"must not contain a user name or a password":             {"https://canary:canary@app.example"},
		"must be a URL such":                                     {"https://canary\n"},
		"the client type in the URL must be ios":                 {url + "?client_type=canary"},
		"--client-type must be ios, android, web":                {url, "--client-type", "canary"},
		"--service must be":                                      {url, "--service", "canary"},
		"--timeout must be positive":                             {url, "--timeout", "-1s"},
		"--cookie: must be":                                      {url, "--cookie", "canary"},
		"--cookie: must be '<name>=<value>'":                     {url, "--cookie", "Cookie: a=canary"},
		"--cookie: the value has a character":                    {url, "--cookie", "a=canary\r\nx: y"},
		"--user: must be":                                        {url, "--user", "canary"},
		"--header: must be":                                      {url, "--header", "canary"},
		"--header: the value has a character":                    {url, "--header", "X-User: canary\ncanary"},
		"--header: Origin is not a credential":                   {url, "--header", "origin: canary"},
		"--bearer: environment variable HUMA_NOT_SET is not set": {url, "--bearer", "{env.HUMA_NOT_SET}"},
		"--bearer: unsupported placeholder":                      {url, "--bearer", "{canary}"},
		"--user: the header Authorization is set twice":          {url, "--bearer", "{env.HUMA_TEST_TOKEN}", "--user", "canary:canary"},
		"--header: the header Authorization is set twice":        {url, "--bearer", "canary", "--header", "authorization: canary"},
		"--ca: open /nonexistent":                                {url, "--ca", "/nonexistent"},
		"--ca: probe_test.go has no certificate":                 {url, "--ca", "probe_test.go"},
		"--origin must be a scheme and a host":                   {url, "--origin", "canary.example"},
		"--origin must be a scheme":                              {url, "--origin", "https://canary.example/path"},
		"--origin is the origin of the URL itself":               {url, "--origin", url},
		"the URL of a token endpoint is required":                {},
		"unknown flag":                                           {url, "--insecure"},
	} {
		cmd := Command()
		var out strings.Builder
		cmd.SetArgs(args)
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err := cmd.ExecuteContext(t.Context())
		if err == nil || !strings.Contains(out.String(), want) {
			t.Errorf("%q: %v: %s, want %q", args, err, out.String(), want)
		}
		if strings.Contains(fmt.Sprint(err, out.String()), canary) {
			t.Errorf("%q: a value is printed: %v %s", args, err, out.String())
		}
	}
}
