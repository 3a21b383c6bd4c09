package identify

import (
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestI03_ForwardedHeaders checks that ForwardsHeader agrees with Caddy's own filter,
// which the tests of spoofing verify with real requests.
func TestI03_ForwardedHeaders(t *testing.T) {
	for _, tt := range []struct {
		underscores, dots []string
		name              string
		want              bool
	}{
		{nil, nil, "Remote-Email", true},
		{nil, nil, "Remote_email", false},
		{nil, nil, "Remote.email", false},
		{[]string{"remote_email"}, nil, "Remote_email", true},
		{[]string{"remote_email"}, nil, "Remote-Email", false}, // the listed name with a hyphen
		{[]string{"remote_email"}, nil, "Remote-User", true},
		{[]string{"Remote_*"}, nil, "Remote_email", true},
		{[]string{"Remote_*"}, nil, "Remote-Email", false},
		{[]string{"Remote_*"}, nil, "Remote.email", false},
		{[]string{"Remote_*"}, nil, "X-Remote-Email", true},
		{nil, []string{"Remote.Email"}, "Remote.email", true},
		{nil, []string{"Remote.Email"}, "Remote-Email", false},
		{[]string{"X_*"}, nil, "X_user.email", false}, // needs an entry without an asterisk
		{[]string{"X_User.Email"}, nil, "X_user.email", true},
	} {
		srv := &caddyhttp.Server{ExpectedUnderscoreHeaders: tt.underscores, ExpectedDotHeaders: tt.dots}
		if got := ForwardsHeader(srv, tt.name); got != tt.want {
			t.Errorf("%q, %q: %s arrives: %t", tt.underscores, tt.dots, tt.name, got)
		}
	}
}
