package caddymodule_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// together makes n requests at once, and returns their answers.
func (s *site) together(n int, edit func(i int) []func(*http.Request)) []*answer {
	s.t.Helper()
	answers := make([]*answer, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			a, err := s.try(context.Background(), "GET", iosPath, edit(i)...)
			if err != nil {
				s.t.Errorf("request %d: %v", i, err)
				a = &answer{Response: &http.Response{}}
			}
			answers[i] = a
		})
	}
	close(start)
	wg.Wait()
	return answers
}

// allOK checks that every answer is a token.
func allOK(t *testing.T, answers []*answer) {
	t.Helper()
	for _, a := range answers {
		if a.StatusCode != http.StatusOK {
			t.Fatalf("status %d: %s", a.StatusCode, a.Body)
		}
	}
}

func TestC01_ThousandRequestsOfAKnownUser(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	huma.SetFaults([]sandbox.Fault{{Delay: 200 * time.Millisecond}})
	s := serve(t, simpleSite(huma, ""))
	allOK(t, s.together(1000, func(int) []func(*http.Request) { return []func(*http.Request){as("a@x.example")} }))
	if got := huma.Calls().ByOp; got["signin"] != 1 || got["signup"] != 0 {
		t.Errorf("calls %v, want one sign-in", got)
	}
}

func TestC02_ThousandRequestsOfAnUnknownUser(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	huma.SetFaults([]sandbox.Fault{{Delay: 100 * time.Millisecond}})
	s := serve(t, simpleSite(huma, ""))
	allOK(t, s.together(1000, func(int) []func(*http.Request) { return []func(*http.Request){as("a@x.example")} }))
	if got := huma.Calls().ByOp; got["signin"] != 1 || got["signup"] != 1 {
		t.Errorf("calls %v, want one sign-in and one sign-up", got)
	}
	if n := len(huma.Users()); n != 1 {
		t.Errorf("%d accounts", n)
	}
}

func TestC03_ThousandUsersAtOnce(t *testing.T) {
	var users []string
	for i := range 1000 {
		users = append(users, fmt.Sprintf("u%d@x.example", i))
	}
	huma := newHuma(t, sandbox.Config{Users: users})
	huma.SetFaults([]sandbox.Fault{{Delay: 20 * time.Millisecond}})
	s := serve(t, simpleSite(huma, "max_concurrent 32"))
	allOK(t, s.together(1000, func(i int) []func(*http.Request) { return []func(*http.Request){as(users[i])} }))
	calls := huma.Calls()
	if calls.ByOp["signin"] != 1000 || calls.MaxInFlight > 32 || calls.Connections > 32 {
		t.Errorf("%d sign-ins, %d at once, over %d connections", calls.ByOp["signin"], calls.MaxInFlight, calls.Connections)
	}
}

func TestC04_TheFirstCallerLeaves(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	huma.SetFaults([]sandbox.Fault{{Delay: 500 * time.Millisecond}})
	s := serve(t, simpleSite(huma, ""))

	ctx, leave := context.WithCancel(context.Background())
	first := make(chan error)
	go func() {
		_, err := s.try(ctx, "GET", iosPath, as("a@x.example"))
		first <- err
	}()
	eventually(t, 5*time.Second, "a call is under way", func() bool { return huma.Calls().InFlight == 1 })
	others := make(chan []*answer)
	go func() {
		others <- s.together(20, func(int) []func(*http.Request) { return []func(*http.Request){as("a@x.example")} })
	}()
	time.Sleep(50 * time.Millisecond) // let them join
	leave()
	if err := <-first; err == nil {
		t.Error("the first caller did not leave")
	}
	allOK(t, <-others)
	if n := huma.calls("signin"); n != 1 {
		t.Errorf("%d sign-ins, want 1", n)
	}
}

