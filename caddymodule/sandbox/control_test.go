package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func (c *client) get(path string) reply {
	c.t.Helper()
	return c.must(c.request(http.MethodGet, path, ""))
}

func decode[T any](t *testing.T, r reply) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(r.text), &v); err != nil {
		t.Fatalf("%s: %v", r.text, err)
	}
	return v
}

func TestControlCalls(t *testing.T) {
	_, c := start(t, Config{})
	empty := c.get("/_sandbox/calls")
	if strings.TrimSpace(empty.text) != `{"calls":[],"byOp":{},"byUser":{},"byClientUser":{},"inFlight":0,"maxInFlight":0,"connections":0}` {
		t.Errorf("at the start: %s", empty.text)
	}
	c.post(signInPath, aliceSignIn)
	c.post(signUpPath, aliceSignUp)
	c.post(signInPath, strings.Replace(aliceSignIn, "alice", "Alice", 1))
	c.post(refreshPath, `{}`)
	log := decode[CallLog](t, c.get("/_sandbox/calls"))
	var lines []string
	for _, call := range log.Calls {
		lines = append(lines, fmt.Sprint(call.Seq, call.Op, call.Email, call.ClientID, call.Status))
		if call.At.IsZero() || (call.Status >= 400) != (call.Error != "") || call.Fault {
			t.Errorf("call: %+v", call)
		}
	}
	const wanted = "1 signin alice@example.com c1 403; 2 signup alice@example.com c1 201; 3 signin Alice@example.com c1 200; 4 refresh   400"
	if got := strings.Join(lines, "; "); normal(got) != normal(wanted) {
		t.Errorf("calls: %s", got)
	}
	if compact(t, log.ByUser) != `{"alice@example.com":{"signin":2,"signup":1}}` || compact(t, log.ByOp) != `{"refresh":1,"signin":2,"signup":1}` {
		t.Errorf("counters: %v %v", log.ByUser, log.ByOp)
	}
	if log.MaxInFlight != 1 || log.InFlight != 0 || log.Connections < 1 {
		t.Errorf("log: %+v", log)
	}
	last := decode[CallLog](t, c.get("/_sandbox/calls?limit=1"))
	if len(last.Calls) != 1 || last.Calls[0].Seq != 4 || len(last.ByUser) != 0 || last.ByOp[OpSignIn] != 2 {
		t.Errorf("limited: %+v", last)
	}
}

// normal makes what fmt puts spaces between comparable.
func normal(s string) string { return strings.ReplaceAll(s, " ", "") }

func TestControlUsersAndReset(t *testing.T) {
	fake, c := start(t, Config{Users: []string{"root@example.com"}})
	want(t, c.post(signInPath, strings.Replace(aliceSignIn, "alice", "root", 1)), 200, 0)
	fake.AddUser("alice@example.com")
	if again := fake.AddUser("ALICE@example.com"); again.Email != "alice@example.com" {
		t.Errorf("added twice: %+v", again)
	}
	users := decode[struct{ Users []User }](t, c.get("/_sandbox/users")).Users
	if len(users) != 2 || users[0].Email != "root@example.com" || users[1].Email != "alice@example.com" || len(users[0].UID) != 24 {
		t.Errorf("users: %+v", users)
	}
	if last := decode[struct{ Users []User }](t, c.get("/_sandbox/users?limit=1")).Users; len(last) != 1 || last[0].Email != "alice@example.com" {
		t.Errorf("limited: %+v", last)
	}
	setFaults(t, fake, Fault{Op: OpSignUp, Status: 500})

	got := c.must(c.request(http.MethodPost, "/_sandbox/reset", ""))
	if got.status != 204 || got.text != "" {
		t.Errorf("reset: %+v", got)
	}
	users = decode[struct{ Users []User }](t, c.get("/_sandbox/users")).Users
	if len(users) != 1 || users[0].Email != "root@example.com" || len(fake.Faults()) != 0 || len(fake.Calls().Calls) != 0 || len(fake.Calls().ByOp) != 0 {
		t.Errorf("after the reset: %+v, %+v", users, fake.Calls())
	}
}

