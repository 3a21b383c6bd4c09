package caddymodule_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

func TestH05_RetryAfter(t *testing.T) {
	for name, c := range map[string]struct {
		header  string
		calls   int // with one retry allowed
		answers [2]int
	}{
		"short":   {"1", 2, [2]int{1, 1}},
		"long":    {"86400", 1, [2]int{60, 60}},
		"a while": {"30", 1, [2]int{30, 30}},
		"wrong":   {"-1", 2, [2]int{1, 60}},
		"garbage": {"soon", 2, [2]int{1, 60}},
	} {
		t.Run(name, func(t *testing.T) {
			huma := newHuma(t, sandbox.Config{})
			huma.SetFaults([]sandbox.Fault{{Status: 503, Headers: http.Header{"Retry-After": {c.header}}}})
			a := serve(t, simpleSite(huma, "")).request("GET", iosPath, as("a@x.example"))
			a.problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
			after, err := strconv.Atoi(a.Header.Get("Retry-After"))
			if err != nil || after < c.answers[0] || after > c.answers[1] {
				t.Errorf("Retry-After %q, want %v", a.Header.Get("Retry-After"), c.answers)
			}
			if n := huma.calls("signin"); n != c.calls {
				t.Errorf("%d calls, want %d", n, c.calls)
			}
		})
	}
}

func TestH08_AnswersThatAreNone(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	s := serve(t, simpleSite(huma, ""))
	for name, body := range map[string]string{
		"HTML":       "<html>canary</html>",
		"null":       "null",
		"list":       "[]",
		"empty":      "{}",
		"no token":   `{"uid":"u","authToken":""}`,
		"null token": `{"uid":"u","authToken":null}`,
		"number":     `{"uid":"u","authToken":1}`,
		"two values": `{"authToken":"canary"}{"authToken":"canary"}`,
		"BOM":        "\ufeff" + `{"authToken":"canary"}`,
		"nothing":    "",
		"too long":   `{"authToken":"` + strings.Repeat("canary", 20000) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			huma.Reset()
			huma.SetFaults([]sandbox.Fault{{Op: "signin", Status: 200, Body: body, Times: 1}})
			a := s.request("GET", iosPath, as("a@x.example"))
			a.problem(t, http.StatusBadGateway, "upstream_bad_response")
			if strings.Contains(string(a.Body), "canary") {
				t.Errorf("the service's answer is in ours: %s", a.Body)
			}
			s.request("GET", iosPath, as("a@x.example")).tokens(t)
			s.request("DELETE", path, as("a@x.example"))
		})
	}
	s.noSecretsInLog("canary")
}

func TestH09_RedirectsAreNotFollowed(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	huma := newHuma(t, sandbox.Config{})
	s := serve(t, simpleSite(huma, ""))
	huma.SetFaults([]sandbox.Fault{{Redirect: other.URL + "/x"}})
	s.request("GET", iosPath, as("a@x.example")).problem(t, http.StatusBadGateway, "upstream_bad_response")

	huma.SetFaults([]sandbox.Fault{{Op: "signup", Redirect: other.URL + "/x"}})
	s.request("GET", iosPath, as("b@x.example")).problem(t, http.StatusBadGateway, "upstream_bad_response")
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("the other host saw %d requests", n)
	}
}

func TestH10_SignUpIsResetAfterItWasProcessed(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	huma.SetFaults([]sandbox.Fault{{Op: "signup", Reset: sandbox.ResetAfter}})
	s := serve(t, simpleSite(huma, ""))
	s.request("GET", iosPath, as("a@x.example")).tokens(t)
	if n, users := huma.calls("signup"), len(huma.Users()); n != 1 || users != 1 {
		t.Errorf("%d sign-ups, %d accounts", n, users)
	}
}

