package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// of returns the Error with which the endpoint responds to err.
func of(err error) problem.Error {
	f := problem.Of(err)
	f.Kind = problem.Lookup(f.Code, nil)
	return f
}

func TestHeaders(t *testing.T) {
	unavailable := func(after time.Duration) error {
		return &exchange.Error{Code: exchange.CodeUnavailable, RetryAfter: after}
	}
	for _, c := range []struct {
		name                  string
		err                   error
		status                int
		retryAfter, challenge string
	}{
		{"the default", unavailable(0), 503, "5", ""},
		{"a fraction of a second", unavailable(time.Millisecond), 503, "1", ""},
		{"rounded up", unavailable(2001 * time.Millisecond), 503, "3", ""},
		{"an hour", unavailable(time.Hour), 503, "60", ""},
		{"within an error", fmt.Errorf("x: %w", unavailable(2*time.Second)), 503, "2", ""},
		{"per user", exchange.ErrUserOverloaded, 503, "1", ""},
		{"an unknown error", errors.New("x"), 503, "5", ""},
		{"a timeout", &exchange.Error{Code: exchange.CodeTimeout}, 504, "", ""},
		{"refused", &exchange.Error{Code: exchange.CodeRefused}, 403, "", ""},
		{"unauthenticated", &identity.Rejection{Reason: identity.ReasonMissing}, 401, "", "Bearer"},
	} {
		f, h := of(c.err), make(http.Header)
		f.SetHeaders(h)
		if f.Status != c.status || h.Get("Retry-After") != c.retryAfter || h.Get("WWW-Authenticate") != c.challenge {
			t.Errorf("%s: %d %v", c.name, f.Status, h)
		}
	}
}

// TestTable checks every kind of error: its response is a problem that names its code and
// links to its section of the documentation.
func TestTable(t *testing.T) {
	for code, kind := range problem.Table {
		f := problem.Error{Code: code, Kind: problem.Lookup(code, nil)}
		var v struct {
			Type, Title, Detail, Code string
			Status                    int
		}
		if err := json.Unmarshal(f.JSON(), &v); err != nil || v.Type != "https://github.com/caddy-huma/caddy-huma/blob/main/docs/errors.md#"+string(code) ||
			v.Title == "" || v.Detail != kind.Detail || v.Code != string(code) || v.Status != kind.Status {
			t.Errorf("%s: %v, %+v", code, err, v)
		}
		if kind.Status < 400 || kind.Outcome == "" || kind.Detail == "" {
			t.Errorf("%s: %+v", code, kind)
		}
	}
}

// TestHint checks that what the operator has to change is in the error for the log, and
// not in the response to a client that is not authenticated.
func TestHint(t *testing.T) {
	rejected := of(&identity.Rejection{Reason: identity.ReasonMissing, Hint: "set trust"})
	if got := rejected.Error(); got != "identity_missing: set trust" {
		t.Error(got)
	}
	var v struct{ Detail string }
	if err := json.Unmarshal(rejected.JSON(), &v); err != nil || v.Detail != "The request is not authenticated." {
		t.Errorf("%v, %q", err, v.Detail)
	}
	custom := problem.Lookup(exchange.CodeConfig, map[exchange.Code]string{exchange.CodeConfig: "another"})
	if custom.Detail != "another" || custom.Status != 502 {
		t.Errorf("%+v", custom)
	}
}

// TestExplanations checks that the error codes of the services are explained, also within
// another error.
func TestExplanations(t *testing.T) {
	for code, want := range problem.Explanations {
		e, ok := problem.Explain(fmt.Errorf("x: %w", &exchange.StatusError{Status: 403, Code: code}))
		if !ok || e.Meaning() != code+": "+want.Text || e.Fix != want.Fix {
			t.Errorf("%s: %t, %q", code, ok, e.Meaning())
		}
	}
	if _, ok := problem.Explain(&exchange.StatusError{Status: 403, Code: "4711"}); ok {
		t.Error("an unknown code is explained")
	}
}

// TestOpenAPI checks that docs/openapi.yaml has the list of all codes.
func TestOpenAPI(t *testing.T) {
	list := "    ErrorCode:\n      description: The error.\n      type: string\n      enum:\n"
	for _, code := range slices.Sorted(maps.Keys(problem.Table)) {
		list += "        - " + string(code) + "\n"
	}
	if !strings.Contains(string(testutil.File(t, "../../../docs/openapi.yaml")), list+"    Status:\n") {
		t.Errorf("docs/openapi.yaml does not have\n%s", list)
	}
}
