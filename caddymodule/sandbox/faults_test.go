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
	"syscall"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/sandboxtest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func TestFaultResetBefore(t *testing.T) {
	fake, c := start(t, Config{})
	setFaults(t, fake, Fault{Op: OpSignUp, Reset: ResetBefore, Times: 1})
	if _, err := c.Do(c.Request(http.MethodPost, sandboxtest.SignUp, sandboxtest.AliceSignUp)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error: %v, want a reset", err)
	}
	if len(fake.Users()) != 0 {
		t.Error("the sign-up was processed")
	}
	log := fake.Calls()
	if log.ByOp[OpSignUp] != 1 || log.Calls[0].Status != 0 || !log.Calls[0].Fault || log.Calls[0].Email != "alice@example.com" {
		t.Errorf("log: %s", sandboxtest.Compact(t, log))
	}
	sandboxtest.Want(t, c.Post(sandboxtest.SignUp, sandboxtest.AliceSignUp), 201, 0)
}

func TestFaultResetAfter(t *testing.T) {
	fake, c := start(t, Config{})
	setFaults(t, fake, Fault{Op: OpSignUp, Reset: ResetAfter, Times: 1})
	if _, err := c.Do(c.Request(http.MethodPost, sandboxtest.SignUp, sandboxtest.AliceSignUp)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error: %v, want a reset", err)
	}
	if len(fake.Users()) != 1 {
		t.Error("the sign-up was not processed")
	}
	sandboxtest.Want(t, c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn), 200, 0)
}

func TestFaultResetOverTLSAndHTTP2(t *testing.T) {
	for _, version := range []int{1, 2} {
		fake := New(Config{})
		srv := httptest.NewUnstartedServer(fake)
		srv.EnableHTTP2 = version == 2
		srv.StartTLS()
		t.Cleanup(srv.Close)
		c := sandboxtest.New(t, srv.URL)
		c.HTTP = srv.Client()
		if got := c.Send(c.Request(http.MethodPost, sandboxtest.SignUp, sandboxtest.AliceSignUp)); got.Status != 201 {
			t.Fatal(got.Text)
		}
		setFaults(t, fake, Fault{Reset: ResetAfter})
		_, err := c.Do(c.Request(http.MethodPost, sandboxtest.SignIn, sandboxtest.AliceSignIn))
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
		Fault{Op: OpSignUp, Status: 500, Body: "<h1>error</h1>", Headers: http.Header{"Content-Type": {"text/html"}, "Set-Cookie": {"a=b", "c=d"}}, Times: 1},
		Fault{Op: OpSignUp, Body: `{}`, Times: 1},
		Fault{Op: OpSignUp, Status: 200, Times: 1},
		Fault{Op: OpSignUp, Status: 204, Times: 1},
	)
	got := c.Post(sandboxtest.SignUp, sandboxtest.AliceSignUp)
	sandboxtest.Want(t, got, 503, 503)
	if got.Header.Get("Retry-After") != "1" {
		t.Error("no Retry-After")
	}
	sandboxtest.Want(t, c.Post(sandboxtest.SignUp, sandboxtest.AliceSignUp), 403, huma.CodeUserUnknown)
	got = c.Post(sandboxtest.SignUp, sandboxtest.AliceSignUp)
	if got.Status != 500 || got.Text != "<h1>error</h1>" || got.Header.Get("Content-Type") != "text/html" || len(got.Header.Values("Set-Cookie")) != 2 {
		t.Errorf("response: %+v", got)
	}
	if got = c.Post(sandboxtest.SignUp, sandboxtest.AliceSignUp); got.Status != 201 || got.Text != "{}" {
		t.Errorf("response: %+v", got)
	}
	for _, status := range []int{200, 204} {
		if got = c.Post(sandboxtest.SignUp, sandboxtest.AliceSignUp); got.Status != status || got.Text != "" {
			t.Errorf("response: %+v", got)
		}
	}
	if len(fake.Users()) != 0 || len(fake.Faults()) != 0 {
		t.Errorf("%d users, remaining faults: %s", len(fake.Users()), sandboxtest.Compact(t, fake.Faults()))
	}
	sandboxtest.Want(t, c.Post(sandboxtest.SignUp, sandboxtest.AliceSignUp), 201, 0)
}

