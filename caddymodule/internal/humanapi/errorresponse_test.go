package humanapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/connect"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// published are the codes in the service's guide.
var published = []string{
	"SESSION_TOKEN_GENERATION_NOT_ALLOWED", "UNKNOWN_CLIENT_USER_ID", "ID_TOKEN_GENERATION_NOT_ALLOWED",
	"INVALID_CLIENT_ID", "INVALID_CLIENT_ID_OR_SECRET", "CLIENT_TOKEN_GENERATION_NOT_ALLOWED", "NOT_AUTHORIZED",
	"INVALID_TOKEN_TYPE",
}

// TestCodes checks each code in each possible place, with any status.
func TestCodes(t *testing.T) {
	places := []string{
		`{"errorCode":%q}`, `{"error_code":%q}`, `{"code":%q}`, `{"error":%q}`, `{"message":%q}`, `{"type":%q}`,
		`{"error":{"errorCode":%q}}`, `{"error":{"error_code":%q}}`, `{"error":{"code":%q}}`,
		`{"error":{"error":%q}}`, `{"error":{"message":%q}}`, `{"error":{"type":%q}}`,
		`{"statusCode":403,"error":"Forbidden","code":12,"message":"x","errorCode":%q}`,
	}
	for _, code := range published {
		for i, place := range places {
			status := []int{302, 400, 401, 403, 404, 429, 500, 503}[i%8]
			body := fmt.Sprintf(place, code)
			e := refusal(t, testutil.ServeResponse(t, status, body), types[i%2])
			if e.Code != code || !e.Definite || e.Status != status {
				t.Errorf("%s: got %+v", body, e)
			}
		}
		for _, message := range []string{"%s", "%s: no", "Error (%s)", "[%s]", "refused: %s.", "a\n%s\tb", "code=%s", "über-%s–"} {
			for _, place := range []string{`{"message":%q}`, `{"error":{"message":%q}}`} {
				body := fmt.Sprintf(place, fmt.Sprintf(message, code))
				if got := codeOf(body); got != code {
					t.Errorf("%s: got %q, want %q", body, got, code)
				}
			}
		}
	}
}

// codeOf returns the code in the body of an error response.
func codeOf(body string) string { return readCode(readObjects([]byte(body))) }

func TestNoCodes(t *testing.T) {
	for _, body := range []string{
		"", "null", "[]", "<html>INVALID_CLIENT_ID</html>", `"INVALID_CLIENT_ID"`, `["INVALID_CLIENT_ID"]`,
		`{}`, `{"errorCode":null}`, `{"errorCode":12}`, `{"errorCode":["INVALID_CLIENT_ID"]}`,
		`{"errorCode":"` + canaryResponse + `"}`, `{"errorCode":"invalid_client_id"}`, `{"errorCode":" INVALID_CLIENT_ID"}`,
		`{"ErrorCode":"INVALID_CLIENT_ID"}`, `{"detail":"INVALID_CLIENT_ID"}`, `{"errors":[{"code":"INVALID_CLIENT_ID"}]}`,
		`{"error":{"error":{"code":"INVALID_CLIENT_ID"}}}`, `{"error":["INVALID_CLIENT_ID"]}`,
		`{"error":"is INVALID_CLIENT_ID"}`, `{"type":"urn:NOT_AUTHORIZED"}`,
		`{"message":"INVALID_CLIENT_IDS"}`, `{"message":"INVALID_CLIENT_ID_OR"}`, `{"message":"NEVER_NOT_AUTHORIZED"}`,
		`{"message":"NOT_AUTHORIZED7"}`, `{"message":"éNOT_AUTHORIZED"}`, `{"message":["NOT_AUTHORIZED"]}`,
		`{"errorCode":"INVALID_CLIENT_ID"} {}`, `{"errorCode":"INVALID_CLIENT_ID"`, "\ufeff" + `{"errorCode":"INVALID_CLIENT_ID"}`,
		`{"errorCode":"INVALID_CLIENT_ID","x":"` + strings.Repeat("x", 64<<10) + `"}`,
	} {
		e := refusal(t, testutil.ServeResponse(t, 403, body), connect.SessionToken)
		if *e != (exchange.StatusError{Op: exchange.OpSession, Status: 403}) {
			t.Errorf("%.60s: got %+v", body, e)
		}
	}
}

