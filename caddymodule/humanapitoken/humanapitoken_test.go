package humanapitoken

import (
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

// TestSecretIsSentToHumanAPIOnly checks that without the option api the secret is sent to
// Human API only.
func TestSecretIsSentToHumanAPIOnly(t *testing.T) {
	h := &HumanAPIToken{ClientID: "c", ClientSecret: "s"}
	var p option.Errors
	if c := h.readSettings(&p); p.Err() != nil || c.API.String() != "https://auth.humanapi.co" {
		t.Errorf("the secret goes to %s: %v", c.API, p.Err())
	}
}
