package sandbox

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func TestFaultResetBefore(t *testing.T) {
	fake, c := start(t, Config{})
	setFaults(t, fake, Fault{Op: OpSignUp, Reset: ResetBefore, Times: 1})
	if _, err := c.do(c.request(http.MethodPost, signUpPath, aliceSignUp)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error: %v, want a reset", err)
	}
	if len(fake.Users()) != 0 {
		t.Error("the sign-up was processed")
	}
	log := fake.Calls()
	if log.ByOp[OpSignUp] != 1 || log.Calls[0].Status != 0 || !log.Calls[0].Fault || log.Calls[0].Email != "alice@example.com" {
		t.Errorf("log: %s", compact(t, log))
	}
	want(t, c.post(signUpPath, aliceSignUp), 201, 0)
}

func TestFaultResetAfter(t *testing.T) {
	fake, c := start(t, Config{})
	setFaults(t, fake, Fault{Op: OpSignUp, Reset: ResetAfter, Times: 1})
	if _, err := c.do(c.request(http.MethodPost, signUpPath, aliceSignUp)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error: %v, want a reset", err)
	}
	if len(fake.Users()) != 1 {
		t.Error("the sign-up was not processed")
	}
	want(t, c.post(signInPath, aliceSignIn), 200, 0)
}

func TestFaultResetOverTLSAndHTTP2(t *testing.T) {
	for _, version := range []int{1, 2} {
		fake := New(Config{})
		srv := httptest.NewUnstartedServer(fake)
		srv.EnableHTTP2 = version == 2
		srv.StartTLS()
		t.Cleanup(srv.Close)
		c := newClient(t, srv.URL)
		c.http = srv.Client()
		if got := c.must(c.request(http.MethodPost, signUpPath, aliceSignUp)); got.status != 201 {
			t.Fatal(got.text)
		}
		setFaults(t, fake, Fault{Reset: ResetAfter})
		_, err := c.do(c.request(http.MethodPost, signInPath, aliceSignIn))
		if err == nil {
			t.Errorf("HTTP/%d: no error", version)
		}
		if version == 1 && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("HTTP/1: %v, want a reset", err)
		}
	}
}

func TestFaultStatus(t *testing.T) {
	fake, c := start(t, Config{})
	setFaults(t, fake,
		Fault{Op: OpSignUp, Status: 503, Headers: http.Header{"Retry-After": {"1"}}, Times: 1},
		Fault{Op: OpSignUp, Status: 403, Times: 1},
		Fault{Op: OpSignUp, Status: 500, Body: "<h1>no</h1>", Headers: http.Header{"Content-Type": {"text/html"}, "Set-Cookie": {"a=b", "c=d"}}, Times: 1},
		Fault{Op: OpSignUp, Body: `{}`, Times: 1},
		Fault{Op: OpSignUp, Status: 200, Times: 1},
		Fault{Op: OpSignUp, Status: 204, Times: 1},
	)
	got := c.post(signUpPath, aliceSignUp)
	want(t, got, 503, 503)
	if got.header.Get("Retry-After") != "1" {
		t.Error("no Retry-After")
	}
	want(t, c.post(signUpPath, aliceSignUp), 403, codeUserUnknown)
	got = c.post(signUpPath, aliceSignUp)
	if got.status != 500 || got.text != "<h1>no</h1>" || got.header.Get("Content-Type") != "text/html" || len(got.header.Values("Set-Cookie")) != 2 {
		t.Errorf("answer: %+v", got)
	}
	if got = c.post(signUpPath, aliceSignUp); got.status != 201 || got.text != "{}" {
		t.Errorf("answer: %+v", got)
	}
	for _, status := range []int{200, 204} {
		if got = c.post(signUpPath, aliceSignUp); got.status != status || got.text != "" {
			t.Errorf("answer: %+v", got)
		}
	}
	if len(fake.Users()) != 0 || len(fake.Faults()) != 0 {
		t.Errorf("%d users, faults left: %s", len(fake.Users()), compact(t, fake.Faults()))
	}
	want(t, c.post(signUpPath, aliceSignUp), 201, 0)
}

func TestFaultProcessed(t *testing.T) {
	fake, c := start(t, Config{})
	setFaults(t, fake, Fault{Op: OpSignUp, Status: 500, Processed: true, Times: 1}, Fault{Op: OpSignIn, Status: 202, Processed: true, Times: 1})
	want(t, c.post(signUpPath, aliceSignUp), 500, 500)
	if len(fake.Users()) != 1 {
		t.Error("the sign-up was not processed")
	}
	got := c.post(signInPath, aliceSignIn)
	if got.status != 202 || got.member(t, "uid") != fake.Users()[0].UID {
		t.Errorf("answer: %+v", got)
	}
	setFaults(t, fake, Fault{Headers: http.Header{"etag": {`"x"`}}})
	got = c.post(signInPath, aliceSignIn)
	if got.status != 200 || got.header.Get("Etag") != `"x"` || got.member(t, "authToken") == nil {
		t.Errorf("headers alone: %+v", got)
	}
}

