package caddymodule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// TestPlaceholdersOfLastHandler checks that the placeholders of a request have the values of
// the last handler if two handlers ran.
func TestPlaceholdersOfLastHandler(t *testing.T) {
	const appended = `
		log_append then {http.huma_token.outcome}
		log_append who {http.huma_token.user}`
	const errorRoute = `SITE {
		log
		huma_token FIRST
		handle_errors {` + appended + `
			huma_token SECOND
		}
	}`
	const intercept = `SITE {
		log` + appended + `
		route {
			intercept {
				@ok status 200
				handle_response @ok {
					huma_token * SECOND
				}
			}
			huma_token FIRST
		}
	}`
	for _, c := range []struct {
		name                         string
		site, known, second, outcome string
	}{
		{"an unknown user, and then a known one", errorRoute, "b@x.example", "X-Other-User", "signed_in"},
		{"an unknown user, then no user", errorRoute, "b@x.example", "X-Absent", "rejected"},
		{"a known user, and then another", intercept, "a@x.example,b@x.example", "X-Other-User", "signed_in"},
		{"a known user, then no user", intercept, "a@x.example", "X-Absent", "rejected"},
		{"a known user, and then an unknown one", intercept, "a@x.example", "X-Other-User", "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			huma := newHuma(t, sandbox.Config{Users: strings.Split(c.known, ",")})
			block := func(source string) string {
				text := `{
					HUMA
					identity {
						email ` + source + `
					}
					trust proxies 127.0.0.1
					registration off
				`
				if c.site == errorRoute {
					text += "errors caddy\n"
				}
				return fill(huma, text+"}")
			}
			s := serve(t, strings.NewReplacer("FIRST", block("X-Test-User"), "SECOND", block(c.second)).Replace(c.site))
			s.request("GET", path, as("a@x.example"), header("X-Other-User", "b@x.example"))
			var line map[string]any
			eventually(t, 5*time.Second, "a line in the access log", func() bool {
				for _, line = range s.accessLog() {
					return true
				}
				return false
			})
			if line["then"] != c.outcome {
				t.Errorf("outcome %v, want %s", line["then"], c.outcome)
			}
			// If a log has a field twice, the last handler's is the last.
			if c.second == "X-Absent" {
				if line["who"] != "" {
					t.Errorf("user %q of the first handler", line["who"])
				}
			} else if len(fmt.Sprint(line["who"])) != 8 || line["who"] != line["user"] {
				t.Errorf("user %v, log name %v", line["who"], line["user"])
			}
		})
	}
}
