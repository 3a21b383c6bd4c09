package caddymodule_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// randomSite generates the body of a site with the snippets of siteSnippets.
type randomSite struct {
	*rand.Rand
	token bool // the directive is in the site
}

// block returns the lines of a block. depth is the number of blocks around it.
func (r *randomSite) block(depth int) string {
	var text strings.Builder
	for range 1 + r.IntN(4) {
		text.WriteString(strings.Repeat("\t", depth+1) + r.directive(depth) + "\n")
	}
	return text.String()
}

func (r *randomSite) directive(depth int) string {
	one := func(values ...string) string { return values[r.IntN(len(values))] }
	switch k := r.IntN(18); {
	case k < 3:
		return "import auth"
	case k < 6 && !r.token:
		r.token = true
		return "import token"
	case k == 6:
		return "reverse_proxy app:3000"
	case k == 7:
		return "try_files {path} /index.html"
	case k == 8:
		return "rewrite " + one("*", "/private/*", "/api/*", "/v1") + " " + one("/index.php", "/private/huma-token", "/api{uri}")
	case k == 9:
		return "uri strip_prefix " + one("/private", "/api")
	case k == 10:
		return "respond " + one("/private/*", "", "@bot", "@get") + " hello"
	case k == 11:
		return "redir " + one("/private", "*", "@bot") + " /elsewhere"
	case k == 12:
		return "error " + one("/private/*", "@bot", "/x") + " 404"
	case k == 13:
		return "abort " + one("/private/*", "@bot", "/x")
	case k > 13 && depth < 3:
		head := one("handle", "handle /private/*", "handle /api/*", "handle_path /private/*", "handle_path /api/*", "route", "route /private/*", "handle @get", "handle @bot", "route @file")
		return head + " {\n" + r.block(depth+1) + strings.Repeat("\t", depth+1) + "}"
	}
	return "header X-Site random"
}

// TestCheckRandomSites runs generated sites, and checks that a signed-in user gets a token
// exactly where check finds that requests reach the directive after the authentication.
func TestCheckRandomSites(t *testing.T) {
	servers := startStoryServers(t)
	fake := newHuma(t, sandbox.Config{})
	config := writeFile(t, "huma-config.json", `{"apiUrl":"`+fake.URL+`","projectId":"p1","deploymentId":"d1","clients":{"ios":"c1"},"secret":"sandbox-secret"}`)
	s := newSite(t)
	s.stopAfter(t)
	reached, missed := 0, 0
	sites := uint64(60)
	if longTest() {
		sites = 3000
	}
	for seed := range sites {
		r := &randomSite{Rand: rand.New(rand.NewPCG(seed, 0))}
		body := r.block(0)
		if !r.token {
			body += "\timport token\n"
		}
		order := []string{"", "\torder huma_token last\n", "\torder huma_token first\n"}[r.IntN(3)]
		text := "{\n" + order + "}\n" + siteSnippets + "app.example.com {\n\t@bot header User-Agent *bot*\n\t@get method GET\n\t@file file /maintenance\n\troot * /srv\n" + body + "}\n"
		text = strings.NewReplacer("SITE", "app.example.com", "/etc/huma/huma-config.json", config).Replace(servers.text(text))
		_, all := runCheck(t, writeFile(t, "Caddyfile", text), "--offline")
		must(t, loadConfig(listenAt(s, text)))
		for _, c := range all {
			if c.Check != "routes" || strings.Contains(c.Detail, ", if matchers ") {
				continue
			}
			url := checkedURL.FindStringSubmatch(c.Detail)
			if url == nil || c.Result == "skipped" {
				t.Fatalf("%+v", c)
			}
			signIn := func(r *http.Request) {
				r.Host = url[1]
				r.AddCookie(&http.Cookie{Name: "_oauth2_proxy", Value: "s-ada"})
			}
			var a *response
			var err error
			token := false
			// After a load, a connection may still be one to the server of the previous config.
			for tries := range 10 {
				time.Sleep(time.Duration(tries) * 20 * time.Millisecond)
				a, err = s.tryRequest(t.Context(), "GET", url[2], signIn)
				token = err == nil && a.StatusCode == http.StatusOK && a.isToken() // abort is an error
				if token == (c.Result == "ok") {
					break
				}
				s.client.CloseIdleConnections()
			}
			if token != (c.Result == "ok") {
				t.Errorf("seed %d: token: %t (%v), but check finds %+v in\n%s", seed, token, a, c, fmt.Sprint(order, body))
			}
			if token {
				reached++
			} else {
				missed++
			}
		}
		s.client.CloseIdleConnections()
	}
	if reached < 10 || missed < 20 {
		t.Errorf("%d reached, %d missed", reached, missed)
	}
}