func TestFaultAppearAfter(t *testing.T) {
	fake := New(Config{})
	var passed atomic.Int64
	fake.state.now = func() time.Time { return time.Unix(1_700_000_000+passed.Load(), 0) }
	srv := httptest.NewServer(fake)
	t.Cleanup(srv.Close)
	c := newClient(t, srv.URL)

	setFaults(t, fake, Fault{Op: OpSignUp, AppearAfter: 2 * time.Second, Times: 2}, Fault{Op: OpSignUp, AppearAfter: time.Second, Status: 500, Times: 1}, Fault{Op: OpSignUp, AppearAfter: time.Second, Reset: ResetBefore, Times: 1})
	bad := strings.Replace(aliceSignUp, "192.0.2.1", "x", 1)
	want(t, c.post(signUpPath, bad), 400, codeInvalidRequest)
	want(t, c.post(signUpPath, aliceSignUp), 504, 504)
	want(t, c.post(signInPath, aliceSignIn), 403, codeUserUnknown)
	passed.Store(1)
	want(t, c.post(signInPath, aliceSignIn), 403, codeUserUnknown)
	passed.Store(2)
	want(t, c.post(signInPath, aliceSignIn), 200, 0)
	if len(fake.Users()) != 1 {
		t.Errorf("%d users", len(fake.Users()))
	}
	want(t, c.post(signUpPath, strings.Replace(aliceSignUp, "alice", "bob", 1)), 500, 500)
	if _, err := c.do(c.request(http.MethodPost, signUpPath, strings.Replace(aliceSignUp, "alice", "carol", 1))); err == nil {
		t.Error("no reset")
	}
	want(t, c.post(signUpPath, strings.Replace(aliceSignUp, "alice", "bob", 1)), 201, 0)
	passed.Store(3)
	if n := len(fake.Users()); n != 3 {
		t.Errorf("%d users, want alice, bob and carol once each", n)
	}
}

func TestFaultAppearAfterIsIndependentOfTheClient(t *testing.T) {
	fake, c := start(t, Config{})
	setFaults(t, fake, Fault{Op: OpSignUp, AppearAfter: 50 * time.Millisecond, Delay: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.do(c.request(http.MethodPost, signUpPath, aliceSignUp).WithContext(ctx)); err == nil {
		t.Error("answered before the delay was over")
	}
	testutil.Eventually(t, 2*time.Second, "the account appears", func() bool { return len(fake.Users()) > 0 })
}

func TestFaultDelay(t *testing.T) {
	fake, c := start(t, Config{})
	setFaults(t, fake, Fault{Op: OpSignUp, Delay: 30 * time.Millisecond, Times: 1}, Fault{Op: OpSignUp, Delay: time.Hour, Times: 1})
	begin := time.Now()
	want(t, c.post(signUpPath, aliceSignUp), 201, 0)
	if d := time.Since(begin); d < 30*time.Millisecond {
		t.Errorf("answered after %s", d)
	}
	fake.state.mu.Lock()
	clear(fake.state.users)
	fake.state.mu.Unlock()

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.do(c.request(http.MethodPost, signUpPath, aliceSignUp).WithContext(ctx)); err == nil {
		t.Error("answered before the delay was over")
	}
	testutil.Eventually(t, 2*time.Second, "the call ends, since the client left", func() bool { return fake.Calls().InFlight == 0 })
	if _, found := fake.state.find("alice@example.com"); found {
		t.Error("the call was processed although the client left")
	}
	if last := fake.Calls().Calls[1]; last.Status != 0 || last.Error == "" {
		t.Errorf("log: %+v", last)
	}
}

func TestFaultTruncateGarbageRedirect(t *testing.T) {
	fake, c := start(t, Config{})
	setFaults(t, fake,
		Fault{Op: OpSignUp, Truncate: 10, Times: 1},
		Fault{Op: OpSignIn, Garbage: true, Times: 1},
		Fault{Op: OpSignIn, Redirect: "http://other.example.com/x", Times: 1},
		Fault{Op: OpSignIn, Truncate: 1 << 20, Times: 1},
	)
	got, err := c.do(c.request(http.MethodPost, signUpPath, aliceSignUp))
	if !errors.Is(err, io.ErrUnexpectedEOF) || got.status != 201 || len(got.text) != 10 || !strings.HasPrefix(got.text, `{"authToke`) {
		t.Errorf("truncated: %v, %+v", err, got)
	}
	if len(fake.Users()) != 1 {
		t.Error("the sign-up was not processed")
	}
	got = c.post(signInPath, aliceSignIn)
	if got.status != 200 || json.Valid([]byte(got.text)) {
		t.Errorf("garbage: %+v", got)
	}
	got = c.post(signInPath, aliceSignIn)
	if got.status != 307 || got.header.Get("Location") != "http://other.example.com/x" {
		t.Errorf("redirect: %+v", got)
	}
	if _, err := c.do(c.request(http.MethodPost, signInPath, aliceSignIn)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("truncated by a byte: %v", err)
	}
}

func TestFaultSizeDripGzip(t *testing.T) {
	fake, c := start(t, Config{})
	fake.AddUser("alice@example.com")
	setFaults(t, fake, Fault{Size: 200_000, Times: 1}, Fault{Size: 10 << 20, Gzip: true, Times: 1}, Fault{Size: -1, Times: 1}, Fault{Status: 200, Body: "{}  ", Drip: 10 * time.Millisecond, Times: 1})
	got := c.post(signInPath, aliceSignIn)
	if len(got.text) != 200_000 || got.member(t, "uid") == nil {
		t.Errorf("%d bytes", len(got.text))
	}

	got = c.post(signInPath, aliceSignIn)
	if len(got.text) > 100_000 || got.header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%d bytes compressed, %v", len(got.text), got.header)
	}
	bomb, err := gzip.NewReader(strings.NewReader(got.text))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, bomb); n != 10<<20 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}

	resp, err := c.http.Do(c.request(http.MethodPost, signInPath, aliceSignIn))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, bufio.NewReader(resp.Body), 4<<20); err != nil {
		t.Errorf("endless: %v", err)
	}
	resp.Body.Close()

	begin := time.Now()
	if got := c.post(signInPath, aliceSignIn); got.text != "{}  " || time.Since(begin) < 40*time.Millisecond {
		t.Errorf("drip: %q after %s", got.text, time.Since(begin))
	}
}