func TestControlFaults(t *testing.T) {
	_, c := start(t, Config{})
	got := c.must(c.request(http.MethodPut, "/_sandbox/faults", ` [{"op":"signin","status":429,"headers":{"Retry-After":"2"},"times":2}]`))
	want(t, got, 200, 0)
	want(t, c.post(signInPath, aliceSignIn), 429, 429)
	if left := strings.TrimSpace(c.get("/_sandbox/faults").text); left != `[{"op":"signin","times":1,"status":429,"headers":{"Retry-After":["2"]}}]` {
		t.Errorf("left: %s", left)
	}
	want(t, c.must(c.request(http.MethodPut, "/_sandbox/faults", `[]`)), 200, 0)
	want(t, c.post(signInPath, aliceSignIn), 403, codeUserUnknown)
}

func TestControlRefusals(t *testing.T) {
	_, c := start(t, Config{})
	for _, test := range []struct{ method, path, allow string }{
		{http.MethodPost, "/_sandbox/calls", "GET"},
		{http.MethodDelete, "/_sandbox/users", "GET"},
		{http.MethodPost, "/_sandbox/faults", "GET, PUT"},
		{http.MethodGet, "/_sandbox/reset", "POST"},
		{http.MethodPut, "/_sandbox/page.js", "GET"},
		{http.MethodPost, "/", "GET, HEAD"},
	} {
		got := c.must(c.request(test.method, test.path, ""))
		want(t, got, 405, codeInvalidRequest)
		if got.header.Get("Allow") != test.allow {
			t.Errorf("%s %s: Allow %q, want %q", test.method, test.path, got.header.Get("Allow"), test.allow)
		}
	}
	for _, path := range []string{"/_sandbox/", "/_sandbox/calls/", "/_sandbox/nothing", "/index.html", "/favicon.ico"} {
		want(t, c.get(path), 404, codeInvalidRequest)
	}
	for _, limit := range []string{"0", "-1", "x"} {
		want(t, c.get("/_sandbox/calls?limit="+limit), 400, codeInvalidRequest)
	}
	r := c.request(http.MethodPost, "/_sandbox/reset", "")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	want(t, c.must(r), 403, codeForbiddenID)
}

func TestPage(t *testing.T) {
	_, c := start(t, Config{})
	for path, contentType := range map[string]string{"/": "text/html", "/_sandbox/page.js": "text/javascript", "/_sandbox/page.css": "text/css"} {
		got := c.get(path)
		if got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), contentType) || len(got.text) < 500 {
			t.Errorf("%s: %d, %v", path, got.status, got.header)
		}
		if !strings.HasPrefix(got.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: no policy", path)
		}
		for _, foreign := range []string{"http://", "https://", "<script>", "<style", "style=", "onclick="} {
			if strings.Contains(got.text, foreign) {
				t.Errorf("%s contains %s", path, foreign)
			}
		}
	}
}

func TestPageOffersEveryFault(t *testing.T) {
	_, c := start(t, Config{})
	page := c.get("/").text
	values := slices.Concat(shapes, slices.Collect(maps.Keys(wordStatus)))
	for _, op := range operations {
		values = append(values, op.name)
	}
	for _, value := range values {
		if !strings.Contains(page, "<option>"+value+"</option>") && !strings.Contains(page, `<option value="`+value+`">`) {
			t.Errorf("%s is not on offer", value)
		}
	}
}

func TestCallLogIsBounded(t *testing.T) {
	l := newCallLog()
	const n = maxCalls + 10
	for i := range n {
		l.end(l.begin(Call{Op: OpSignIn, Email: "A@example.com"}, fmt.Sprint(i%3)), 200, "", false)
	}
	r := l.report(0)
	if len(r.Calls) != maxCalls || r.Calls[0].Seq != 11 || r.Calls[maxCalls-1].Seq != n || r.ByOp[OpSignIn] != n || r.ByUser["a@example.com"][OpSignIn] != n || r.Connections != 3 {
		t.Errorf("%d calls from %d to %d, %v %v", len(r.Calls), r.Calls[0].Seq, r.Calls[maxCalls-1].Seq, r.ByOp, r.ByUser)
	}
	if last := l.report(2).Calls; len(last) != 2 || last[1].Seq != n {
		t.Errorf("limited: %+v", last)
	}
}

