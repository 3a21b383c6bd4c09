package caddymodule_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// TestConnect_UserIDIsCompared checks that IDs are compared byte for byte, and that the
// address is sent unchanged, but is not part of the identity.
func TestConnect_UserIDIsCompared(t *testing.T) {
	d := openConnect(t, sandbox.Config{}, "")
	const sent = "Alice+x@X.example"
	first := d.get(t, "u-1", emailHeader(sent))
	if c := d.fake.Calls().Calls[0]; c.Email != sent {
		t.Errorf("the call has the address %q, want %q", c.Email, sent)
	}
	for _, address := range []string{"b@x.example", "alice+x@x.example", "no address", ""} {
		if d.get(t, "u-1", emailHeader(address)).Token != first.Token {
			t.Errorf("%q: another user", address)
		}
	}
	d.wantCalls(t, "session")

	ids := []string{
		"U-1", "u-1.", "u-10", "u_1", "u|1", `u"1`, `u\1`, "auth0|5f7c8ec7c33c6c004bbafe82", "a@x.example", "A@x.example",
		"00000001", "1", "Jürgen", "Ju\u0308rgen", "\u212aelvin", "kelvin", "u 1", "<u>", "%75-1", strings.Repeat("u", 256),
	}
	tokens := map[string]string{first.Token: "u-1"}
	for _, id := range ids {
		v := d.get(t, id, emailHeader("a@x.example"))
		if other, ok := tokens[v.Token]; ok {
			t.Errorf("%q got the token of %q", id, other)
		}
		tokens[v.Token] = id
	}
	var got []string
	for _, u := range d.fake.HumanUsers() {
		got = append(got, u.ClientUserID)
	}
	if want := append([]string{"u-1"}, ids...); !slices.Equal(got, want) {
		t.Errorf("the service was called for %q\nwant %q", got, want)
	}
	d.noSecretsInLog("@x.example", "5f7c8ec7", "Jürgen")
}

// TestConnect_InvalidUserID checks that no call is made for a request without exactly one
// valid user ID.
func TestConnect_InvalidUserID(t *testing.T) {
	d := openConnect(t, sandbox.Config{}, "")
	for _, c := range []struct {
		name  string
		edits []func(*http.Request)
		code  string
	}{
		{"none", nil, "identity_missing"},
		{"an address only", []func(*http.Request){emailHeader("a@x.example")}, "identity_missing"},
		{"empty", []func(*http.Request){as("")}, "identity_missing"},
		{"twice", []func(*http.Request){as("u-1"), as("u-2")}, "identity_ambiguous"},
		{"twice the same", []func(*http.Request){as("u-1"), as("u-1")}, "identity_ambiguous"},
		{"empty and one", []func(*http.Request){as(""), as("u-1")}, "identity_ambiguous"},
		{"joined", []func(*http.Request){as("u-1, u-2")}, "identity_ambiguous"},
		{"a tab", []func(*http.Request){as("u\t1")}, "identity_invalid"},
		{"no UTF-8", []func(*http.Request){as("u\xff1")}, "identity_invalid"},
		{"a C1 control", []func(*http.Request){as("u\u00851")}, "identity_invalid"},
		{"too long", []func(*http.Request){as(strings.Repeat("u", 257))}, "identity_invalid"},
		{"a placeholder", []func(*http.Request){as("{http.auth.user.id}")}, "identity_invalid"},
		{"a null value", []func(*http.Request){as("(null)")}, "identity_invalid"},
		{"two addresses", []func(*http.Request){as("u-1"), emailHeader("a@x.example"), emailHeader("b@x.example")}, "identity_ambiguous"},
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			t.Run(c.name+" "+method, func(t *testing.T) {
				d.request(method, connectPath, c.edits...).problem(t, http.StatusUnauthorized, c.code)
			})
		}
	}
	d.wantCalls(t)
}

// TestConnect_FromAnUntrustedPeer checks that the header of an untrusted peer is
// rejected.
func TestConnect_FromAnUntrustedPeer(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	s := serve(t, strings.Replace(humanAPIService.site(fake, ""), "trust proxies 127.0.0.1", "trust proxies 192.0.2.0/24", 1))
	s.request("GET", connectPath, as("u-1")).problem(t, http.StatusUnauthorized, "identity_untrusted")
	if n := len(fake.Calls().Calls); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// TestConnect_WithBasicAuth checks that the account is the user ID.
func TestConnect_WithBasicAuth(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	s := serve(t, "SITE {\n"+accounts+"\nhuman_api_token {\n"+humanAPIService.options(fake)+"identity basic_auth\n}\n}")
	s.request("GET", connectPath, password("alice@x.example"), as("bob@x.example")).connect(t)
	if a := s.request("GET", connectPath, as("bob@x.example")); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a password: %d", a.StatusCode)
	}
	if users := fake.HumanUsers(); len(users) != 1 || users[0].ClientUserID != "alice@x.example" {
		t.Errorf("users %+v", users)
	}
}

// TestConnect_QueryAndBodyAreIgnored checks that neither the query nor the body of a
// request changes the call to the service or the token in the response.
func TestConnect_QueryAndBodyAreIgnored(t *testing.T) {
	d := openConnect(t, sandbox.Config{}, "extra_scopes a")
	first := d.get(t, "u-1")
	d.wantCalls(t, "session")
	const query = "?type=id&client_user_id=other&client_id=hapi2&client_secret=x&client_user_email=o@x.example&extra_scopes=b&client_type=tv&clientType=%zz"
	const object = `{"type":"id","client_user_id":"other","client_id":"hapi2","client_user_email":"o@x.example","extra_scopes":["b"],"client_type":"tv"}`
	bodies := map[string]string{
		"application/json": object, "application/x-www-form-urlencoded": query[1:], "text/plain": object, "": "\x00",
		"application/xml": strings.Repeat("x", 100_000), "application/problem+json": `{"type"`,
	}
	requests := map[string]*http.Request{}
	for contentType, body := range bodies {
		for _, target := range []string{connectPath, connectPath + query} {
			for _, method := range []string{"GET", "POST"} {
				r, err := http.NewRequestWithContext(t.Context(), method, d.URL+target, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", contentType)
				requests[fmt.Sprint(method, contentType, target != connectPath)] = r
			}
		}
	}
	for name, r := range requests {
		for _, edit := range []func(*http.Request){as("u-1"), as(name)} { // a user with a cached token, and a new user
			edited := func(own *http.Request) {
				body, err := r.GetBody()
				if err != nil {
					t.Fatal(err)
				}
				own.Body, own.ContentLength = io.NopCloser(body), r.ContentLength
				own.Header = r.Header.Clone()
				edit(own)
			}
			v := d.request(r.Method, r.URL.RequestURI(), edited).connect(t)
			if v.Type != "session" || v.Token == first.Token != (len(d.fake.Calls().Calls) == d.seen) {
				t.Errorf("%s: %+v", name, v)
			}
			if len(d.fake.Calls().Calls) > d.seen {
				d.wantCalls(t, "session")
			}
		}
	}
	for _, c := range d.fake.Calls().Calls {
		if c.ClientID != "hapi1" || c.ClientUserID == "other" || c.Email != "" || !slices.Equal(c.ExtraScopes, []string{"a"}) || c.Status != 200 {
			t.Errorf("%+v", c)
		}
	}
}
