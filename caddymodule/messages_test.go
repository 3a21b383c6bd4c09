package caddymodule_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// TestMeaningOfServiceCodes checks that the log names the option that each error code of
// the services is about, and does not also point at the signature.
func TestMeaningOfServiceCodes(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		for code, e := range problem.Explanations {
			numeric := strings.Trim(code, "0123456789") == ""
			if e.Fix == "" || numeric != (p.name == "huma") {
				continue
			}
			t.Run(code, func(t *testing.T) {
				fake := newHuma(t, sandbox.Config{})
				fault := sandbox.Fault{Op: p.first, Status: 403, Code: code}
				if numeric {
					fault = sandbox.Fault{Op: p.first, Status: 403, Body: `{"code":` + code + `}`}
				}
				must(t, fake.SetFaults([]sandbox.Fault{fault}))
				s := serve(t, p.site(fake, ""))
				s.request("GET", p.target(), as("a@x.example"))
				found := s.logLines(`"meaning":"` + code + ": " + e.Text + `"`)
				if len(found) != 1 || strings.Contains(found[0], `"hint"`) {
					t.Errorf("the log has %q", found)
				}
			})
		}
	})
}

// TestDetailOf400 checks that the response to a wrong request says what is wrong.
func TestDetailOf400(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	s := serve(t, strings.Replace(simpleSite(fake, ""), "client_id web c3", "", 1))
	const jsonType, formType = "application/json", "application/x-www-form-urlencoded"
	for _, c := range []struct{ query, contentType, body, code, detail string }{
		{"", "", "", "client_type_required", "Send a client type, for example ?client_type=ios"},
		{"?client_type=tv", "", "", "client_type_unknown", "(this client type does not exist)"},
		{"?client_type=web", "", "", "client_type_unknown", "(this client type has no ID)"},
		{"?client_type=ios", formType, "client_type=android", "client_type_unknown", "(the request has two different client types)"},
		{"?client_type=%zz", "", "", "client_type_unknown", "(the client type is not percent-encoded correctly)"},
		{"", jsonType, `{"client_type":5}`, "body_invalid", "(client_type is not a string)"},
		{"", jsonType, `{"clientType":["ios"]}`, "body_invalid", "(client_type is not a string)"},
		{"", jsonType, `["ios"]`, "body_invalid", "(the JSON value is not an object)"},
		{"", jsonType, `{"client_type":`, "body_invalid", "(the body is not valid JSON, is nested too deeply, or an object in it has a member twice)"},
		{"", jsonType, `"ios"`, "body_invalid", "(the JSON value is not an object)"},
		{"", "multipart/form-data; boundary=x", "--x--", "body_invalid", "(application/x-www-form-urlencoded) or a JSON object (application/json) of at most 4096 bytes, in which client_type is a string. (the body has another Content-Type, or none)"},
		{"", "", "client_type=ios", "body_invalid", "(the body has another Content-Type, or none)"},
		{"", formType, strings.Repeat("x", 4097), "body_invalid", "(the body is too long)"},
	} {
		method := http.MethodGet
		if c.body != "" {
			method = http.MethodPost
		}
		a := s.request(method, path+c.query, as("a@x.example"), func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(c.body))
			r.ContentLength = int64(len(c.body))
			r.Header.Set("Content-Type", c.contentType)
		})
		a.problem(t, http.StatusBadRequest, c.code)
		var response struct{ Detail string }
		must(t, json.Unmarshal(a.Body, &response))
		if !strings.Contains(response.Detail, c.detail) {
			t.Errorf("%s %s: %q, want %q", c.query, c.body, response.Detail, c.detail)
		}
	}
}