func TestMaxInFlight(t *testing.T) {
	fake, c := start(t, Config{})
	setFaults(t, fake, Fault{Delay: 100 * time.Millisecond})
	done := make(chan error)
	for range 5 {
		go func() {
			_, err := c.do(c.request(http.MethodPost, signInPath, aliceSignIn))
			done <- err
		}()
	}
	for range 5 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	log := fake.Calls()
	if log.MaxInFlight != 5 || log.InFlight != 0 || log.Connections != 5 {
		t.Errorf("log: %d most in flight, %d now, %d connections", log.MaxInFlight, log.InFlight, log.Connections)
	}
}

func TestConfigIsCopied(t *testing.T) {
	cfg := Config{ClientIDs: map[string]string{"ios": "c1"}, Users: []string{"alice@example.com"}, HumanAPI: HumanAPI{Clients: map[string]string{"a": "1"}}}
	fake := New(cfg)
	cfg.ClientIDs["ios"] = "x"
	cfg.Users[0] = "x"
	cfg.HumanAPI.Clients["b"] = "2"
	if len(fake.cfg.HumanAPI.Clients) != 1 {
		t.Errorf("clients: %v", fake.cfg.HumanAPI.Clients)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, signInPath, strings.NewReader(aliceSignIn))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("deploymentId", "d1")
	r.Header.Set("signature", hexHMAC("sandbox-secret", aliceSignIn))
	fake.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

func TestWrongConfigs(t *testing.T) {
	for _, test := range []struct {
		cfg     Config
		problem string
	}{
		{Config{ClientIDs: map[string]string{}}, "client_id: no client"},
		{Config{ClientIDs: map[string]string{"ios": ""}}, "client_id ios"},
		{Config{ClientIDs: map[string]string{"tv": "c"}}, `client_id: "tv"`},
		{Config{AuthTokenLifetime: time.Millisecond}, "auth_token_lifetime"},
		{Config{RefreshTokenLifetime: -time.Hour}, "refresh_token_lifetime"},
		{Config{MaxClockSkew: -1}, "max_clock_skew"},
		{Config{Users: []string{"alice"}}, "user: address 1"},
		{Config{Prefix: "huma"}, "prefix"},
		{Config{Signature: Signature{Algorithm: "md5"}}, "signature"},
		{Config{Signature: Signature{Encoding: "base32"}}, "signature encoding"},
		{Config{Signature: Signature{HeaderName: "a b"}}, "signature header_name"},
		{Config{Signature: Signature{TimestampHeader: "a:"}}, "signature timestamp_header"},
		{Config{Signature: Signature{Payload: "{sig.body}{sig.boddy}"}}, "signature payload"},
		{Config{Signature: Signature{ID: `"`}}, "signature id"},
		{Config{HumanAPI: HumanAPI{Clients: map[string]string{}}}, "human_api client: none"},
		{Config{HumanAPI: HumanAPI{Clients: map[string]string{"": "x"}}}, "human_api client"},
		{Config{HumanAPI: HumanAPI{Clients: map[string]string{"a": ""}}}, `human_api client "a"`},
		{Config{HumanAPI: HumanAPI{SessionLifetime: -1}}, "human_api session_lifetime"},
		{Config{HumanAPI: HumanAPI{IDLifetime: 1}}, "human_api id_lifetime"},
		{Config{HumanAPI: HumanAPI{ExtraScopes: []string{""}}}, "human_api extra_scopes"},
	} {
		err := test.cfg.withDefaults().check()
		if err == nil || !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%+v: %v, want %s", test.cfg, err, test.problem)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("New took a wrong configuration")
		}
	}()
	New(Config{Prefix: "x"})
}
