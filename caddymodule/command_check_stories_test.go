package caddymodule_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/probe"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// storyServers are fakes of the servers in testdata/sites/stories.txtar. They know the
// session s-ada.
type storyServers struct{ oauth2Proxy, other, authelia, app, files string }

func startStoryServers(t *testing.T) storyServers {
	t.Helper()
	start := func(handler http.HandlerFunc) string {
		s := testutil.NewServer(t, handler)
		s.Start()
		return strings.TrimPrefix(s.URL, "http://")
	}
	signedIn := func(r *http.Request, cookie string) bool {
		c, err := r.Cookie(cookie)
		return err == nil && c.Value == "s-ada"
	}
	oauth2Proxy := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/oauth2/auth":
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("the login page"))
		case signedIn(r, "_oauth2_proxy"):
			w.Header().Set("X-Auth-Request-User", "17")
			w.Header().Set("X-Auth-Request-Email", "ada@x.example")
			w.WriteHeader(http.StatusAccepted)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	files := t.TempDir()
	must(t, os.WriteFile(filepath.Join(files, "index.html"), []byte("the application"), 0o600))
	return storyServers{
		oauth2Proxy: start(oauth2Proxy),
		other:       start(oauth2Proxy),
		authelia: start(func(w http.ResponseWriter, r *http.Request) {
			if !signedIn(r, "authelia_session") {
				http.Redirect(w, r, "https://auth.x.example/", http.StatusFound)
				return
			}
			w.Header().Set("Remote-User", "ada")
			w.Header().Set("Remote-Email", "ada@x.example")
		}),
		app: start(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("the application"))
		}),
		files: files,
	}
}

// text returns a Caddyfile with the addresses of the fakes.
func (s storyServers) text(caddyfile string) string {
	return strings.NewReplacer("app.example.com", "SITE", "oauth2-proxy:4180", s.oauth2Proxy, "oauth2-proxy:4181", s.other,
		"authelia:9091", s.authelia, "app:3000", s.app, "audit:8000", s.app, "php:9000", s.app, "root * /srv", "root * "+s.files).Replace(caddyfile)
}

// TestCheckStoriesAreReal runs each story and its fix, and checks that the site works
// exactly if check finds nothing: a signed-in user gets a token, an app that is not signed
// in gets 401, and the login page can be opened. The command probe finds the same about
// the token and the 401.
func TestCheckStoriesAreReal(t *testing.T) {
	servers := startStoryServers(t)
	_, cases := siteCases(t, "stories.txtar")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fake := newHuma(t, sandbox.Config{})
			config := writeFile(t, "huma-config.json", `{"apiUrl":"`+fake.URL+`","projectId":"p1","deploymentId":"d1","clients":{"ios":"c1"},"secret":"sandbox-secret"}`)
			s := newSite(t)
			text := strings.ReplaceAll(servers.text(c.input), "/etc/huma/huma-config.json", config)
			_, all := runCheck(t, writeFile(t, "Caddyfile", strings.ReplaceAll(text, "SITE", s.URL)), "--offline")
			found := strings.Contains(findings(all), "→")

			must(t, s.load(text))
			s.stopAfter(t)
			signIn := func(r *http.Request) {
				if strings.Contains(text, "trust proxies") { // the client is the proxy
					r.Header.Set("X-Auth-Request-Email", "ada@x.example")
				}
				for _, name := range []string{"_oauth2_proxy", "authelia_session", "session"} {
					r.AddCookie(&http.Cookie{Name: name, Value: "s-ada"})
				}
			}
			signedIn, anonymous, login := s.request("GET", path, signIn), s.request("GET", path), s.request("GET", "/oauth2/sign_in")
			token := signedIn.StatusCode == http.StatusOK && signedIn.isToken()
			works := token && anonymous.StatusCode == http.StatusUnauthorized &&
				(!strings.Contains(text, "/oauth2/sign_in") || string(login.Body) == "the login page")
			if works == found {
				t.Errorf("works: %t (signed in: %d, token: %t; not signed in: %d; login page: %d), but check finds\n%s",
					works, signedIn.StatusCode, token, anonymous.StatusCode, login.StatusCode, findings(all))
			}
			args := []string{s.URL + path, "--timeout", "20s", "--client-type", "ios", "--cookie", "_oauth2_proxy=s-ada", "--cookie", "authelia_session=s-ada", "--cookie", "session=s-ada"}
			if strings.Contains(text, "trust proxies") {
				args = append(args, "--header", "X-Auth-Request-Email: ada@x.example")
			}
			probed := run(t, probe.NewCommand(0), args...).hides("s-ada", "ada@x.example", "eyJ")
			if good := token && anonymous.StatusCode == http.StatusUnauthorized; good != (probed.code == 0) {
				t.Errorf("works: %t, but probe ends with exit code %d:\n%s", good, probed.code, probed.out)
			}
			if users := fake.Users(); token != (len(users) == 1 && users[0].Email == "ada@x.example") {
				t.Errorf("token: %t, users: %+v", token, users)
			}
		})
	}
}

