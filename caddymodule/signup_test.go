package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// TestOneSignUpAcrossConfigs checks that a config without the directive in between drops
// neither a running sign-up nor a hold.
func TestOneSignUpAcrossConfigs(t *testing.T) {
	for _, running := range []bool{true, false} {
		t.Run(map[bool]string{true: "running", false: "held"}[running], func(t *testing.T) {
			huma := newHuma(t, sandbox.Config{})
			release := huma.block(t, sandbox.OpSignUp)
			if !running {
				must(t, huma.SetFaults([]sandbox.Fault{{Op: "signup", Reset: sandbox.ResetAfter, AppearAfter: 700 * time.Millisecond}}))
			}
			config := simpleSite(huma, "")
			s := serve(t, config)
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = s.tryRequest(t.Context(), "GET", iosPath, as("a@x.example")) })
			huma.waitBlocked(t, 1)
			if !running {
				release()
				wg.Wait()
			}
			for _, text := range []string{"SITE {\nrespond 404\n}", config} {
				if err := s.load(text); err != nil {
					t.Fatal(err)
				}
			}
			if running {
				time.AfterFunc(50*time.Millisecond, release) // after the user's second request
			}
			eventually(t, 10*time.Second, "the user gets a token", func() bool {
				return s.request("GET", iosPath, as("a@x.example")).StatusCode == http.StatusOK
			})
			wg.Wait()
			if n, users := huma.calls("signup"), len(huma.Users()); n != 1 || users != 1 {
				t.Errorf("%d sign-ups, %d accounts", n, users)
			}
		})
	}
}

// TestOneSignUpForAllSpellings checks that two spellings of a URL are the same service.
func TestOneSignUpForAllSpellings(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	huma.SetFaults([]sandbox.Fault{{Op: "signup", Delay: 300 * time.Millisecond}})
	block := func(path, credentials string) string {
		return "huma_token " + path + " {\n" + credentials + "\nidentity {\nemail X-Test-User\n}\ntrust proxies 127.0.0.1\n}\n"
	}
	other := strings.Replace(huma.credentials(), "http://127.0.0.1:", "http://LOCALHOST:", 1)
	s := serve(t, "SITE {\n"+block("/one", huma.credentials())+block("/two", other)+"}")
	var wg sync.WaitGroup
	for _, path := range []string{"/one", "/two"} {
		wg.Go(func() {
			a, err := s.tryRequest(t.Context(), "GET", path+"?client_type=ios", as("a@x.example"))
			if err != nil || a.StatusCode != http.StatusOK {
				t.Errorf("%s: %v %v", path, a, err)
			}
		})
	}
	wg.Wait()
	if n := huma.calls("signup"); n != 1 {
		t.Errorf("%d sign-ups", n)
	}
}

// TestRegistrationRateSurvivesReload checks that changing another limit resets neither
// the rate limit of registrations nor the breaker.
func TestRegistrationRateSurvivesReload(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	config := simpleSite(huma, "breaker {\nfailures 3\nopen 1m\n}\nretries 0\nregistration {\nrate 1/h 2\n}")
	s := serve(t, config)
	for user, status := range map[string]int{"a": 200, "b": 200} {
		if a := s.request("GET", iosPath, as(user+"@x.example")); a.StatusCode != status {
			t.Errorf("%s: %d", user, a.StatusCode)
		}
	}
	if err := s.load(strings.Replace(config, "retries 0", "retries 0\nmax_waiting 1999\ncache {\nmax_entries 7\n}", 1)); err != nil {
		t.Fatal(err)
	}
	s.request("GET", iosPath, as("c@x.example")).problem(t, http.StatusServiceUnavailable, "registration_limited")

	huma.SetFaults([]sandbox.Fault{{Status: 500}})
	for i := range 3 {
		s.request("GET", iosPath, user(i)...).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
	}
	huma.SetFaults(nil)
	if err := s.load(strings.Replace(config, "retries 0", "retries 0\nmax_waiting 1998", 1)); err != nil {
		t.Fatal(err)
	}
	before := huma.calls("signin")
	s.request("GET", iosPath, as("e@x.example")).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
	if huma.calls("signin") != before {
		t.Error("the reload has closed the breaker")
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
	if err := s.load(config); err != nil { // a reload does not end the hold
		t.Fatal(err)
	}
	s.request("GET", iosPath, as("a@x.example")).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
	// Other credentials are another account, but the same user of Huma.
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

func TestH12_TheUserExists(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	huma.SetFaults([]sandbox.Fault{{Op: "signin", Status: 403, Times: 1}})
	serve(t, simpleSite(huma, "")).request("GET", iosPath, as("a@x.example")).tokens(t)
	if got := huma.Calls().ByOp; got["signin"] != 2 || got["signup"] != 1 || len(huma.Users()) != 1 {
		t.Errorf("calls %v, %d users", got, len(huma.Users()))
	}
}

func TestH13_EveryUserIsRefused(t *testing.T) {
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
		t.Errorf("%d sign-ups with a rate limit of 5", n)
	}
	if log := s.log(); !strings.Contains(log, "the signature") && !strings.Contains(log, "its signature") {
		t.Error("the log does not mention the signature")
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
		t.Errorf("calls %v: the rejection was cached", got)
	}
}
