package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// adminSite is a site with a Caddy whose admin endpoint is enabled.
type adminSite struct {
	*site
	admin string // the URL of the admin endpoint
}

// serveAdmin is like serve and enables the admin endpoint.
func serveAdmin(t testing.TB, text string) *adminSite {
	t.Helper()
	d := &adminSite{admin: "http://" + adminAddress(t)}
	d.site = serve(t, text)
	d.move()
	must(t, d.load(text))
	return d
}

// load replaces the config. The admin endpoint keeps its address.
func (d *adminSite) load(text string) error {
	defer func() {
		d.loaded = time.Now()
		d.client.CloseIdleConnections()
	}()
	return loadConfig(withAdmin(d.site, text, strings.TrimPrefix(d.admin, "http://")))
}

// call sends a request to the admin endpoint.
func (d *adminSite) call(method, path, body string, edit ...func(*http.Request)) *response {
	d.t.Helper()
	var a *response
	eventually(d.t, 5*time.Second, "the admin endpoint responds", func() (ok bool) {
		var err error
		a, err = d.tryURL(d.t.Context(), method, d.admin+path, append([]func(*http.Request){func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		}}, edit...)...)
		return err == nil
	})
	return a
}

var asJSON = header("Content-Type", "application/json")

// evict evicts a user from all accounts.
func (d *adminSite) evict(p service, user string) *response {
	d.t.Helper()
	return d.call("POST", "/huma/cache/evict", string(mustJSON(d.t.(*testing.T), map[string]string{p.idMember(): user})), asJSON)
}

// idMember returns the JSON member that identifies the user of an evict request.
func (p service) idMember() string {
	if p.name == humaService.name {
		return "email"
	}
	return "user_id"
}

// adminStatus is the response to GET /huma/status.
type adminStatus struct {
	Status   string
	Reasons  []string
	Accounts []struct {
		Provider     string
		ConfigFile   string `json:"config_file"`
		API          string
		ProjectID    string `json:"project_id"`
		DeploymentID string `json:"deployment_id"`
		ClientID     string `json:"client_id"`
		Cache        struct{ Users int }
		Handlers     []struct {
			Breaker       string
			CallsInFlight int    `json:"calls_in_flight"`
			Handler       string `json:"handler"`
			HadToken      bool   `json:"had_token"`
			Store         string `json:"shared_store"`
			Credentials   struct {
				Loaded     time.Time
				AgeSeconds *int64 `json:"age_seconds"`
				Unreadable bool
			}
		}
	}
}

