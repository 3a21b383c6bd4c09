package caddymodule_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// TestOneSignUpThoughTheDirectiveWasGone: a config without the directive in
// between neither forgets a running sign-up nor a hold.
func TestOneSignUpThoughTheDirectiveWasGone(t *testing.T) {
	for name, fault := range map[string]sandbox.Fault{
		"running": {Op: "signup", Delay: 1500 * time.Millisecond},
		"held":    {Op: "signup", Reset: sandbox.ResetAfter, AppearAfter: 1500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			huma := newHuma(t, sandbox.Config{})
			huma.SetFaults([]sandbox.Fault{fault})
			config := simpleSite(huma, "")
			s := serve(t, config)
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = s.try(t.Context(), "GET", iosPath, as("a@x.example")) })
			eventually(t, 5*time.Second, "the sign-up is sent", func() bool { return huma.calls("signup") == 1 })
			if name == "held" {
				wg.Wait()
			}
			for _, text := range []string{"SITE {\nrespond 404\n}", config} {
				if err := s.load(text); err != nil {
					t.Fatal(err)
				}
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

// TestOneSignUpHoweverTheServiceIsSpelt: two spellings of a URL are one service.
func TestOneSignUpHoweverTheServiceIsSpelt(t *testing.T) {
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
			a, err := s.try(t.Context(), "GET", path+"?client_type=ios", as("a@x.example"))
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

// TestTheBrakeOutlivesOtherLimits: changing a limit does not fill the budget of
// registrations, and closes no breaker.
func TestTheBrakeOutlivesOtherLimits(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	config := simpleSite(huma, "breaker {\nrequests 2\nopen 1m\n}\nretries 0\nregistration {\nrate 1/h 2\n}")
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
	for range 6 { // half of all calls have to have failed
		s.request("GET", iosPath, as("d@x.example")).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
	}
	huma.SetFaults(nil)
	if err := s.load(strings.Replace(config, "retries 0", "retries 0\nmax_waiting 1998", 1)); err != nil {
		t.Fatal(err)
	}
	before := huma.calls("signin")
	s.request("GET", iosPath, as("e@x.example")).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
	if huma.calls("signin") != before {
		t.Error("the breaker is closed again")
	}
}
