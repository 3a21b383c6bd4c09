package humanapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/connect"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// read parses a response for type typ.
func read(typ connect.TokenType, body string) (*exchange.Token, error) {
	m, err := membersOf(typ)
	if err != nil {
		return nil, err
	}
	token, _, err := m.read(typ, []byte(body), time.Now())
	return token, err
}

func TestResponseMembers(t *testing.T) {
	const session = `{"token":"t","type":"session","expires_in":%d,"session_token":"t"%s}`
	const id = `{"token":"t","type":"id","expires_in":%d,"id_token":"t"%s}`
	tests := []struct {
		typ     connect.TokenType
		body    string
		form    string
		expires int
		more    string
	}{
		{connect.SessionToken, `{"session_token":"t"}`, session, 0, ""},
		{connect.SessionToken, `{"session_token":"t","human_id":null}`, session, 0, ""},
		{connect.SessionToken, `{"session_token":"t","human_id":""}`, session, 0, ""},
		{connect.SessionToken, `{"session_token":"t","human_id":4711}`, session, 0, ""},
		{connect.SessionToken, `{"session_token":"t","human_id":{"a":1}}`, session, 0, ""},
		{connect.SessionToken, `{"session_token":"t","human_id":"h"}`, session, 0, `,"human_id":"h"`},
		{connect.SessionToken, `{"session_token":"t","expires_in":50,"id_token_expires_in":70,"id_token":"x"}`, session, 50, ""},
		{connect.SessionToken, `{"session_token":"t","Expires_In":50}`, session, 0, ""},
		{connect.SessionToken, `{"session_token":"s","session_token":"t","more":[1,{"a":null}]}`, session, 0, ""},
		{connect.IDToken, `{"id_token":"t"}`, id, 0, ""},
		{connect.IDToken, `{"id_token":"t","expires_in":50}`, id, 0, ""},
		{connect.IDToken, `{"id_token":"t","id_token_expires_in":70,"expires_in":50,"session_token":"x"}`, id, 70, ""},
		{connect.IDToken, `{"id_token":"t","human_id":"h"}`, id, 0, `,"human_id":"h"`},
		{connect.IDToken, `{"id_token":"t","id_refresh_token":"r","refresh_token":"r","access_token":"r"}`, id, 0, ""},
	}
	for _, test := range tests {
		g, err := read(test.typ, test.body)
		if err != nil {
			t.Errorf("%s: %v", test.body, err)
			continue
		}
		if got, want := jsonOf(g), fmt.Sprintf(test.form, test.expires, test.more); got != want {
			t.Errorf("%s\n got %s\nwant %s", test.body, got, want)
		}
	}
}

// TestC09_Lifetimes checks lifetimes as package wire parses them, with a maximum of one
// day.
func TestC09_Lifetimes(t *testing.T) {
	for raw, want := range map[string]int64{
		`3600`: 3600, `86400`: 86400, `86401`: 86400, `1e18`: 86400, `"86401"`: 86400, `" 3600 "`: 3600, `0`: 0, `null`: 0,
	} {
		for typ, name := range map[connect.TokenType]string{
			connect.SessionToken: "expires_in", connect.IDToken: "id_token_expires_in",
		} {
			g, err := read(typ, fmt.Sprintf(`{"%s_token":"t",%q:%s}`, typ, name, raw))
			if err != nil {
				t.Errorf("%s: %v", raw, err)
				continue
			}
			var got struct {
				Expires int64 `json:"expires_in"`
			}
			if err := json.Unmarshal([]byte(jsonOf(g)), &got); err != nil || got.Expires != want {
				t.Errorf("%s of %s: got %d, want %d, %v", raw, typ, got.Expires, want, err)
			}
		}
	}
}

// TestH08_UnusableAnswers checks unusable responses. Package wire rejects those that
// are not a JSON object.
func TestH08_UnusableResponses(t *testing.T) {
	other := map[connect.TokenType]connect.TokenType{connect.SessionToken: connect.IDToken, connect.IDToken: connect.SessionToken}
	for _, typ := range types {
		name := string(typ) + "_token"
		token := fmt.Sprintf("%q:%q", name, canaryToken)
		for body, reason := range map[string]string{
			"<html>" + canaryResponse:                     "not JSON",
			"{" + token + "} {}":                          "not JSON",
			"[{" + token + "}]":                           "not a JSON object",
			"{}":                                          "no token",
			`{"token":"t"}`:                               "no token",
			`{"access_token":"t"}`:                        "no token",
			`{"id_refresh_token":"t"}`:                    "no token",
			`{"errorCode":"INVALID_CLIENT_ID"}`:           "no token",
			`{"data":{` + token + `}}`:                    "no token",
			`{"` + name + `":""}`:                         "no token",
			`{"` + name + `":null}`:                       "no token",
			`{"` + name + `":12}`:                         "no token",
			`{"` + name + `":["` + canaryResponse + `"]}`: "no token",
			`{"` + strings.ToUpper(name) + `":"t"}`:       "no token",
			good[other[typ]]:                              "no token",
			strings.Repeat("x", 64<<10+1):                 "longer than 64 KiB",
		} {
			g, err := testClient(t, testutil.ServeResponse(t, 200, body)).Token(t.Context(), typ, user())
			if e := testutil.As[*exchange.ResponseError](t, err); e.Reason != reason || e.Op != typ.Op() || g != nil {
				t.Errorf("%.60q: got %q, want %q", body, e.Reason, reason)
			}
			testutil.NoSecrets(t, err, canaries...)
		}
	}
}

func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		goodSession, goodID, "", "null", "[]", "{}", "\ufeff{}", `{"id_token":""}`, `{"session_token":"t","expires_in":"3600.5"}`,
		`{"id_token":"\ud800","id_token_expires_in":1e18,"id_refresh_token":"r"}`, `{"session_token":"t","human_id":"h"}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, typ := range types {
			g, err := read(typ, body)
			if err != nil {
				if e := testutil.As[*exchange.ResponseError](t, err); g != nil || e.Reason == "" {
					t.Errorf("token %v, %v", g, err)
				}
				continue
			}
			var got map[string]json.RawMessage
			if err := json.Unmarshal([]byte(jsonOf(g)), &got); err != nil {
				t.Fatalf("%q: %v", jsonOf(g), err)
			}
			var expires uint64
			if json.Unmarshal(got["expires_in"], &expires) != nil || expires > 86400 {
				t.Errorf("expires_in is %s", got["expires_in"])
			}
			if string(got["token"]) == `""` || string(got["token"]) != string(got[string(typ)+"_token"]) || string(got["type"]) != fmt.Sprintf("%q", typ) {
				t.Errorf("%s", jsonOf(g))
			}
			delete(got, "human_id")
			if len(got) != 4 {
				t.Errorf("more than there is to say: %s", jsonOf(g))
			}
		}
	})
}