func TestC05_AllCallersLeave(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	huma.SetFaults([]sandbox.Fault{{Delay: 300 * time.Millisecond}})
	s := serve(t, simpleSite(huma, ""))
	ctx, leave := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer leave()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := s.try(ctx, "GET", iosPath, as("a@x.example")); err == nil {
				t.Error("a caller did not leave")
			}
		})
	}
	wg.Wait()
	eventually(t, 5*time.Second, "the exchange ends", func() bool {
		c := huma.Calls()
		return c.InFlight == 0 && c.ByOp["signin"] == 1
	})
	eventually(t, 5*time.Second, "the exchange is logged", func() bool {
		return strings.Contains(s.log(), "token granted")
	})
	s.request("GET", iosPath, as("a@x.example")).tokens(t)
	if n := huma.calls("signin"); n != 1 {
		t.Errorf("%d sign-ins: the token was not kept", n)
	}
}

func TestC07_AnInstantServiceIsCalledOncePerUser(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	s := serve(t, simpleSite(huma, ""))
	for round := range 20 {
		allOK(t, s.together(50, func(int) []func(*http.Request) {
			return []func(*http.Request){as(fmt.Sprintf("u%d@x.example", round))}
		}))
	}
	if got := huma.Calls().ByOp; got["signin"] != 20 || got["signup"] != 20 {
		t.Errorf("calls %v, want 20 of each", got)
	}
}

func TestC09_LifetimesThatCannotBeKept(t *testing.T) {
	for name, c := range map[string]struct {
		lifetime string
		kept     bool
		answered [2]int64 // at least, at most
	}{
		"an hour":       {`3600`, true, [2]int64{3590, 3600}},
		"as a text":     {`"3600"`, true, [2]int64{3590, 3600}},
		"with fraction": {`3600.5`, true, [2]int64{3590, 3600}},
		"short":         {`30`, true, [2]int64{25, 30}},
		"zero":          {`0`, false, [2]int64{0, 0}},
		"negative":      {`-5`, false, [2]int64{0, 0}},
		"null":          {`null`, false, [2]int64{0, 0}},
		"endless":       {`1e18`, false, [2]int64{0, 0}},
		"nonsense":      {`"soon"`, false, [2]int64{0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			huma := newHuma(t, sandbox.Config{})
			huma.SetFaults([]sandbox.Fault{{Op: "signin", Status: 200, Body: `{"uid":"u","authToken":"a","refreshToken":"r","authTokenExpiresIn":` + c.lifetime + `,"expiresIn":` + c.lifetime + `}`}})
			s := serve(t, simpleSite(huma, ""))
			v := s.request("GET", iosPath, as("a@x.example")).tokens(t)
			for _, got := range []int64{*v.AuthTokenExpiresIn, *v.RefreshTokenExpiresIn, *v.ExpiresIn} {
				if got < c.answered[0] || got > c.answered[1] {
					t.Errorf("lifetime %d, want %v", got, c.answered)
				}
			}
			s.request("GET", iosPath, as("a@x.example")).tokens(t)
			if kept := huma.calls("signin") == 1; kept != c.kept {
				t.Errorf("kept is %v, want %v", kept, c.kept)
			}
		})
	}
}

// TestC11_NothingIsSharedBetweenAccounts: the same user at another API,
// deployment or with another secret has another token.
func TestC11_NothingIsSharedBetweenAccounts(t *testing.T) {
	one := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	two := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	other := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}, DeploymentID: "d2", Secret: "other"})
	block := func(matcher, credentials string) string {
		return "huma_token " + matcher + " {\n" + credentials + "\nidentity {\nemail X-Test-User\n}\ntrust proxies 127.0.0.1\n}\n"
	}
	s := serve(t, "SITE {\n"+
		block("/one", one.credentials())+
		block("/same", one.credentials())+
		block("/two", two.credentials())+
		block("/other", strings.NewReplacer("deployment_id d1", "deployment_id d2", "secret sandbox-secret", "secret other").Replace(other.credentials()))+
		"}")
	seen := make(map[string]string)
	for _, path := range []string{"/one", "/same", "/two", "/other"} {
		token := s.request("GET", path+"?client_type=ios", as("a@x.example")).tokens(t).AuthToken
		if where, ok := seen[token]; ok != (path == "/same") {
			t.Errorf("%s: the token of %q", path, where)
		}
		seen[token] = path
	}
	if one.calls("signin") != 1 || two.calls("signin") != 1 || other.calls("signin") != 1 {
		t.Errorf("sign-ins: %d, %d, %d", one.calls("signin"), two.calls("signin"), other.calls("signin"))
	}
}