// TestFirstCode checks the order: a whole text before a word of a message, and the
// outer object before the inner one.
func TestFirstCode(t *testing.T) {
	for body, want := range map[string]string{
		`{"message":"INVALID_CLIENT_ID_OR_SECRET"}`:                                                      "INVALID_CLIENT_ID_OR_SECRET",
		`{"message":"not INVALID_CLIENT_ID_OR_SECRET but INVALID_CLIENT_ID"}`:                            "INVALID_CLIENT_ID_OR_SECRET",
		`{"message":"INVALID_CLIENT_ID_X, NOT_AUTHORIZED"}`:                                              "NOT_AUTHORIZED",
		`{"type":"NOT_AUTHORIZED","errorCode":"INVALID_CLIENT_ID"}`:                                      "INVALID_CLIENT_ID",
		`{"errorCode":"E1","code":"NOT_AUTHORIZED"}`:                                                     "NOT_AUTHORIZED",
		`{"message":"a NOT_AUTHORIZED","error":{"code":"INVALID_CLIENT_ID"}}`:                            "INVALID_CLIENT_ID",
		`{"code":"NOT_AUTHORIZED","error":{"code":"INVALID_CLIENT_ID"}}`:                                 "NOT_AUTHORIZED",
		`{"message":"a NOT_AUTHORIZED","error":{"message":"an INVALID_CLIENT_ID"}}`:                      "NOT_AUTHORIZED",
		`{"errorCode":"INVALID_CLIENT_ID","errorCode":"NOT_AUTHORIZED"}`:                                 "NOT_AUTHORIZED",
		`{"message":"` + strings.Repeat("x ", 30000) + `NOT_AUTHORIZED"}`:                                "NOT_AUTHORIZED",
		`{"error":"UNKNOWN_CLIENT_USER_ID","message":"user ` + canaryUser + ` is unknown","status":404}`: "UNKNOWN_CLIENT_USER_ID",
	} {
		if got := codeOf(body); got != want {
			t.Errorf("%.80s: got %q, want %q", body, got, want)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	long := strings.Repeat("a", 129)
	for _, test := range []struct{ header, body, want string }{
		{"", "", ""},
		{"6f1c-41d7", "", "6f1c-41d7"},
		{"6f1c-41d7", `{"requestId":"other"}`, "6f1c-41d7"},
		{"not one", `{"requestId":"r1"}`, "r1"},
		{long, `{"request_id":"r1"}`, "r1"},
		{"", `{"x-humanapi-request-id":"r1"}`, "r1"},
		{"", `{"error":{"requestId":"r1"}}`, "r1"},
		{"", `{"requestId":17}`, "17"},
		{"", `{"requestId":null}`, ""},
		{"", `{"requestId":["r1"]}`, ""},
		{"", `{"requestId":"` + long + `"}`, ""},
		{"", `{"requestId":"` + canaryEmail + `"}`, ""},
		{"", `{"requestId":"a\nb"}`, ""},
		{canaryEmail, "", ""},
		{"r1", "<html>", "r1"},
	} {
		api := testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-HumanAPI-Request-Id", test.header)
			w.WriteHeader(403)
			_, _ = w.Write([]byte(test.body))
		})
		if e := refusal(t, api, connect.IDToken); e.RequestID != test.want {
			t.Errorf("%q, %s: got %q, want %q", test.header, test.body, e.RequestID, test.want)
		}
	}
}

func FuzzErrorResponse(f *testing.F) {
	for _, code := range published {
		f.Add(`{"errorCode":"`+code+`"}`, "r1")
		f.Add(`{"error":{"message":"x `+code+`, y"},"requestId":"a b"}`, "")
	}
	f.Add("", "\x00")
	f.Add(`{"error":{"error":{}},"message":null,"requestId":12e4}`, strings.Repeat("x", 129))
	known := map[string]bool{"": true}
	for _, code := range published {
		known[code] = true
	}
	f.Fuzz(func(t *testing.T, body, id string) {
		e := &exchange.StatusError{Op: exchange.OpID, Status: 403}
		readErrorResponse(e, http.Header{http.CanonicalHeaderKey(requestIDName): {id}}, []byte(body))
		if !known[e.Code] || e.Definite != (e.Code != "") {
			t.Errorf("%+v", e)
		}
		if len(e.RequestID) > 128 || strings.ContainsAny(e.RequestID, " @\n\r\t\"'<>{}") {
			t.Errorf("request %q", e.RequestID)
		}
		if e.Status != 403 || e.Op != exchange.OpID || e.RetryAfter != 0 {
			t.Errorf("%+v", e)
		}
	})
}