func TestH11_TheAccountAppearsLater(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	huma.SetFaults([]sandbox.Fault{{Op: "signup", Delay: 10 * time.Second, AppearAfter: 2 * time.Second}})
	config := simpleSite(huma, "timeout 700ms")
	s := serve(t, config)

	s.request("GET", iosPath, as("a@x.example")).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
	if err := s.load(config); err != nil { // the hold outlives a reload
		t.Fatal(err)
	}
	s.request("GET", iosPath, as("a@x.example")).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
	// Other credentials are another account, but the same user at Huma.
	if err := s.load(strings.Replace(config, "client_id web c3", "", 1)); err != nil {
		t.Fatal(err)
	}
	s.request("GET", iosPath, as("a@x.example")).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
	eventually(t, 5*time.Second, "the account appears and signs in", func() bool {
		return s.request("GET", iosPath, as("a@x.example")).StatusCode == http.StatusOK
	})
	if n, users := huma.calls("signup"), len(huma.Users()); n != 1 || users != 1 {
		t.Errorf("%d sign-ups, %d accounts", n, users)
	}
}

// TestRandomEndingsOfASignUp: whatever becomes of a sign-up, there is never a
// second one and never a second account.
func TestRandomEndingsOfASignUp(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	s := serve(t, simpleSite(huma, "timeout 300ms\nretries 0\nbreaker off\nregistration {\nrate 10000/s 10000\n}"))
	endings := []sandbox.Fault{
		{Op: "signup", Reset: sandbox.ResetBefore},
		{Op: "signup", Reset: sandbox.ResetAfter},
		{Op: "signup", Status: 500},
		{Op: "signup", Status: 502, Processed: true},
		{Op: "signup", Status: 504, AppearAfter: 20 * time.Millisecond},
		{Op: "signup", Delay: time.Second},
		{Op: "signup", Garbage: true},
		{Op: "signup", Truncate: 20},
		{Op: "signup", Status: 307, Headers: http.Header{"Location": {"/x"}}},
		{Op: "signup", Status: 201, Body: `{"uid":"u"}`, Processed: true},
	}
	const users = 60
	for i := range users {
		ending := endings[i%len(endings)]
		ending.Times = 1
		huma.SetFaults([]sandbox.Fault{ending, {Op: "signin", Status: 503, Times: rand.IntN(2)}})
		for range 3 {
			a := s.request("GET", iosPath, as(fmt.Sprintf("u%d@x.example", i)))
			if !slices.Contains([]int{200, 502, 503, 504}, a.StatusCode) {
				t.Errorf("ending %d: %d %s", i%len(endings), a.StatusCode, a.Body)
			}
		}
	}
	for user, calls := range huma.Calls().ByUser {
		if calls["signup"] > 1 {
			t.Errorf("%s: %d sign-ups", user, calls["signup"])
		}
	}
	if n := len(huma.Users()); n > users {
		t.Errorf("%d accounts of %d users", n, users)
	}
}

func TestH12_TheUserExists(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	huma.SetFaults([]sandbox.Fault{{Op: "signin", Status: 403, Times: 1}})
	serve(t, simpleSite(huma, "")).request("GET", iosPath, as("a@x.example")).tokens(t)
	if got := huma.Calls().ByOp; got["signin"] != 2 || got["signup"] != 1 || len(huma.Users()) != 1 {
		t.Errorf("calls %v, %d users", got, len(huma.Users()))
	}
}

func TestH13_EverybodyIsRefused(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	huma.SetFaults([]sandbox.Fault{{Status: 403}})
	s := serve(t, simpleSite(huma, "registration {\nrate 1/h 5\n}"))
	codes := make(map[int]int)
	for i := range 20 {
		a := s.request("GET", iosPath, as(fmt.Sprintf("u%d@x.example", i)))
		codes[a.StatusCode]++
		if i < 5 {
			a.problem(t, http.StatusForbidden, "refused")
		} else {
			a.problem(t, http.StatusServiceUnavailable, "registration_limited")
		}
	}
	if n := huma.calls("signup"); n != 5 {
		t.Errorf("%d sign-ups with a brake of 5", n)
	}
	if log := s.log(); !strings.Contains(log, "the signature") && !strings.Contains(log, "its signature") {
		t.Error("the log does not say that the signature may be the reason")
	}
}

