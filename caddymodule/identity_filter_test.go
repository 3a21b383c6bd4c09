package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// canary is a user whose data must not appear in a log.
var canary = person{"canary@x.example", "canary-id", "Canaryfirst Canarylast", "Canaryfirst", "Canarylast"}

// scenario is a site behind a layer, and a request that is signed in there as canary.
type scenario struct {
	preset string
	// auth and identity are lines of the site.
	auth, identity string
	signedIn       []func(*http.Request)
	// sent holds the values that a log contains without a filter. It does not contain
	// headers that forward_auth copies, because Caddy logs the original request.
	sent []string
}

// filterOf returns the log filter that `caddy huma presets` prints for a preset.
func filterOf(t *testing.T, preset string) string {
	t.Helper()
	cmd, out := new(cobra.Command), new(bytes.Buffer)
	caddycmd.Commands()["huma"].CobraFunc(cmd)
	cmd.SetArgs([]string{"presets", preset})
	cmd.SetOut(out)
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	begin := strings.Index(out.String(), "log {\n")
	if begin < 0 {
		t.Fatalf("no filter for %s: %s", preset, out)
	}
	text, _, ok := strings.Cut(out.String()[begin:], "\n}\n")
	if !ok {
		t.Fatalf("a filter without an end for %s: %s", preset, out)
	}
	return text + "\n}\n"
}

// logs serves the site of a scenario, makes successful and failing requests, and returns
// Caddy's log of them at level INFO, and the tokens in the responses.
func (s scenario) logs(t *testing.T, filter string) (logged string, tokens []string) {
	t.Helper()
	huma := newHuma(t, sandbox.Config{})
	d := &testSite{serve(t, ""), huma}
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "default.log"), filepath.Join(dir, "access.log")}
	writer := func(file string) string {
		return strings.Replace(filter, "log {\n", "log {\n\toutput file "+file+" {\n\t\tmode 0600\n\t}\n\tlevel INFO\n", 1)
	}
	endpoint := "HUMA\n" + s.identity
	text := `{
		storage file_system ` + storageDir + `
		admin off
		persist_config off
		auto_https off
		grace_period 5s
		` + writer(files[0]) + `
	}
	http://` + d.address + ` {
		` + writer(files[1]) + s.auth + `
		huma_token {
			` + endpoint + `
		}
		huma_token /caddy {
			` + endpoint + `
			errors caddy
		}
		handle /dead {
			reverse_proxy ` + freeAddress(t) + `
		}
		handle {
			respond "the application" 404
		}
	}`
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	config, _, err := adapter.Adapt([]byte(fill(huma, text)), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatalf("adapt: %v\n%s", err, text)
	}
	if err := loadConfig(config); err != nil {
		t.Fatalf("load: %v\n%s", err, text)
	}

	a := d.wantTokenOf(t, "canary@x.example", path, s.signedIn...)
	v := a.tokens(t)
	tokens = []string{v.AuthToken, v.RefreshToken, v.UID}
	if err := huma.SetFaults([]sandbox.Fault{{Status: 500}}); err != nil {
		t.Fatal(err)
	}
	for target, status := range map[string]int{path: 503, "/caddy": 503, "/dead": 502, "/other": 404} {
		if a := d.request("GET", target, s.signedIn...); a.StatusCode != status {
			t.Errorf("%s: status %d, want %d: %s", target, a.StatusCode, status, a.Body)
		}
	}
	d.request("GET", path) // an unauthenticated request
	// Caddy logs a request after its response.
	eventually(t, 10*time.Second, "six requests in the access log", func() bool {
		logged = ""
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			logged += string(b)
		}
		return strings.Count(logged, `"handled request"`) == 6
	})
	if strings.Count(logged, `"http.log.error`) < 2 {
		t.Errorf("the errors are not logged: %s", logged)
	}
	return logged, tokens
}

// values returns all values of headers.
func values(h http.Header) []string { return slices.Concat(slices.Collect(maps.Values(h))...) }

