package caddymodule_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

const path = "/private/huma-token"

// iosPath is the target of a request for an iOS client's token.
const iosPath = path + "?client_type=ios"

func TestSignsInAndUp(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"known@x.example"}})
	s := serve(t, simpleSite(huma, ""))

	first := s.request("GET", iosPath, as("known@x.example"))
	known := first.tokens(t)
	first.noStore(t)
	if got := huma.Calls().ByOp; got["signin"] != 1 || got["signup"] != 0 {
		t.Errorf("calls for a known user: %v", got)
	}
	again := s.request("GET", iosPath, as("known@x.example")).tokens(t)
	if again.AuthToken != known.AuthToken || huma.calls("signin") != 1 {
		t.Error("the second request was not answered from the cache")
	}

	s.request("POST", iosPath, as("new@x.example"), header("X-Test-Name", "Ada King Lovelace")).tokens(t)
	if got := huma.Calls().ByUser["new@x.example"]; got["signin"] != 1 || got["signup"] != 1 {
		t.Errorf("calls for an unknown user: %v", got)
	}
	s.noSecretsInLog("@x.example", "sandbox-secret", known.AuthToken, "Lovelace")
}

func TestDeleteEvictsTheUser(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		// The cache has two tokens per user, for different requests.
		more, other, sameUser := "cache 1m {\nvary {query.tab}\n}", p.target("tab=2"), "a@x.example"
		if p.name == "huma" {
			more, other, sameUser = "", path+"?client_type=web", "A@X.example"
		}
		fake := newHuma(t, sandbox.Config{})
		p.addUsers(fake, "a@x.example", "b@x.example")
		s := serve(t, p.site(fake, more))
		a := s.request("GET", p.target(), as("a@x.example")).token(t, p)
		s.request("GET", other, as("a@x.example")).token(t, p)
		b := s.request("GET", p.target(), as("b@x.example")).token(t, p)

		gone := s.request("DELETE", p.path, as(sameUser))
		if gone.StatusCode != http.StatusNoContent || len(gone.Body) != 0 {
			t.Fatalf("DELETE: %d %q", gone.StatusCode, gone.Body)
		}
		gone.noStore(t)
		if s.request("GET", p.target(), as("a@x.example")).token(t, p) == a {
			t.Error("the token is still cached")
		}
		s.request("GET", other, as("a@x.example")).token(t, p)
		if s.request("GET", p.target(), as("b@x.example")).token(t, p) != b {
			t.Error("another user was evicted")
		}
		p.wantCalls(t, fake, 5, 0)
		s.request("DELETE", p.path).problem(t, http.StatusUnauthorized, "identity_missing")
	})
}