func TestH14_OurCredentialsAreRefused(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Secret: "another"})
	s := serve(t, simpleSite(huma, ""))
	s.request("GET", iosPath, as("a@x.example")).problem(t, http.StatusBadGateway, "upstream_config")
	if log := s.log(); !strings.Contains(log, `"level":"error"`) || !strings.Contains(log, "its signature") {
		t.Errorf("the log does not tell the operator: %s", log)
	}
	for _, body := range []string{`{"code":100001,"message":"m"}`, `{"code":100002,"message":"m"}`} {
		huma.SetFaults([]sandbox.Fault{{Status: 403, Body: body}})
		s.request("GET", iosPath, as("b@x.example")).problem(t, http.StatusBadGateway, "upstream_config")
	}
	if n := huma.calls("signup"); n != 0 {
		t.Errorf("%d sign-ups", n)
	}
}

func TestH17_NoHeaderOfTheServiceIsPassedOn(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	s := serve(t, simpleSite(huma, ""))
	headers := http.Header{
		"Set-Cookie": {"canary=1"}, "Access-Control-Allow-Origin": {"*"}, "Etag": {`"canary"`},
		"Cache-Control": {"public, max-age=3600"}, "X-Canary": {"canary"}, "Retry-After": {"7"},
	}
	for _, fault := range []sandbox.Fault{{Headers: headers}, {Status: 429, Headers: headers}, {Status: 401, Headers: headers}} {
		huma.SetFaults([]sandbox.Fault{fault})
		a := s.request("GET", iosPath, as("a@x.example"), header("Cache-Control", "no-cache"))
		a.noStore(t)
		for name := range a.Header {
			known := []string{"Cache-Control", "Content-Length", "Content-Type", "Date", "Pragma", "Retry-After", "Server", "X-Content-Type-Options"}
			if !slices.Contains(known, name) {
				t.Errorf("status %d has the header %s", a.StatusCode, name)
			}
		}
		if strings.Contains(fmt.Sprint(a.Header), "canary") {
			t.Errorf("status %d: %v", a.StatusCode, a.Header)
		}
		s.request("DELETE", path, as("a@x.example"))
	}
}

func TestOtherFailuresOfTheService(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	s := serve(t, simpleSite(huma, "timeout 2s\nattempt_timeout 600ms\nbreaker off"))
	for name, c := range map[string]struct {
		fault  sandbox.Fault
		status int
		code   string
		calls  int
	}{
		"429":          {sandbox.Fault{Status: 429}, 503, "upstream_unavailable", 2},
		"500":          {sandbox.Fault{Status: 500, Body: "<html>canary"}, 503, "upstream_unavailable", 1},
		"503":          {sandbox.Fault{Status: 503}, 503, "upstream_unavailable", 2},
		"404":          {sandbox.Fault{Status: 404}, 502, "upstream_rejected", 1},
		"422":          {sandbox.Fault{Status: 422}, 502, "upstream_rejected", 1},
		"no answer":    {sandbox.Fault{Delay: 5 * time.Second}, 504, "upstream_timeout", 2},
		"reset":        {sandbox.Fault{Reset: sandbox.ResetBefore}, 503, "upstream_unavailable", 2},
		"cut":          {sandbox.Fault{Op: "signin", Status: 200, Body: `{"authToken":"canary"}`, Truncate: 9}, 503, "upstream_unavailable", 2},
		"drip":         {sandbox.Fault{Op: "signin", Status: 200, Body: `{"authToken":"canary"}`, Drip: 100 * time.Millisecond}, 504, "upstream_timeout", 2},
		"endless":      {sandbox.Fault{Op: "signin", Status: 200, Body: `{}`, Size: -1}, 502, "upstream_bad_response", 1},
		"a gzip bomb":  {sandbox.Fault{Op: "signin", Status: 200, Body: `{}`, Size: 1 << 20, Gzip: true}, 502, "upstream_bad_response", 1},
		"ten megabyte": {sandbox.Fault{Op: "signin", Status: 200, Body: `{"authToken":"canary"}`, Size: 10 << 20}, 502, "upstream_bad_response", 1},
	} {
		t.Run(name, func(t *testing.T) {
			huma.Reset()
			if err := huma.SetFaults([]sandbox.Fault{c.fault}); err != nil {
				t.Fatal(err)
			}
			a := s.request("GET", iosPath, as("a@x.example"))
			a.problem(t, c.status, c.code)
			if n := huma.calls("signin"); n != c.calls {
				t.Errorf("%d calls, want %d", n, c.calls)
			}
		})
	}
	s.noSecretsInLog("canary", "a@x.example", "sandbox-secret")
}

