package crosssite_test

import (
	"net/http"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/crosssite"
)

func TestIs(t *testing.T) {
	type headers map[string][]string
	for _, c := range []struct {
		name    string
		header  headers
		trusted bool
		want    bool
	}{
		{"a native app", headers{}, false, false},
		{"the site itself", headers{"Sec-Fetch-Site": {"same-origin"}}, false, false},
		{"a subdomain", headers{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://www.a.example"}}, false, false},
		{"typed in", headers{"Sec-Fetch-Site": {"none"}}, false, false},
		{"another site", headers{"Sec-Fetch-Site": {"cross-site"}}, false, true},
		{"another site, with its own credentials", headers{"Sec-Fetch-Site": {" Cross-Site "}, "Authorization": {"Bearer x"}}, false, true},
		{"twice", headers{"Sec-Fetch-Site": {"same-origin", "cross-site"}}, false, true},
		{"an empty header", headers{"Sec-Fetch-Site": {""}, "Origin": {"https://b.example"}}, false, true},
		{"this origin", headers{"Origin": {"https://a.example"}}, false, false},
		{"this origin with its port", headers{"Origin": {"https://A.Example:443"}}, false, false},
		{"before a proxy that speaks TLS", headers{"Origin": {"http://a.example"}}, false, false},
		{"another port", headers{"Origin": {"https://a.example:8443"}}, false, true},
		{"another host", headers{"Origin": {"https://b.example"}}, false, true},
		{"a sandboxed frame", headers{"Origin": {"null"}}, false, true},
		{"two origins", headers{"Origin": {"https://a.example", "https://b.example"}}, false, true},
		{"not a URL", headers{"Origin": {"https://a.example\x7f"}}, false, true},
		{"behind a trusted proxy", headers{"Origin": {"https://b.example"}, "X-Forwarded-Host": {"b.example, c.example"}}, true, false},
		{"behind another proxy", headers{"Origin": {"https://b.example"}, "X-Forwarded-Host": {"b.example"}}, false, true},
		{"another host at the proxy", headers{"Origin": {"https://b.example"}, "X-Forwarded-Host": {"c.example"}}, true, true},
	} {
		if got := crosssite.Is("a.example", http.Header(c.header), func() bool { return c.trusted }); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