// unreal are the neighbors whose problem is not that a token is missing, and those with
// servers that the test cannot fake.
var unreal = []string{"a cache in front", "an auth server on port 80", "an auth server over FastCGI", "an auth server at a socket", "a sidecar", "a sidecar at loopback", "human_api_token"}

// checkedURL is the URL in a result of the check "routes".
var checkedURL = regexp.MustCompile(`([a-z]+\.example\.com|\*\.example\.com|::1|:80)(/[^\s:,]+)`)

// TestCheckNeighborsAreReal runs the sites of neighbors.txtar, and checks that a signed-in
// user gets a token at the URLs that check finds to be right, and none where it finds a
// problem.
func TestCheckNeighborsAreReal(t *testing.T) {
	servers := startStoryServers(t)
	_, cases := siteCases(t, "neighbors.txtar")
	compared := 0
	for _, c := range cases {
		if slices.Contains(unreal, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			fake := newHuma(t, sandbox.Config{})
			config := writeFile(t, "huma-config.json", `{"apiUrl":"`+fake.URL+`","projectId":"p1","deploymentId":"d1","clients":{"ios":"c1"},"secret":"sandbox-secret"}`)
			s := newSite(t)
			options, site, hasOptions := strings.Cut(c.input, "\n}\n")
			if !hasOptions || !strings.HasPrefix(c.input, "{\n") {
				options, site = "{", c.input
			}
			text := strings.ReplaceAll(servers.text(options+"\n}\n"+siteSnippets+site), "SITE", "app.example.com")
			must(t, loadConfig(listenAt(s, strings.ReplaceAll(text, "/etc/huma/huma-config.json", config))))
			s.stopAfter(t)
			for line := range strings.SplitSeq(c.expected, "\n") {
				ok, problem := strings.HasPrefix(line, "  routes ok: "), strings.HasPrefix(line, "  routes problem: ")
				url := checkedURL.FindStringSubmatch(line)
				if !ok && !problem || strings.Contains(line, ", if matchers ") {
					continue
				}
				if url == nil {
					t.Fatalf("no URL in %q", line)
				}
				compared++
				signIn := func(r *http.Request) {
					r.Host = strings.NewReplacer("*", "any-name", ":80", "any-name", "::1", "[::1]").Replace(url[1])
					r.SetBasicAuth("ada@x.example", "secret")
					for _, name := range []string{"_oauth2_proxy", "session"} {
						r.AddCookie(&http.Cookie{Name: name, Value: "s-ada"})
					}
				}
				a, err := s.tryRequest(t.Context(), "GET", url[2], signIn)
				if ok && err != nil {
					t.Fatal(err)
				}
				if token := err == nil && a.StatusCode == http.StatusOK && a.isToken(); token != ok { // abort is an error
					t.Errorf("token: %t (%v), but check finds %q", token, a, line)
				}
			}
		})
	}
	if compared < 40 {
		t.Errorf("%d URLs are compared", compared)
	}
}

// listenAt adapts a Caddyfile. The server listens at the site's address, without TLS.
func listenAt(s *site, text string) []byte {
	s.t.Helper()
	return editServer(s, text, func(server map[string]any) {
		server["listen"], server["automatic_https"] = []string{s.address}, map[string]any{"disable": true}
		delete(server, "tls_connection_policies")
	})
}
