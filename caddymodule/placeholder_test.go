package caddymodule_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// TestPlaceholdersOfTheLast: where error routes ask a second time, what is left
// behind is of that time.
func TestPlaceholdersOfTheLast(t *testing.T) {
	for name, c := range map[string]struct{ second, outcome string }{
		"one user, and then another": {"X-Other-User", "signed_in"},
		"a user, and then nobody":    {"X-Absent", "rejected"},
	} {
		t.Run(name, func(t *testing.T) {
			huma := newHuma(t, sandbox.Config{Users: []string{"b@x.example"}})
			block := func(source string) string {
				return fill(huma, `huma_token {
					HUMA
					identity {
						email `+source+`
					}
					trust proxies 127.0.0.1
					registration off
					errors caddy
				}
				`)
			}
			s := serve(t, `SITE {
				log
				`+block("X-Test-User")+`
				handle_errors {
					log_append then {http.huma_token.outcome}
					log_append who {http.huma_token.user}
					`+block(c.second)+`
				}
			}`)
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
			if c.outcome == "signed_in" && (len(fmt.Sprint(line["who"])) != 8 || line["who"] != line["user"]) {
				t.Errorf("user %v, in the log %v", line["who"], line["user"])
			}
		})
	}
}
