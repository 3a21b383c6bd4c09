package control

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/humanapi"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/sandboxtest"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves the control API and returns its state and a client.
func start(t *testing.T) (*State, *sandboxtest.Client) {
	t.Helper()
	state := NewState(time.Now)
	return state, sandboxtest.Serve(t, New(state))
}

func TestControlRejections(t *testing.T) {
	_, c := start(t)
	for _, test := range []struct{ method, path, allow string }{
		{http.MethodPost, "/_sandbox/calls", "GET, HEAD"},
		{http.MethodDelete, "/_sandbox/users", "GET, HEAD"},
		{http.MethodPost, "/_sandbox/faults", "GET, HEAD, PUT"},
		{http.MethodGet, "/_sandbox/reset", "POST"},
		{http.MethodGet, "/_sandbox/connect", "POST"},
		{http.MethodPut, "/_sandbox/page.js", "GET, HEAD"},
		{http.MethodPost, "/", "GET, HEAD"},
	} {
		got := c.Send(c.Request(test.method, test.path, ""))
		if got.Status != 405 || got.Header.Get("Allow") != test.allow {
			t.Errorf("%s %s: %d, Allow %q, want %q", test.method, test.path, got.Status, got.Header.Get("Allow"), test.allow)
		}
	}
	for _, path := range []string{"/_sandbox/", "/_sandbox/calls/", "/_sandbox/nothing"} {
		if got := c.Get(path); got.Status != 404 {
			t.Errorf("%s: %d", path, got.Status)
		}
	}
	for _, path := range []string{"/index.html", "/favicon.ico"} {
		sandboxtest.Want(t, c.Get(path), 404, huma.CodeInvalidRequest)
	}
	for _, limit := range []string{"0", "-1", "x"} {
		sandboxtest.Want(t, c.Get("/_sandbox/calls?limit="+limit), 400, huma.CodeInvalidRequest)
	}
	r := c.Request(http.MethodPost, "/_sandbox/reset", "")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	sandboxtest.Want(t, c.Send(r), 403, huma.CodeForbiddenID)
}

func TestPage(t *testing.T) {
	_, c := start(t)
	for path, contentType := range map[string]string{"/": "text/html", "/_sandbox/page.js": "text/javascript", "/_sandbox/page.css": "text/css"} {
		got := c.Get(path)
		if got.Status != 200 || !strings.HasPrefix(got.Header.Get("Content-Type"), contentType) || len(got.Text) < 500 {
			t.Errorf("%s: %d, %v", path, got.Status, got.Header)
		}
		if !strings.HasPrefix(got.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: no policy", path)
		}
		for _, foreign := range []string{"http://", "https://", "<script>", "<style", "style=", "onclick="} {
			if strings.Contains(got.Text, foreign) {
				t.Errorf("%s contains %s", path, foreign)
			}
		}
	}
}

func TestPageOffersEveryFault(t *testing.T) {
	_, c := start(t)
	page := c.Get("/").Text
	values := slices.Concat(humanapi.Codes.Shapes, slices.Collect(maps.Keys(humanapi.Codes.Status)), service.OperationNames)
	for _, value := range values {
		if !strings.Contains(page, "<option>"+value+"</option>") && !strings.Contains(page, `<option value="`+value+`">`) {
			t.Errorf("the page does not offer %s", value)
		}
	}
}

func TestFaultJSON(t *testing.T) {
	const text = `[{"op":"signup","times":3,"status":500,"processed":true,"size":-1,"gzip":true,"delay":"1.5s","body":"x","headers":{"Retry-After":["1"]},"drip":"1ms"},` +
		`{"op":"signup","reset":"after","appear_after":"2s"},{"redirect":"http://example.com/"},{"garbage":true,"truncate":2}]`
	var faults []service.Fault
	if err := json.Unmarshal([]byte(text), &faults); err != nil {
		t.Fatal(err)
	}
	if marshaled := sandboxtest.Compact(t, faults); marshaled != text {
		t.Errorf("got\n%s\nwant\n%s", marshaled, text)
	}
	if err := NewState(time.Now).Shared.Faults.Set(faults); err != nil {
		t.Error(err)
	}
	err := json.Unmarshal([]byte(`[{"body":{"uid":1},"headers":{"a":"b"}}]`), &faults)
	if err != nil || faults[0].Body != `{"uid":1}` || faults[0].Headers.Get("A") != "b" {
		t.Errorf("%v, %+v", err, faults)
	}
}