func (d *adminSite) status() (s adminStatus) {
	d.t.Helper()
	a := d.call("GET", "/huma/status", "")
	decoder := json.NewDecoder(bytes.NewReader(a.Body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil || a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "application/json" {
		d.t.Fatalf("status: %d %v %v\n%s", a.StatusCode, a.Header, err, a.Body)
	}
	return s
}

// wantHealth checks the response of the health endpoint.
func (d *adminSite) wantHealth(what string, status int, state string, reasons ...string) {
	d.t.Helper()
	a := d.call("GET", "/huma/health", "")
	var v adminStatus
	must(d.t, json.Unmarshal(a.Body, &v))
	if a.StatusCode != status || v.Status != state || !slices.Equal(v.Reasons, reasons) {
		d.t.Errorf("%s: %d %s; want %d %s %q", what, a.StatusCode, a.Body, status, state, reasons)
	}
}

// TestAdmin_Requests checks methods, paths and invalid bodies.
func TestAdmin_Requests(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	d := serveAdmin(t, simpleSite(fake, ""))
	canary := `{"email":"canary@x.example"}`
	for _, c := range []struct {
		method, path, body string
		edit               edits
		status             int
		message            string // a part of the error
		allow              string
	}{
		{"GET", "/huma/status", "", nil, 200, "", ""},
		{"HEAD", "/huma/status", "", nil, 405, "", "GET"},
		{"POST", "/huma/status", "", nil, 405, "GET", "GET"},
		{"OPTIONS", "/huma/status", "", nil, 405, "GET", "GET"},
		{"GET", "/huma/health", "", nil, 200, "", ""},
		{"HEAD", "/huma/health", "", nil, 200, "", ""},
		{"DELETE", "/huma/health", "", nil, 405, "GET or HEAD", "GET, HEAD"},
		{"GET", "/huma/cache/flush", "", nil, 405, "POST", "POST"},
		{"DELETE", "/huma/cache/flush", "", nil, 405, "POST", "POST"},
		{"GET", "/huma/cache/evict", canary, edits{asJSON}, 405, "POST", "POST"},
		{"PUT", "/huma/cache/evict", canary, edits{asJSON}, 405, "POST", "POST"},

		{"GET", "/huma/", "", nil, 404, "/huma/", ""},
		{"GET", "/huma/cache", "", nil, 404, "cache/flush", ""},
		{"POST", "/huma/cache/flush/", "", nil, 404, "cache/flush", ""},
		{"GET", "/huma/status/huma", "", nil, 404, "status", ""},
		{"GET", "/huma/canary@x.example", "", nil, 404, "status", ""},

		{"POST", "/huma/cache/flush", canary, edits{asJSON}, 400, "cache/evict", ""},
		{"POST", "/huma/cache/flush", " \n", nil, 200, "", ""},
		{"POST", "/huma/cache/flush", strings.Repeat(" ", 5000), nil, 413, "4096", ""},

		{"POST", "/huma/cache/evict", canary, edits{asJSON}, 200, "", ""},
		{"POST", "/huma/cache/evict", canary, edits{header("Content-Type", "application/json; charset=utf-8")}, 200, "", ""},
		{"POST", "/huma/cache/evict", canary, nil, 400, "application/json", ""},
		{"POST", "/huma/cache/evict", canary, edits{header("Content-Type", "text/plain")}, 400, "application/json", ""},
		{"POST", "/huma/cache/evict", "", edits{asJSON}, 400, `{"email"`, ""},
		{"POST", "/huma/cache/evict", "{}", edits{asJSON}, 400, `{"email"`, ""},
		{"POST", "/huma/cache/evict", "null", edits{asJSON}, 400, `{"email"`, ""},
		{"POST", "/huma/cache/evict", `["canary@x.example"]`, edits{asJSON}, 400, `{"email"`, ""},
		{"POST", "/huma/cache/evict", `{"email":"canary@x.example"`, edits{asJSON}, 400, `{"email"`, ""},
		{"POST", "/huma/cache/evict", canary + canary, edits{asJSON}, 400, `{"email"`, ""},
		{"POST", "/huma/cache/evict", `{"email":["canary@x.example"]}`, edits{asJSON}, 400, `{"email"`, ""},
		{"POST", "/huma/cache/evict", `{"mail":"canary@x.example"}`, edits{asJSON}, 400, `{"email"`, ""},
		{"POST", "/huma/cache/evict", `{"email":"canary@x.example","canary":1}`, edits{asJSON}, 400, `{"email"`, ""},
		{"POST", "/huma/cache/evict", `{"email":"canary@x.example","user_id":"canary"}`, edits{asJSON}, 400, `{"email"`, ""},
		{"POST", "/huma/cache/evict", `{"email":"canary"}`, edits{asJSON}, 400, "identity_invalid", ""},
		{"POST", "/huma/cache/evict", `{"email":""}`, edits{asJSON}, 400, "identity_invalid", ""},
		{"POST", "/huma/cache/evict", `{"user_id":""}`, edits{asJSON}, 400, "identity_invalid", ""},
		{"POST", "/huma/cache/evict", `{"user_id":"canary"}`, edits{asJSON}, 409, "human_api_token", ""},
		{"POST", "/huma/cache/evict", canary + strings.Repeat(" ", 5000), edits{asJSON}, 413, "4096", ""},

		// Caddy's admin endpoint allows no other origin and no other host.
		{"POST", "/huma/cache/flush", "", edits{header("Origin", "https://evil.example")}, 403, "origin", ""},
		{"GET", "/huma/status", "", edits{header("Origin", "https://evil.example")}, 403, "origin", ""},
		{"GET", "/huma/status", "", edits{header("Sec-Fetch-Mode", "no-cors")}, 400, "same-origin", ""},
		{"GET", "/huma/status", "", edits{func(r *http.Request) { r.Host = "evil.example" }}, 403, "host", ""},
	} {
		a := d.call(c.method, c.path, c.body, c.edit...)
		var v struct{ Error string }
		_ = json.Unmarshal(a.Body, &v)
		if a.StatusCode != c.status || !strings.Contains(v.Error, c.message) || a.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s %.40s: %d %q %s; want %d %q %q", c.method, c.path, c.body, a.StatusCode, a.Header["Allow"], a.Body, c.status, c.message, c.allow)
		}
		if a.StatusCode == http.StatusOK || c.allow != "" {
			if got := a.Header.Get("Cache-Control"); got != "private, no-store" {
				t.Errorf("Cache-Control: %s", got)
			}
		}
		if strings.Contains(string(a.Body), "canary") {
			t.Errorf("%s %s %s: the response repeats the request: %s", c.method, c.path, c.body, a.Body)
		}
	}
	for _, line := range d.logLines("canary") {
		if !strings.Contains(line, `"uri":"/huma/canary`) { // the line in which Caddy logs the request
			t.Errorf("in the log: %s", line)
		}
	}
}

func TestAdmin_Status(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	humanAPIService.addUsers(fake, "u-canary")
	file := secretFiles["rename"](t, "sandbox-secret")
	credentials := strings.Replace(humaService.options(fake), "secret sandbox-secret", "secret {file."+file.path+"}", 1)
	// There are two handlers of one account, one handler of the other service, and one
	// handler of another account with a wrong project.
	config := "SITE {\n" + humanAPIService.block("", humanAPIService.options(fake), "breaker off") +
		humaService.block("/one", credentials, "client_type ios") + humaService.block("/two", credentials, "client_type ios") +
		humaService.block("/three", strings.Replace(humaService.options(fake), "project_id p1", "project_id p0", 1), "client_type ios\nretries 0\nbreaker {\nfailures 3\nopen 1m\n}") + "}"
	d := serveAdmin(t, config)
	d.wantHealth("at first", 200, "ok")
	for _, path := range []string{"/one", "/two", "/three", "/three"} {
		d.request("GET", path, as("canary@x.example"))
	}
	d.request("GET", connectPath, as("u-canary")).connect(t)
	must(t, fake.SetFaults([]sandbox.Fault{{Status: 500}}))
	for i := range 3 {
		d.request("GET", "/three", as(fmt.Sprintf("late%d@x.example", i)))
	}
	s := d.status()
	if s.Status != "degraded" || !slices.Equal(s.Reasons, []string{"breaker_open"}) || len(s.Accounts) != 3 {
		t.Fatalf("status %+v", s)
	}
	wrong, right, human := s.Accounts[0], s.Accounts[1], s.Accounts[2]
	if wrong.Provider != "huma" || wrong.ProjectID != "p0" || wrong.DeploymentID != "d1" || wrong.API != fake.URL || wrong.Cache.Users != 0 ||
		len(wrong.Handlers) != 1 || wrong.Handlers[0].Breaker != "open" || wrong.Handlers[0].HadToken {
		t.Errorf("the wrong account: %+v", wrong)
	}
	if right.ProjectID != "p1" || right.Cache.Users != 1 || len(right.Handlers) != 2 {
		t.Fatalf("the right account: %+v", right)
	}
	host := strings.TrimPrefix(d.URL, "http://")
	if right.Handlers[0].Handler != "huma_token "+host+"/one" || right.Handlers[1].Handler != "huma_token "+host+"/two" || human.Handlers[0].Handler != "human_api_token "+host+connectPath {
		t.Errorf("names of the handlers: %+v", s.Accounts)
	}
	if lines := d.logLines(`"handler":"huma_token ` + host + `/three"`); len(lines) == 0 {
		t.Errorf("no log entry has the name of the handler: %s", d.log())
	}
	for _, h := range right.Handlers {
		if c := h.Credentials; h.Breaker != "closed" || h.CallsInFlight != 0 || h.Store != "" || time.Since(c.Loaded) > time.Minute || c.AgeSeconds == nil || *c.AgeSeconds > 60 {
			t.Errorf("a handler: %+v", h)
		}
	}
	if !right.Handlers[0].HadToken {
		t.Error("the first handler has had no token")
	}
	if human.Provider != "human_api" || human.ClientID != "hapi1" || human.Cache.Users != 1 || human.Handlers[0].Breaker != "off" {
		t.Errorf("Human API's account: %+v", human)
	}
	a := d.call("GET", "/huma/status", "")
	for _, secret := range []string{"canary", "late", "sandbox-secret", file.path} {
		if bytes.Contains(a.Body, []byte(secret)) {
			t.Errorf("%q is in the response: %s", secret, a.Body)
		}
	}
	d.wantHealth("one breaker is open", 200, "degraded", "breaker_open")

	file.replace(t, "")
	eventually(t, 2*rotationTimeout, "the file is unreadable", func() bool { return len(d.logLines("cannot reload credentials")) > 0 })
	d.wantHealth("a file is empty", 200, "degraded", "breaker_open", "credentials_unreadable")
	file.replace(t, "sandbox-secret")
	eventually(t, 2*rotationTimeout, "the file is readable again", func() bool { return !d.status().Accounts[1].Handlers[0].Credentials.Unreadable })
}

// TestAdmin_HealthOverReloads checks that a rejected config does not change the health,
// and that the health check fails if no config uses the directives.
func TestAdmin_HealthOverReloads(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		config := p.site(fake, "")
		d := serveAdmin(t, config)
		d.wantHealth("at first", 200, "ok")
		if d.load(strings.Replace(config, "respond", "handle {\nheader X-A [ b\n}\nrespond", 1)) == nil {
			t.Fatal("the invalid config was loaded")
		}
		d.wantHealth("rejected", 200, "ok")
		if n := len(d.status().Accounts); n != 1 {
			t.Errorf("%d accounts after a rejected config", n)
		}
		must(t, d.load("SITE {\nrespond ok\n}"))
		d.wantHealth("without the directive", 503, "unavailable", "no_handlers")
		if s := d.status(); len(s.Accounts) != 0 || s.Status != "unavailable" {
			t.Errorf("without the directive: %+v", s)
		}
		if a := d.evict(p, "a@x.example"); a.StatusCode != http.StatusConflict {
			t.Errorf("evict: %d %s", a.StatusCode, a.Body)
		}
		must(t, d.load(config))
		d.wantHealth("with it again", 200, "ok")
	})
}

// TestAdmin_HealthBySite checks that the site of the documentation gives access to the
// health endpoint and to nothing else.
func TestAdmin_HealthBySite(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	d := serveAdmin(t, "SITE {\nrespond ok\n}")
	must(t, d.load("SITE {\n"+humaService.block("", humaService.options(fake), "")+`
		handle /ready {
			rewrite /huma/health
			reverse_proxy `+strings.TrimPrefix(d.admin, "http://")+` {
				header_up Host {upstream_hostport}
			}
		}
	}`))
	for target, want := range map[string]int{"/ready": 200, "/ready?x=/../status": 200, "/ready/../huma/status": 404} {
		a := d.request("GET", target)
		if isHealth := strings.Contains(string(a.Body), `"status": "ok"`); isHealth != (want == 200) || isHealth && a.StatusCode != want {
			t.Errorf("%s: %d %s", target, a.StatusCode, a.Body)
		}
	}
	if a := d.request("POST", "/ready"); a.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d %s", a.StatusCode, a.Body)
	}
}