// TestOutage: nobody listens, the breaker opens, and when the service is back
// tokens come again.
func TestOutage(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	s := serve(t, simpleSite(huma, "retries 0\nbreaker {\nrequests 5\nopen 1s\n}"))
	s.request("GET", iosPath, as("cached@x.example")).tokens(t)
	huma.SetFaults([]sandbox.Fault{{Reset: sandbox.ResetBefore}})
	for i := range 30 {
		s.request("GET", iosPath, as(fmt.Sprintf("u%d@x.example", i))).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
	}
	if n := huma.calls("signin"); n > 10 {
		t.Errorf("%d sign-ins: the breaker did not open", n)
	}
	s.request("GET", iosPath, as("cached@x.example")).tokens(t)
	s.request("GET", iosPath, as("cached@x.example"), header("Cache-Control", "no-cache")).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
	huma.SetFaults(nil)
	eventually(t, 3*time.Second, "tokens come again", func() bool {
		return s.request("GET", iosPath, as("new@x.example")).StatusCode == http.StatusOK
	})
	log := s.log()
	if strings.Count(log, "breaker opened") != 1 || strings.Count(log, "breaker closed") != 1 {
		t.Errorf("the log does not tell of the breaker once: %s", log)
	}
}

// TestH16_CallersWhoLeaveAreNoOutage: the service is slow but well.
func TestH16_CallersWhoLeaveAreNoOutage(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	huma.SetFaults([]sandbox.Fault{{Delay: 30 * time.Millisecond}})
	s := serve(t, simpleSite(huma, ""))
	for i := range 200 {
		ctx, leave := context.WithTimeout(context.Background(), 2*time.Millisecond)
		_, _ = s.try(ctx, "GET", iosPath, as(fmt.Sprintf("u%d@x.example", i)))
		leave()
	}
	huma.SetFaults(nil)
	s.request("GET", iosPath, as("stays@x.example")).tokens(t)
	if strings.Contains(s.log(), "breaker opened") {
		t.Error("the breaker opened")
	}
}

func TestRegistrationOff(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	s := serve(t, simpleSite(huma, "registration off"))
	s.request("GET", iosPath, as("a@x.example")).tokens(t)
	for range 3 {
		s.request("GET", iosPath, as("b@x.example")).problem(t, http.StatusForbidden, "not_registered")
	}
	if got := huma.Calls().ByOp; got["signup"] != 0 || got["signin"] != 2 {
		t.Errorf("calls %v: the refusal is repeated from the cache", got)
	}
}

func TestOverloaded(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	huma.SetFaults([]sandbox.Fault{{Delay: 100 * time.Millisecond}})
	s := serve(t, simpleSite(huma, "max_concurrent 2\nmax_waiting 8"))
	counts := make(map[int]int)
	for _, a := range s.together(100, func(i int) []func(*http.Request) {
		return []func(*http.Request){as(fmt.Sprintf("u%d@x.example", i))}
	}) {
		counts[a.StatusCode]++
		if a.StatusCode == http.StatusServiceUnavailable {
			a.problem(t, http.StatusServiceUnavailable, "overloaded")
		}
	}
	if counts[200] != 10 || counts[503] != 90 {
		t.Errorf("answers %v, want 10 and 90", counts)
	}
	if n := huma.Calls().MaxInFlight; n > 2 {
		t.Errorf("%d calls at once", n)
	}
}