func TestInvalidFaults(t *testing.T) {
	tests := []struct{ text, problem string }{
		{``, "read body: EOF"},
		{`null`, "JSON array"},
		{`{}`, "cannot unmarshal object"},
		{`[] []`, "after the JSON value"},
		{`[null]`, "fault 1: must not be null"},
		{`[{},{"stats":500}]`, `fault 2: json: unknown field "stats"`},
		{`[{"status":"500"}]`, "fault 1"},
		{`[{"op":"login"}]`, `fault 1: op: unknown operation "login"`},
		{`[{"delay":"5"}]`, "fault 1: delay"},
		{`[{"delay":"-1s"}]`, "fault 1: delay"},
		{`[{"delay":"1000h"}]`, "fault 1: delay"},
		{`[{"status":99}]`, "status"},
		{`[{"status":101}]`, "status"},
		{`[{"times":-1}]`, "times"},
		{`[{"reset":"now"}]`, "reset"},
		{`[{"reset":"before","status":500}]`, "exclude each other"},
		{`[{"reset":"before","truncate":5}]`, "reset"},
		{`[{"redirect":"http://example.com","garbage":true}]`, "exclude each other"},
		{`[{"redirect":"http://exa mple.com"}]`, "redirect"},
		{`[{"processed":true}]`, "processed"},
		{`[{"op":"signin","appear_after":"1s"}]`, "appear_after"},
		{`[{"appear_after":"1s"}]`, "appear_after"},
		{`[{"truncate":-1}]`, "truncate"},
		{`[{"truncate":1,"size":5}]`, "truncate"},
		{`[{"size":-2}]`, "size"},
		{`[{"headers":{"a b":"c"}}]`, "headers"},
		{`[{"headers":{"a":"b\r\nc: d"}}]`, "headers"},
		{`[{"headers":{"content-length":"1"}}]`, "headers"},
		{`[{"headers":{"a":1}}]`, "fault 1"},
		{`[` + strings.Repeat(`{},`, 1000) + `{}]`, "more than"},
		{`[{"body":"` + strings.Repeat("x", maxBody) + `"}]`, "too large"},
	}
	_, c := start(t)
	if got := c.Send(c.Request(http.MethodPut, "/_sandbox/faults", `[{"status":500}]`)); got.Status != 200 {
		t.Fatal(got.Text)
	}
	for _, test := range tests {
		got := c.Send(c.Request(http.MethodPut, "/_sandbox/faults", test.text))
		sandboxtest.Want(t, got, 400, huma.CodeInvalidRequest)
		if message, _ := got.Member(t, "message").(string); !strings.Contains(message, test.problem) {
			t.Errorf("%.60s: %s, want %s", test.text, message, test.problem)
		}
	}
	if left := c.Send(c.Request(http.MethodGet, "/_sandbox/faults", "")); strings.TrimSpace(left.Text) != `[{"status":500}]` {
		t.Errorf("faults changed: %s", left.Text)
	}
}

func TestConnectRejections(t *testing.T) {
	state, c := start(t)
	state.HumanAPI.FindOrCreate("hapi1", "u-1")
	for _, test := range []struct {
		body, problem string
		status        int
	}{
		{``, "read body: EOF", 400},
		{`null`, "client_user_id is required", 400},
		{`["u-1"]`, "cannot unmarshal array", 400},
		{`{"client_user_id":"u-1"} {}`, "after the JSON value", 400},
		{`{}`, "client_user_id", 400},
		{`{"client_user_id":""}`, "client_user_id", 400},
		{`{"client_user_id":1}`, "client_user_id", 400},
		{`{"client_user_id":"u-1","connected":"no"}`, "connected", 400},
		{`{"client_user_id":"u-1","connect":false}`, `unknown field "connect"`, 400},
		{`{"client_user_id":"` + strings.Repeat("u", maxBody) + `"}`, "too large", 400},
		{`{"client_user_id":"u-2"}`, "user does not exist", 404},
		{`{"client_user_id":"U-1"}`, "user does not exist", 404},
		{`{"client_user_id":"u-1","client_id":"hapi2"}`, "user does not exist", 404},
	} {
		got := c.Connect(test.body)
		sandboxtest.Want(t, got, test.status, huma.CodeInvalidRequest)
		if message, _ := got.Member(t, "message").(string); !strings.Contains(message, test.problem) {
			t.Errorf("%.60s: %s, want %s", test.body, message, test.problem)
		}
	}
	r := c.Request(http.MethodPost, "/_sandbox/connect", `{"client_user_id":"u-1"}`)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	sandboxtest.Want(t, c.Send(r), 403, huma.CodeForbiddenID)
	if user := state.HumanAPI.List(0)[0]; user.Connected {
		t.Errorf("user: %+v", user)
	}
}
