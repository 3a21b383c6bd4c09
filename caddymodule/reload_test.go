package caddymodule_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

func TestL01_ReloadDuringExchanges(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		users := make([]string, 200)
		for i := range users {
			users[i] = fmt.Sprintf("u%d@x.example", i)
			p.requireBothCalls(t, fake, users[i])
		}
		release := fake.block(t, "")
		config := p.site(fake, "max_concurrent 200")
		s := serve(t, config)
		responses := make(chan []*response)
		go func() {
			responses <- s.concurrently(p.target(), 200, func(i int) []func(*http.Request) { return []func(*http.Request){as(users[i])} })
		}()
		fake.waitBlocked(t, 200)
		for range 3 { // also with other settings, and without the directive
			if err := s.load(strings.Replace(config, "max_concurrent 200", "max_concurrent 100", 1)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.load("SITE {\nrespond ok\n}"); err != nil {
			t.Fatal(err)
		}
		release()
		allOK(t, <-responses)
		p.wantCalls(t, fake, 200, 200)
	})
}

// TestStateSurvivesReloads checks that a reload keeps cached tokens, unless the account
// changes.
func TestStateSurvivesReloads(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		p.addUsers(fake, "a@x.example")
		config := p.site(fake, "cache 60s")
		s := serve(t, config)
		get := func() string { return s.request("GET", p.target(), as("a@x.example")).token(t, p) }
		first := get()
		more := map[string]string{"huma": "header_up X-Tenant other", "human_api": "extra_scopes other"}[p.name]
		for _, c := range []struct {
			name   string
			config string
			cached bool
		}{
			{"the same", config, true},
			{"another ttl", strings.Replace(config, "cache 60s", "cache 50s\ntimeout 3s", 1), true},
			{"other limits", strings.Replace(config, "cache 60s", "max_concurrent 3\nbreaker off", 1), true},
			{"another tenant", strings.Replace(config, "cache 60s", more, 1), false},
		} {
			t.Run(c.name, func(t *testing.T) {
				if err := s.load(c.config); err != nil {
					t.Fatal(err)
				}
				if cached := get() == first; cached != c.cached {
					t.Errorf("cached is %v, want %v", cached, c.cached)
				}
			})
		}
	})
}

// TestL02_ReloadsUnderLoad reloads a Caddy that has a site with huma_token and one with a
// static response, during requests to both. Caddy may lose a connection in a reload;
// huma_token must not lose more than the static site.
func TestL02_ReloadsUnderLoad(t *testing.T) {
	reloads := 100
	if os.Getenv("CADDY_HUMA_LONG") != "" {
		reloads = 500
	}
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	static := "http://" + freeAddress(t)
	config := simpleSite(huma, "cache 10m") + "\n" + static + " {\nrespond static\n}\n"
	s := serve(t, config)
	token := s.request("GET", iosPath, as("a@x.example")).tokens(t).AuthToken
	before := measure(t)

	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	ours := s.requestUntil(ctx, &wg, s.URL+iosPath, token)
	theirs := s.requestUntil(ctx, &wg, static, "static")
	for i := range reloads {
		if err := s.load(config + fmt.Sprintf("# %d", i)); err != nil {
			t.Fatalf("reload %d: %v", i, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	wg.Wait()

	t.Logf("huma_token: %d responses, %d lost; respond: %d responses, %d lost",
		ours.answered.Load(), ours.lost.Load(), theirs.answered.Load(), theirs.lost.Load())
	if n := ours.wrong.Load(); n != 0 {
		t.Errorf("%d wrong responses", n)
	}
	if n := huma.calls("signin"); n != 1 {
		t.Errorf("%d sign-ins: cached tokens were lost", n)
	}
	if ours.answered.Load() == 0 || ours.lost.Load() > 2*theirs.lost.Load()+10 {
		t.Error("more requests were lost than with a static response")
	}
	s.client.CloseIdleConnections()
	var after resourceUsage
	settled := func() bool {
		after = measure(t)
		return after.goroutines <= before.goroutines+10 && after.descriptors <= before.descriptors+10 && after.heap < before.heap+16<<20
	}
	for end := time.Now().Add(5 * time.Second); !settled() && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	if !settled() {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// counts holds the numbers of requests by result.
type counts struct{ answered, lost, wrong atomic.Int64 }

// requestUntil makes about 500 requests per second until ctx ends.
func (s *site) requestUntil(ctx context.Context, wg *sync.WaitGroup, url, want string) *counts {
	c := new(counts)
	for range 5 {
		wg.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				<-tick.C
				a, err := s.tryURL(context.Background(), "GET", url, as("a@x.example"))
				switch {
				case err != nil:
					c.lost.Add(1)
				case a.StatusCode == http.StatusOK && strings.Contains(string(a.Body), want):
					c.answered.Add(1)
				default:
					c.wrong.Add(1)
				}
			}
		})
	}
	return c
}

// resourceUsage is the resource usage of this process.
type resourceUsage struct {
	goroutines, descriptors int
	heap                    uint64
}

func measure(t *testing.T) resourceUsage {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return resourceUsage{runtime.NumGoroutine(), descriptors(t), m.HeapAlloc}
}

// descriptors counts the open files of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Logf("cannot count descriptors: %v", err)
		return 0
	}
	return len(entries)
}