// scenarios returns the ways to sign in with a preset.
func scenarios(t *testing.T, row presets.Preset) (all []scenario) {
	credentials := []func(*http.Request){
		header("Authorization", "Bearer canary-bearer"), func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "canary", Value: "canary-cookie"}) },
	}
	for _, p := range headerPresets {
		if p.name != row.Name {
			continue
		}
		headers := p.headers(canary)
		all = append(all, scenario{p.name + ", proxies", "", "identity " + p.name + "\ntrust proxies 127.0.0.1", append(slices.Clip(credentials), withHeaders(headers)), values(headers)})
		l := newLayer(t)
		l.setHeaders(headers)
		all = append(all, scenario{
			p.name + ", forward_auth", "forward_auth " + l.URL + " {\nuri /verify\ncopy_headers " + strings.Join(p.own(), " ") + "\n}\n",
			"identity " + p.name + "\ntrust forward_auth", credentials, nil,
		})
	}
	for _, p := range placeholderPresets {
		if p.name != row.Name {
			continue
		}
		// Caddy logs the ID of such a user, which may be an address.
		who := canary
		if p.id == "id" {
			who.id = "canary-id@x.example"
		}
		sent := []string{who.id}
		if p.id != "id" {
			sent = []string{"also@x.example"}
		}
		all = append(all, scenario{p.name, "test_portal\n", "identity " + p.name, append(slices.Clip(credentials), p.signIn(t, who)), sent})
	}
	if row.Name == "basic_auth" {
		all = append(all, scenario{
			row.Name, strings.Replace(accounts, "alice@", "canary@", 1) + "\n", "identity basic_auth",
			[]func(*http.Request){password("canary@x.example")}, []string{"canary@x.example"},
		})
	}
	for _, p := range signedPresets {
		if p.name != row.Name {
			continue
		}
		headers := withHeader(p.forged.headers(canary), p.header, p.tokenFor(canary))
		if p.also == nil && p.forged.assertion == "" { // the preset has no real headers besides the assertion
			headers = http.Header{p.header: headers[p.header]}
		}
		if p.header == "Authorization" { // Caddy redacts it
			all = append(all, scenario{p.name + ", verify", "", p.identity(serveKeys(t, layerP256(), layerRSA())), append(credentials[1:2:2], withHeaders(headers)), nil})
			continue
		}
		all = append(all, scenario{p.name + ", verify", "", p.identity(serveKeys(t, layerP256(), layerRSA())), append(slices.Clip(credentials), withHeaders(headers)), values(headers)})
	}
	return all
}

// TestLogFilters checks that with the documented filter of a preset no data of the user
// is in Caddy's logs, for successful and for failed requests. Without the filter, the
// data must be there.
func TestLogFilters(t *testing.T) {
	for _, row := range presets.All() {
		filter := filterOf(t, row.Name)
		if row.Provider != nil && row.Name != "firebase" { // Caddy redacts the tokens of all providers alike
			if _, _, err := adaptText("x.example {\n" + filter + "}"); err != nil {
				t.Errorf("the filter of %s: %v", row.Name, err)
			}
			continue
		}
		all := scenarios(t, row)
		if all == nil {
			t.Errorf("no scenario for %s", row.Name)
		}
		for _, s := range all {
			t.Run(s.preset, func(t *testing.T) {
				t.Run("with", func(t *testing.T) {
					logged, tokens := s.logs(t, filter)
					for _, text := range append(append(tokens, s.sent...), "anary", "x.example", "wonderland") {
						if i := strings.Index(logged, text); i >= 0 {
							t.Errorf("the log contains %q: …%s…", text, logged[max(0, i-200):min(len(logged), i+200)])
						}
					}
				})
				t.Run("without", func(t *testing.T) {
					logged, _ := s.logs(t, "log {\n}\n")
					if strings.Contains(logged, "canary-bearer") || strings.Contains(logged, "canary-cookie") {
						t.Errorf("Caddy logs credentials: %s", logged)
					}
					inErrors := ""
					for line := range strings.SplitSeq(logged, "\n") {
						var entry struct{ Logger string }
						if _ = json.Unmarshal([]byte(line), &entry); strings.HasPrefix(entry.Logger, "http.log.error") {
							inErrors += line
						}
					}
					for _, text := range s.sent {
						if !strings.Contains(logged, text) {
							t.Errorf("without a filter, the log does not contain %q: %s", text, logged)
						}
						// The error log contains the headers, but not user_id.
						if row.Headers() != nil && !strings.Contains(inErrors, text) {
							t.Errorf("the error log does not contain %q: %s", text, inErrors)
						}
					}
				})
			})
		}
	}
}