func TestC13_EvictedWhileAnExchangeRuns(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	huma.SetFaults([]sandbox.Fault{{Delay: 300 * time.Millisecond}})
	s := serve(t, simpleSite(huma, ""))
	before := make(chan *answer)
	go func() { before <- s.request("GET", iosPath, as("a@x.example")) }()
	eventually(t, 5*time.Second, "a call is under way", func() bool { return huma.Calls().InFlight == 1 })
	if a := s.request("DELETE", path, as("a@x.example")); a.StatusCode != http.StatusNoContent {
		t.Fatalf("DELETE: %d", a.StatusCode)
	}
	old := (<-before).tokens(t).AuthToken
	if got := s.request("GET", iosPath, as("a@x.example")).tokens(t).AuthToken; got == old {
		t.Error("the token from before was kept")
	}
}

func TestC15_AnUnknownUserOnTwoDevices(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	huma.SetFaults([]sandbox.Fault{{Delay: 100 * time.Millisecond}})
	s := serve(t, simpleSite(huma, ""))
	var wg sync.WaitGroup
	for _, client := range []string{"ios", "android", "web"} {
		wg.Go(func() {
			a, err := s.try(context.Background(), "GET", path+"?client_type="+client, as("a@x.example"))
			if err != nil || a.StatusCode != http.StatusOK {
				t.Errorf("%s: %v %v", client, a, err)
			}
		})
	}
	wg.Wait()
	if n, users := huma.calls("signup"), len(huma.Users()); n != 1 || users != 1 {
		t.Errorf("%d sign-ups, %d users", n, users)
	}
}

func TestNoCache(t *testing.T) {
	fresh := header("Cache-Control", "max-age=0, No-Cache")
	for name, c := range map[string]struct {
		options string
		signIns []int
	}{
		"honored": {"", []int{1, 1, 2, 2, 2}},
		"ignored": {"no_cache ignore", []int{1, 1, 1, 1, 1}},
		"off":     {"cache off", []int{1, 2, 3, 4, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
			s := serve(t, simpleSite(huma, c.options))
			for i, edit := range []func(*http.Request){header("Accept", "*/*"), header("Cache-Control", "max-age=0"), fresh, fresh, header("Accept", "*/*")} {
				s.request("GET", iosPath, as("a@x.example"), edit).tokens(t)
				if n := huma.calls("signin"); n != c.signIns[i] {
					t.Errorf("after request %d: %d sign-ins, want %d", i, n, c.signIns[i])
				}
			}
		})
	}
}

func TestVary(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	s := serve(t, simpleSite(huma, "cache 1m {\nvary {header.X-Device} {query.tab}\n}"))
	get := func(device, tab string) string {
		return s.request("GET", iosPath+"&tab="+tab, as("a@x.example"), header("X-Device", device)).tokens(t).AuthToken
	}
	phone, tablet := get("phone", "1"), get("tablet", "1")
	if phone == tablet || get("phone", "2") == phone {
		t.Error("two devices have one token")
	}
	if get("phone", "1") != phone || get("tablet", "1") != tablet {
		t.Error("a device did not get its token again")
	}
	if get("a", "bc") == get("ab", "c") {
		t.Error("values that join to the same text are taken for one")
	}
	for i := range 8 {
		get(strings.Repeat("x", 1000)+fmt.Sprint(i), "1")
	}
	if get("phone", "1") == phone {
		t.Error("more than 8 variants of a user are kept")
	}
}