func TestFaultProcessed(t *testing.T) {
	fake, c := start(t, Config{})
	setFaults(t, fake, Fault{Op: OpSignUp, Status: 500, Processed: true, Times: 1}, Fault{Op: OpSignIn, Status: 202, Processed: true, Times: 1})
	sandboxtest.Want(t, c.Post(sandboxtest.SignUp, sandboxtest.AliceSignUp), 500, 500)
	if len(fake.Users()) != 1 {
		t.Error("the sign-up was not processed")
	}
	got := c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn)
	if got.Status != 202 || got.Member(t, "uid") != fake.Users()[0].UID {
		t.Errorf("response: %+v", got)
	}
	setFaults(t, fake, Fault{Headers: http.Header{"etag": {`"x"`}}})
	got = c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn)
	if got.Status != 200 || got.Header.Get("Etag") != `"x"` || got.Member(t, "authToken") == nil {
		t.Errorf("headers alone: %+v", got)
	}
}

func TestFaultAppearAfter(t *testing.T) {
	fake, c := start(t, Config{})
	const after = time.Second
	setFaults(t, fake, Fault{Op: OpSignUp, AppearAfter: after, Times: 2}, Fault{Op: OpSignUp, AppearAfter: after, Status: 500, Times: 1}, Fault{Op: OpSignUp, AppearAfter: after, Reset: ResetBefore, Times: 1})
	bad := strings.Replace(sandboxtest.AliceSignUp, "192.0.2.1", "x", 1)
	sandboxtest.Want(t, c.Post(sandboxtest.SignUp, bad), 400, huma.CodeInvalidRequest)
	begin := time.Now()
	sandboxtest.Want(t, c.Post(sandboxtest.SignUp, sandboxtest.AliceSignUp), 504, 504)
	sandboxtest.Want(t, c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn), 403, huma.CodeUserUnknown)
	testutil.Eventually(t, 5*time.Second, "alice is created", func() bool { return len(fake.Users()) == 1 })
	if d := time.Since(begin); d < after {
		t.Errorf("created after %s", d)
	}
	sandboxtest.Want(t, c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn), 200, 0)
	sandboxtest.Want(t, c.Post(sandboxtest.SignUp, strings.Replace(sandboxtest.AliceSignUp, "alice", "bob", 1)), 500, 500)
	if _, err := c.Do(c.Request(http.MethodPost, sandboxtest.SignUp, strings.Replace(sandboxtest.AliceSignUp, "alice", "carol", 1))); err == nil {
		t.Error("no reset")
	}
	sandboxtest.Want(t, c.Post(sandboxtest.SignUp, strings.Replace(sandboxtest.AliceSignUp, "alice", "bob", 1)), 201, 0)
	testutil.Eventually(t, 5*time.Second, "there are alice, bob and carol once each", func() bool { return len(fake.Users()) == 3 })

	setFaults(t, fake, Fault{Op: OpSignUp, AppearAfter: 20 * time.Millisecond})
	sandboxtest.Want(t, c.Post(sandboxtest.SignUp, strings.Replace(sandboxtest.AliceSignUp, "alice", "dave", 1)), 504, 504)
	fake.Reset()
	time.Sleep(50 * time.Millisecond)
	if users := fake.Users(); len(users) > 0 {
		t.Errorf("created after a reset: %+v", users)
	}
}

