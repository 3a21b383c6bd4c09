package userinfo

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// FuzzResponse checks that only a 200 with one JSON object or list is a document.
func FuzzResponse(f *testing.F) {
	for _, body := range []string{
		`{"email":"a@x.io"}`, `[{"email":"a@x.io"}]`, ``, `null`, `7`, `"a"`, `{}{}`, `{"a":1,"a":2}`, "\ufeff{}", "[[[[", `{"a":"\ud800"}`, "{\"a\":\"\xf6\"}",
	} {
		for _, status := range []int{200, 201, 204, 302, 401, 403, 404, 500} {
			f.Add(status, "", []byte(body))
		}
		f.Add(200, "gzip", []byte(body))
		f.Add(200, "identity", []byte(body))
	}
	f.Fuzz(func(t *testing.T, status int, encoding string, body []byte) {
		var reported error
		client, err := New(subrequest.Config{URL: "http://app.invalid/me", Timeout: subrequest.DefaultTimeout, OnError: func(err error) { reported = err }, Transport: testutil.RoundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: status,
				Header:     http.Header{"Content-Encoding": {encoding}},
				Body:       io.NopCloser(bytes.NewReader(body)),
			}, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		d, err := client.Fetch(t.Context(), "", withCredentials())
		switch err {
		case nil:
			var root any
			if status != 200 || json.Unmarshal(body, &root) != nil {
				t.Fatalf("a document from status %d, %q", status, body)
			}
			switch root.(type) {
			case map[string]any, []any:
			case nil:
				if !isEmpty(d) {
					t.Fatal("the document of null is not empty")
				}
			default:
				t.Fatalf("a document from %q", body)
			}
		case identity.ErrUnauthenticated:
			if status != 401 {
				t.Fatal(status)
			}
		case identity.ErrForbidden:
			if status != 403 {
				t.Fatal(status)
			}
		case identity.ErrUserinfoUnavailable:
			if reported == nil {
				t.Fatal("no error was reported")
			}
		default:
			t.Fatal(err)
		}
		if err != nil && !isEmpty(d) {
			t.Fatal("a document and a rejection")
		}
		if (err == identity.ErrUserinfoUnavailable) != (reported != nil) {
			t.Fatalf("%v, and the error %v was reported", err, reported)
		}
	})
}

// FuzzRequest checks that one well-formed request is sent, with nothing of the client's
// request but the forwarded headers.
func FuzzRequest(f *testing.F) {
	f.Add("site.example", "a=1", "Bearer t")
	f.Add("a\r\nb", "a\r\nX-Admin: 1", "")
	f.Add("", "", "\x00")
	f.Fuzz(func(t *testing.T, host, cookie, other string) {
		client, err := New(subrequest.Config{URL: "http://app.invalid/me", Timeout: subrequest.DefaultTimeout, ForwardHeaders: []string{"Cookie", "Host"}, Transport: testutil.RoundTripper(func(req *http.Request) (*http.Response, error) {
			var sent bytes.Buffer
			if err := req.Write(&sent); err != nil {
				t.Fatalf("not sendable: %v", err)
			}
			head, rest, _ := bytes.Cut(sent.Bytes(), []byte("\r\n\r\n"))
			if n := bytes.Count(head, []byte("\n")); len(rest) != 0 || n != 5 || bytes.Count(head, []byte("\r")) != 5 {
				t.Fatalf("%q", sent.String())
			}
			if host != "" && !bytes.Contains(head, []byte("\r\nHost: "+host+"\r\n")) {
				t.Fatalf("another host than %q: %q", host, head)
			}
			return &http.Response{StatusCode: 401, Body: http.NoBody}, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{"Cookie": {cookie}, "X-Other": {other}, other: {cookie}}
		if other == "Cookie" {
			return
		}
		if _, err := client.Fetch(t.Context(), host, header); err != identity.ErrUnauthenticated && err != identity.ErrNoCredentials {
			t.Fatal(err)
		}
	})
}
