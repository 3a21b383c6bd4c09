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

// concurrently makes n concurrent requests for a token and returns the responses.
func (s *site) concurrently(target string, n int, edit func(i int) []func(*http.Request)) []*response {
	s.t.Helper()
	responses := make([]*response, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			a, err := s.tryRequest(context.Background(), "GET", target, edit(i)...)
			if err != nil {
				s.t.Errorf("request %d: %v", i, err)
				a = &response{Response: &http.Response{}}
			}
			responses[i] = a
		})
	}
	close(start)
	wg.Wait()
	return responses
}

// allOK checks that every response is a token.
func allOK(t *testing.T, responses []*response) {
	t.Helper()
	for _, a := range responses {
		if a.StatusCode != http.StatusOK {
			t.Fatalf("status %d: %s", a.StatusCode, a.Body)
		}
	}
}

func TestC01_ThousandRequestsOfAKnownUser(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		p.addUsers(fake, "a@x.example")
		fake.SetFaults([]sandbox.Fault{{Delay: 200 * time.Millisecond}})
		s := serve(t, p.site(fake, ""))
		allOK(t, s.concurrently(p.target(), 1000, func(int) []func(*http.Request) { return []func(*http.Request){as("a@x.example")} }))
		p.wantCalls(t, fake, 1, 0)
	})
}

// TestC02_F06_ThousandRequestsOfAnUnknownUser checks that concurrent requests of one user
// without a token share one exchange, which takes one place in the limits.
func TestC02_F06_ThousandRequestsOfAnUnknownUser(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	huma.SetFaults([]sandbox.Fault{{Delay: 100 * time.Millisecond}})
	s := serve(t, simpleSite(huma, "max_concurrent 1\nmax_waiting 1"))
	allOK(t, s.concurrently(iosPath, 1000, func(int) []func(*http.Request) { return []func(*http.Request){as("a@x.example")} }))
	if got := huma.Calls().ByOp; got["signin"] != 1 || got["signup"] != 1 {
		t.Errorf("calls %v, want one sign-in and one sign-up", got)
	}
	if n := len(huma.Users()); n != 1 {
		t.Errorf("%d accounts", n)
	}
}

func TestC03_ThousandUsersAtOnce(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		var users []string
		for i := range 1000 {
			users = append(users, fmt.Sprintf("u%d@x.example", i))
		}
		fake := newHuma(t, sandbox.Config{})
		p.addUsers(fake, users...)
		fake.SetFaults([]sandbox.Fault{{Delay: 20 * time.Millisecond}})
		s := serve(t, p.site(fake, "max_concurrent 32\ntimeout 30s"))
		allOK(t, s.concurrently(p.target(), 1000, func(i int) []func(*http.Request) { return []func(*http.Request){as(users[i])} }))
		calls := fake.Calls()
		if calls.MaxInFlight > 32 || calls.Connections > 32 {
			t.Errorf("%d concurrent calls over %d connections", calls.MaxInFlight, calls.Connections)
		}
		p.wantCalls(t, fake, 1000, 0)
	})
}

func TestC04_FirstRequestIsCanceled(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		p.addUsers(fake, "a@x.example")
		release := fake.block(t, "")
		s := serve(t, p.site(fake, ""))

		ctx, cancel := context.WithCancel(context.Background())
		first := make(chan error)
		go func() {
			_, err := s.tryRequest(ctx, "GET", p.target(), as("a@x.example"))
			first <- err
		}()
		fake.waitBlocked(t, 1)
		others := make(chan []*response)
		go func() {
			others <- s.concurrently(p.target(), 20, func(int) []func(*http.Request) { return []func(*http.Request){as("a@x.example")} })
		}()
		time.Sleep(50 * time.Millisecond) // until they wait for the same exchange
		cancel()
		if err := <-first; err == nil {
			t.Error("the first request was not canceled")
		}
		release()
		allOK(t, <-others)
		p.wantCalls(t, fake, 1, 0)
	})
}

func TestC05_AllRequestsAreCanceled(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		p.addUsers(fake, "a@x.example")
		release := fake.block(t, "")
		s := serve(t, p.site(fake, ""))
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := s.tryRequest(ctx, "GET", p.target(), as("a@x.example")); err == nil {
					t.Error("a request was not canceled")
				}
			})
		}
		fake.waitBlocked(t, 1)
		time.Sleep(50 * time.Millisecond) // until they wait for the same exchange
		cancel()
		wg.Wait()
		release()
		eventually(t, 5*time.Second, "the exchange ends", func() bool {
			c := fake.Calls()
			return c.InFlight == 0 && c.ByOp[p.first] == 1
		})
		eventually(t, 5*time.Second, "the exchange is logged", func() bool {
			return strings.Contains(s.log(), "token issued")
		})
		s.request("GET", p.target(), as("a@x.example")).token(t, p)
		p.wantCalls(t, fake, 1, 0) // the token was cached
	})
}

func TestC07_AnInstantServiceIsCalledOncePerUser(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		s := serve(t, p.site(fake, ""))
		for round := range 20 {
			user := fmt.Sprintf("u%d@x.example", round)
			p.requireBothCalls(t, fake, user)
			allOK(t, s.concurrently(p.target(), 50, func(int) []func(*http.Request) { return []func(*http.Request){as(user)} }))
		}
		p.wantCalls(t, fake, 20, 20)
	})
}

func TestC15_AnUnknownUserOnTwoDevices(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	huma.SetFaults([]sandbox.Fault{{Delay: 100 * time.Millisecond}})
	s := serve(t, simpleSite(huma, ""))
	var wg sync.WaitGroup
	for _, client := range []string{"ios", "android", "web"} {
		wg.Go(func() {
			a, err := s.tryRequest(context.Background(), "GET", path+"?client_type="+client, as("a@x.example"))
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
