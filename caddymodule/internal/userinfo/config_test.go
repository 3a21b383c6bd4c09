package userinfo

import (
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
)

func TestForwardHeaders(t *testing.T) {
	belongs := " cannot be forwarded: it describes the connection or the body of the client's request"
	changes := " cannot be forwarded: it could change the response"
	tests := map[string]struct {
		names []string
		want  string // canonical names, or the error
	}{
		"default":           {nil, "Authorization Cookie"},
		"one":               {[]string{"X-Session"}, "X-Session"},
		"any case":          {[]string{"x-session", "COOKIE"}, "X-Session Cookie"},
		"twice":             {[]string{"cookie", "Cookie"}, "Cookie"},
		"underscore":        {[]string{"x_session"}, "X_session"},
		"with Host":         {[]string{"Cookie", "host"}, "Cookie"},
		"none":              {[]string{}, errNoCredentials.Error()},
		"Host alone":        {[]string{"Host"}, errNoCredentials.Error()},
		"Connection":        {[]string{"connection"}, "forward_headers: Connection" + belongs},
		"Keep-Alive":        {[]string{"Keep-Alive"}, "forward_headers: Keep-Alive" + belongs},
		"Content-Length":    {[]string{"content-length"}, "forward_headers: Content-Length" + belongs},
		"Transfer-Encoding": {[]string{"Transfer-Encoding"}, "forward_headers: Transfer-Encoding" + belongs},
		"TE":                {[]string{"TE"}, "forward_headers: Te" + belongs},
		"Trailer":           {[]string{"Trailer"}, "forward_headers: Trailer" + belongs},
		"Upgrade":           {[]string{"Upgrade"}, "forward_headers: Upgrade" + belongs},
		"HTTP2-Settings":    {[]string{"HTTP2-Settings"}, "forward_headers: Http2-Settings" + belongs},
		"Expect":            {[]string{"Expect"}, "forward_headers: Expect" + belongs},
		"proxy's":           {[]string{"Proxy-Authorization"}, "forward_headers: Proxy-Authorization" + belongs},
		"Proxy-Connection":  {[]string{"Proxy-Connection"}, "forward_headers: Proxy-Connection" + belongs},
		"Accept-Encoding":   {[]string{"accept-encoding"}, "forward_headers: Accept-Encoding" + changes},
		"Range":             {[]string{"Range"}, "forward_headers: Range" + changes},
		"If-None-Match":     {[]string{"If-None-Match"}, "forward_headers: If-None-Match" + changes},
		"proxy's challenge": {[]string{"Proxy-Authenticate"}, "forward_headers: Proxy-Authenticate" + belongs},
		"Content-Encoding":  {[]string{"Content-Encoding"}, "forward_headers: Content-Encoding" + belongs},
		"If-Modified-Since": {[]string{"If-Modified-Since"}, "forward_headers: If-Modified-Since" + changes},
		"If-Match":          {[]string{"If-Match"}, "forward_headers: If-Match" + changes},
		"If-Unmodified":     {[]string{"If-Unmodified-Since"}, "forward_headers: If-Unmodified-Since" + changes},
		"If-Range":          {[]string{"If-Range"}, "forward_headers: If-Range" + changes},
		"empty":             {[]string{""}, `forward_headers: "" is not a header name`},
		"space":             {[]string{"X Session"}, `forward_headers: "X Session" is not a header name`},
		"colon":             {[]string{"Cookie:"}, `forward_headers: "Cookie:" is not a header name`},
		"line break":        {[]string{"X\r\nEvil"}, `forward_headers: "X\r\nEvil" is not a header name`},
		"pseudo":            {[]string{":authority"}, `forward_headers: ":authority" is not a header name`},
		"not ASCII":         {[]string{"Sitzung-ä"}, `forward_headers: "Sitzung-ä" is not a header name`},
		"all at once": {[]string{"Te", "Cookie", "a b"},
			"forward_headers: Te" + belongs + "\n" + `forward_headers: "a b" is not a header name`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := New(subrequest.Config{URL: "http://h/me", Timeout: subrequest.DefaultTimeout, ForwardHeaders: tt.names})
			if err != nil {
				if err.Error() != tt.want {
					t.Fatalf("got %q, want %q", err, tt.want)
				}
				return
			}
			if got := strings.Join(c.Forwards(), " "); got != tt.want {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
		})
	}
}