func TestClientTypes(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	s := serve(t, simpleSite(huma, ""))
	body := func(contentType, text string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Content-Type", contentType)
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		}
	}
	const form, json = "application/x-www-form-urlencoded", "application/json; charset=utf-8"
	for _, c := range []struct {
		name          string
		method, query string
		body          func(*http.Request)
		client        string // the client IP in the signed-in request
		code, detail  string // detail is a part of the detail in the response
	}{
		{name: "query", method: "GET", query: "?client_type=ios", client: "c1"},
		{name: "capitals", method: "GET", query: "?client_type=ANDROID", client: "c2"},
		{name: "camel case", method: "GET", query: "?clientType=Web", client: "c3"},
		{name: "escaped", method: "GET", query: "?client%5Ftype=%69os", client: "c1"},
		{name: "both spellings", method: "GET", query: "?client_type=ios&clientType=IOS", client: "c1"},
		{name: "other parameters", method: "GET", query: "?x=1&client_type=web&y=client_type", client: "c3"},
		{name: "form", method: "POST", body: body(form, "client_type=ios"), client: "c1"},
		{name: "json", method: "POST", body: body(json, `{"client_type":"IOS","reason":{"a":1}}`), client: "c1"},
		{name: "json camel case", method: "POST", body: body(json, `{"clientType":"web"}`), client: "c3"},
		{name: "query and body agree", method: "POST", query: "?client_type=web", body: body(json, `{"clientType":"web"}`), client: "c3"},
		{name: "none", method: "GET", code: "client_type_required", detail: "Send a client type, for example ?client_type=ios"},
		{name: "empty", method: "GET", query: "?client_type=", code: "client_type_required"},
		{name: "null", method: "POST", body: body(json, `{"clientType":null}`), code: "client_type_required"},
		{name: "empty body", method: "POST", code: "client_type_required"},
		{name: "unknown", method: "GET", query: "?client_type=tv", code: "client_type_unknown", detail: "(this client type does not exist)"},
		{name: "two", method: "GET", query: "?client_type=ios&client_type=web", code: "client_type_unknown"},
		{name: "query and body differ", method: "POST", query: "?client_type=web", body: body(form, "clientType=ios"), code: "client_type_unknown", detail: "(the request has two different client types)"},
		{name: "a Kelvin sign", method: "GET", query: "?client_type=" + url.QueryEscape("ıos"), code: "client_type_unknown"},
		{name: "two JSON members", method: "POST", body: body(json, `{"client_type":"ios","clientType":"android"}`), code: "client_type_unknown"},
		{name: "a JSON member twice", method: "POST", body: body(json, `{"client_type":"ios","client_type":"android"}`), code: "body_invalid"},
		{name: "unreadable", method: "GET", query: "?client_type=%zz", code: "client_type_unknown", detail: "(the client type is not percent-encoded correctly)"},
		{name: "no JSON", method: "POST", body: body(json, `{"client_type"`), code: "body_invalid", detail: "(the body is not valid JSON, is nested too deeply, or an object in it has a member twice)"},
		{name: "JSON list", method: "POST", body: body(json, `["ios"]`), code: "body_invalid", detail: "(the JSON value is not an object)"},
		{name: "JSON null", method: "POST", body: body(json, `null`), code: "body_invalid"},
		{name: "two JSON values", method: "POST", body: body(json, `{"client_type":"ios"}{}`), code: "body_invalid"},
		{name: "JSON number", method: "POST", body: body(json, `{"client_type":1}`), code: "body_invalid", detail: "(client_type is not a string)"},
		{name: "other content", method: "POST", body: body("text/plain", "client_type=ios"), code: "body_invalid", detail: "(the body has another Content-Type, or none)"},
		{
			name: "multipart", method: "POST", body: body("multipart/form-data; boundary=x", "--x--"), code: "body_invalid",
			detail: "(application/x-www-form-urlencoded) or a JSON object (application/json) of at most 4096 bytes, in which client_type is a string. (the body has another Content-Type, or none)",
		},
		{name: "too long", method: "POST", query: "?client_type=ios", body: body(form, strings.Repeat("x", 4097)), code: "body_invalid", detail: "(the body is too long)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			huma.Reset()
			s.request("DELETE", path, as("a@x.example"))
			edits := []func(*http.Request){as("a@x.example")}
			if c.body != nil {
				edits = append(edits, c.body)
			}
			a := s.request(c.method, path+c.query, edits...)
			if c.code != "" {
				a.problem(t, http.StatusBadRequest, c.code)
				if !strings.Contains(string(a.Body), c.detail) {
					t.Errorf("the detail is not %q: %s", c.detail, a.Body)
				}
				if n := len(huma.Calls().Calls); n != 0 {
					t.Errorf("%d calls at Huma", n)
				}
				return
			}
			a.tokens(t)
			if calls := huma.Calls().Calls; len(calls) != 1 || calls[0].ClientID != c.client {
				t.Errorf("calls %+v, want one with %s", calls, c.client)
			}
		})
	}
}

func TestClientTypeDefaults(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	credentials := func(ids string) string {
		return strings.NewReplacer("client_id ios c1", ids, "client_id android c2", "", "client_id web c3", "").Replace(simpleSite(huma, ""))
	}
	for _, c := range []struct {
		name                                   string
		caddyfile, query, client, code, detail string
	}{
		{name: "configured", caddyfile: simpleSite(huma, "client_type android"), client: "c2"},
		{name: "named wins", caddyfile: simpleSite(huma, "client_type android"), query: "?client_type=web", client: "c3"},
		{name: "the only one", caddyfile: credentials("client_id web c3"), client: "c3"},
		{name: "without an id", caddyfile: credentials("client_id web c3"), query: "?client_type=ios", code: "client_type_unknown", detail: "(this client type has no ID)"},
		{name: "one for all", caddyfile: credentials("client_id c2"), client: "c2"},
		{name: "one, but named", caddyfile: credentials("client_id c2"), query: "?client_type=ios", client: "c2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			huma.Reset()
			a := serve(t, c.caddyfile).request("GET", path+c.query, as("a@x.example"))
			if c.code != "" {
				a.problem(t, http.StatusBadRequest, c.code)
				if !strings.Contains(string(a.Body), c.detail) {
					t.Errorf("the detail is not %q: %s", c.detail, a.Body)
				}
				return
			}
			a.tokens(t)
			if calls := huma.Calls().Calls; len(calls) != 1 || calls[0].ClientID != c.client {
				t.Errorf("calls %+v, want one with %s", calls, c.client)
			}
		})
	}
}