func TestFaultOrderAndTimes(t *testing.T) {
	fake, c := start(t, Config{})
	setFaults(t, fake, Fault{Op: OpSignIn, Status: 500, Times: 2}, Fault{Op: "*", Status: 502, Times: 1}, Fault{Status: 503})
	var got []int
	for _, path := range []string{signInPath, signUpPath, signInPath, signInPath, refreshPath} {
		got = append(got, c.post(path, aliceSignIn).status)
	}
	if text := compact(t, got); text != "[500,502,500,503,503]" {
		t.Errorf("statuses: %s", text)
	}
	if left := compact(t, fake.Faults()); left != `[{"status":503}]` {
		t.Errorf("left: %s", left)
	}
}

func TestFaultJSON(t *testing.T) {
	const text = `[{"op":"signup","times":3,"delay":"1.5s","status":500,"body":"x","headers":{"Retry-After":["1"]},"processed":true,"size":-1,"drip":"1ms","gzip":true},` +
		`{"op":"signup","appear_after":"2s","reset":"after"},{"redirect":"http://example.com/"},{"garbage":true,"truncate":2}]`
	faults, err := readFaults(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if again := compact(t, faults); again != text {
		t.Errorf("read and written:\n%s\nwant\n%s", again, text)
	}
	if err := New(Config{}).SetFaults(faults); err != nil {
		t.Error(err)
	}
	faults, err = readFaults(strings.NewReader(`[{"body":{"uid":1},"headers":{"a":"b"}}]`))
	if err != nil || faults[0].Body != `{"uid":1}` || faults[0].Headers.Get("A") != "b" {
		t.Errorf("%v, %+v", err, faults)
	}
}

func TestWrongFaults(t *testing.T) {
	tests := []struct{ text, problem string }{
		{``, "JSON list"},
		{`null`, "JSON list"},
		{`{}`, "JSON list"},
		{`[] []`, "after top-level value"},
		{`[null]`, "fault 1: null"},
		{`[{},{"stats":500}]`, `fault 2: json: unknown field "stats"`},
		{`[{"status":"500"}]`, "fault 1"},
		{`[{"op":"login"}]`, `fault 1: op: "login" is unknown`},
		{`[{"delay":"5"}]`, "fault 1: delay"},
		{`[{"delay":"-1s"}]`, "fault 1: delay"},
		{`[{"delay":"1000h"}]`, "fault 1: delay"},
		{`[{"status":99}]`, "status"},
		{`[{"status":101}]`, "status"},
		{`[{"times":-1}]`, "times"},
		{`[{"reset":"now"}]`, "reset"},
		{`[{"reset":"before","status":500}]`, "only one of"},
		{`[{"reset":"before","truncate":5}]`, "reset"},
		{`[{"redirect":"http://example.com","garbage":true}]`, "only one of"},
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
		{`[` + strings.Repeat(`{},`, maxFaults) + `{}]`, "more than"},
		{`[{"body":"` + strings.Repeat("x", maxControlBody) + `"}]`, "longer than"},
	}
	_, c := start(t, Config{})
	if got := c.must(c.request(http.MethodPut, "/_sandbox/faults", `[{"status":500}]`)); got.status != 200 {
		t.Fatal(got.text)
	}
	for _, test := range tests {
		got := c.must(c.request(http.MethodPut, "/_sandbox/faults", test.text))
		want(t, got, 400, codeInvalidRequest)
		if message, _ := got.member(t, "message").(string); !strings.Contains(message, test.problem) {
			t.Errorf("%.60s: %s, want %s", test.text, message, test.problem)
		}
	}
	if left := c.must(c.request(http.MethodGet, "/_sandbox/faults", "")); strings.TrimSpace(left.text) != `[{"status":500}]` {
		t.Errorf("faults changed: %s", left.text)
	}
}