func TestFaultAppearAfterIsIndependentOfTheClient(t *testing.T) {
	fake, c := start(t, Config{})
	setFaults(t, fake, Fault{Op: OpSignUp, AppearAfter: 50 * time.Millisecond, Delay: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Do(c.Request(http.MethodPost, sandboxtest.SignUp, sandboxtest.AliceSignUp).WithContext(ctx)); err == nil {
		t.Error("response before the end of the delay")
	}
	testutil.Eventually(t, 2*time.Second, "the user is created", func() bool { return len(fake.Users()) > 0 })
}

func TestFaultDelay(t *testing.T) {
	fake, c := start(t, Config{})
	setFaults(t, fake, Fault{Op: OpSignUp, Delay: 30 * time.Millisecond, Times: 1}, Fault{Op: OpSignUp, Delay: time.Hour, Times: 1})
	begin := time.Now()
	sandboxtest.Want(t, c.Post(sandboxtest.SignUp, sandboxtest.AliceSignUp), 201, 0)
	if d := time.Since(begin); d < 30*time.Millisecond {
		t.Errorf("response after %s", d)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	bob := strings.Replace(sandboxtest.AliceSignUp, "alice", "bob", 1)
	if _, err := c.Do(c.Request(http.MethodPost, sandboxtest.SignUp, bob).WithContext(ctx)); err == nil {
		t.Error("response before the end of the delay")
	}
	testutil.Eventually(t, 2*time.Second, "the call ends, since the client has disconnected", func() bool { return fake.Calls().InFlight == 0 })
	if len(fake.Users()) != 1 {
		t.Error("the call was processed although the client has disconnected")
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
	got, err := c.Do(c.Request(http.MethodPost, sandboxtest.SignUp, sandboxtest.AliceSignUp))
	if !errors.Is(err, io.ErrUnexpectedEOF) || got.Status != 201 || len(got.Text) != 10 || !strings.HasPrefix(got.Text, `{"authToke`) {
		t.Errorf("truncated: %v, %+v", err, got)
	}
	if len(fake.Users()) != 1 {
		t.Error("the sign-up was not processed")
	}
	got = c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn)
	if got.Status != 200 || json.Valid([]byte(got.Text)) {
		t.Errorf("garbage: %+v", got)
	}
	got = c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn)
	if got.Status != 307 || got.Header.Get("Location") != "http://other.example.com/x" {
		t.Errorf("redirect: %+v", got)
	}
	if _, err := c.Do(c.Request(http.MethodPost, sandboxtest.SignIn, sandboxtest.AliceSignIn)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("truncated by one byte: %v", err)
	}
}

func TestFaultSizeDripGzip(t *testing.T) {
	fake, c := start(t, Config{})
	fake.AddUser("alice@example.com")
	setFaults(t, fake, Fault{Size: 200_000, Times: 1}, Fault{Size: 10 << 20, Gzip: true, Times: 1}, Fault{Size: -1, Times: 1}, Fault{Status: 200, Body: "{}  ", Drip: 10 * time.Millisecond, Times: 1})
	got := c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn)
	if len(got.Text) != 200_000 || got.Member(t, "uid") == nil {
		t.Errorf("%d bytes", len(got.Text))
	}

	got = c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn)
	if len(got.Text) > 100_000 || got.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%d bytes compressed, %v", len(got.Text), got.Header)
	}
	bomb, err := gzip.NewReader(strings.NewReader(got.Text))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, bomb); n != 10<<20 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}

	resp, err := c.HTTP.Do(c.Request(http.MethodPost, sandboxtest.SignIn, sandboxtest.AliceSignIn))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, bufio.NewReader(resp.Body), 4<<20); err != nil {
		t.Errorf("endless: %v", err)
	}
	resp.Body.Close()

	begin := time.Now()
	if got := c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn); got.Text != "{}  " || time.Since(begin) < 40*time.Millisecond {
		t.Errorf("drip: %q after %s", got.Text, time.Since(begin))
	}
}

func TestFaultOrderAndTimes(t *testing.T) {
	fake, c := start(t, Config{})
	setFaults(t, fake, Fault{Op: OpSignIn, Status: 500, Times: 2}, Fault{Op: "*", Status: 502, Times: 1}, Fault{Status: 503})
	var got []int
	for _, path := range []string{sandboxtest.SignIn, sandboxtest.SignUp, sandboxtest.SignIn, sandboxtest.SignIn, sandboxtest.Refresh} {
		got = append(got, c.Post(path, sandboxtest.AliceSignIn).Status)
	}
	if text := sandboxtest.Compact(t, got); text != "[500,502,500,503,503]" {
		t.Errorf("statuses: %s", text)
	}
	if left := sandboxtest.Compact(t, fake.Faults()); left != `[{"status":503}]` {
		t.Errorf("remaining: %s", left)
	}
}
