package check

import (
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/cors"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
)

// checkOrigins warns about the origins in allow_origins whose pages an attacker on the
// network can change.
func checkOrigins(t *target) (warnings []report.Entry) {
	var errs option.Errors // checkConfig reports them
	for _, origin := range errs.Texts("allow_origins", t.directive.Common.AllowOrigins) {
		if cors.IsInsecure(origin) {
			warnings = append(warnings, report.NewWarning("serve the web app over TLS, and list its https origin",
				"allow_origins lists %s, whose pages are loaded without TLS: an attacker on the network can change them, and get the tokens of users", origin))
		}
	}
	return warnings
}
