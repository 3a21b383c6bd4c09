package caddymodule_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
		"authelia:9091", s.authelia, "app:3000", s.app, "root * /srv", "root * "+s.files).Replace(caddyfile)
}

// TestCheckStoriesAreReal runs each story and its fix, and checks that the site works
// exactly if check finds nothing: a signed-in user gets a token, an app that is not signed
// in gets 401, and the login page can be opened.
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
			if users := fake.Users(); token != (len(users) == 1 && users[0].Email == "ada@x.example") {
				t.Errorf("token: %t, users: %+v", token, users)
			}
		})
	}
}
