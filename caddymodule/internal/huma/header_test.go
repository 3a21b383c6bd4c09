package huma

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func TestHeaderCheck(t *testing.T) {
	tests := []struct {
		name, value string
		want        string
	}{
		{"Authorization", "Bearer x", ""},
		{"X-Time", "{sig.timestamp}", ""},
		{"", "x", `"" is not a valid header name`},
		{"a b", "x", `"a b" is not a valid header name`},
		{"x:", "x", `"x:" is not a valid header name`},
		{"idempotency-key", "x", "the header idempotency-key cannot be set"},
		{"HOST", "x", "the header HOST cannot be set"},
		{"content-length", "1", "the header content-length cannot be set"},
		{"Content-Type", "x", "the header Content-Type cannot be set"},
		{"Transfer-Encoding", "x", "the header Transfer-Encoding cannot be set"},
		{"X-A", canaryHeader + "\n", "X-A: the value must not contain line breaks or control characters"},
		{"X-A", canaryHeader + "{sig.body}", "X-A: unsupported {sig.*} placeholder: only {sig.timestamp} is allowed in a header"},
	}
	for _, test := range tests {
		got := ""
		if err := (Header{test.name, masked.New(test.value)}).Check(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%q: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestHeaderUpReplaces(t *testing.T) {
	got := make(chan http.Header, 1)
	api := testutil.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header
		_, _ = io.WriteString(w, goodResponse)
	})
	c := testClient(t, api, func(cfg *Config) {
		cfg.HeaderUp = []Header{
			{"user-agent", masked.New("mine")},
			{"Signature", masked.New("own")},
			{"x-two", masked.New("1")},
			{"x-two", masked.New("2")},
			{"accept-encoding", masked.New("gzip")},
			{"Content-Type", masked.New("text/plain")},
		}
	})
	if _, err := c.SignIn(t.Context(), person()); err != nil {
		t.Fatal(err)
	}
	h := <-got
	for name, want := range map[string]string{
		"User-Agent": "[mine]", "Signature": "[own]", "X-Two": "[1 2]",
		"Accept-Encoding": "[identity]", "Content-Type": "[application/json]",
	} {
		if got := fmt.Sprint(h[name]); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
