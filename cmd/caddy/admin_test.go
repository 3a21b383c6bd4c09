package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// adminRequest sends a request to the admin endpoint of a Caddy.
func adminRequest(t *testing.T, address, method, path, body string) (status int, response string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	status, text := do(t, req)
	return status, string(text)
}

// TestAdminReachesAllReplicas checks that evictions through the admin API of one replica,
// and by DELETE, reach the others.
func TestAdminReachesAllReplicas(t *testing.T) {
	r := startReplicas(t, 10*time.Second)
	const user, other = "a@x.example", "b@x.example"
	// everywhere requests a user's token from all replicas, which must return the same one.
	everywhere := func(user string) string {
		t.Helper()
		token := r.token(0, user)
		for i := range r.addresses {
			if r.token(i, user) != token {
				t.Fatalf("replica %d has another token", i)
			}
		}
		return token
	}
	evicted := func(description, user, token string) {
		t.Helper()
		for i := range r.addresses {
			testutil.Eventually(t, patience, description, func() bool { return r.token(i, user) != token })
		}
	}
	first, others := everywhere(user), everywhere(other)
	if status, answer := adminRequest(t, r.admins[1], http.MethodPost, "/huma/cache/evict", `{"email":"`+user+`"}`); status != http.StatusOK || !strings.Contains(answer, `"notified"`) {
		t.Fatalf("evict: %d %s", status, answer)
	}
	evicted("all replicas evict the user", user, first)
	again := everywhere(user)
	if status, _, err := r.request(t.Context(), 1, http.MethodDelete, user); err != nil || status != http.StatusNoContent {
		t.Fatalf("DELETE: %d %v", status, err)
	}
	evicted("all replicas evict the user again", user, again)
	if everywhere(other) != others {
		t.Error("another user was evicted, too")
	}
	if status, answer := adminRequest(t, r.admins[2], http.MethodPost, "/huma/cache/flush", ""); status != http.StatusOK || !strings.Contains(answer, `"notified"`) {
		t.Fatalf("flush: %d %s", status, answer)
	}
	evicted("all replicas flush their caches", other, others)
}

// TestHealthDuringShutdown checks that during shutdown_delay, Caddy still serves
// requests, and the health check fails.
func TestHealthDuringShutdown(t *testing.T) {
	site, admin := testutil.FreeAddress(t), testutil.FreeAddress(t)
	c := startCaddy(t, `{
		admin `+admin+`
		persist_config off
		auto_https off
		shutdown_delay 3s
	}
	http://`+site+` {
		huma_token {
			api http://127.0.0.1:1
			project_id p1
			deployment_id d1
			client_id c1
			secret sandbox-secret
			identity {
				email X-Test-User
			}
			trust proxies 127.0.0.1
		}
	}`, site)
	t.Cleanup(func() { c.stop(t) })
	testutil.Eventually(t, patience, "the health check succeeds", func() bool {
		status, _ := adminRequest(t, admin, http.MethodGet, "/huma/health", "")
		return status == http.StatusOK
	})
	go func() { _ = c.Stop() }() // the cleanup waits for the exit, too
	testutil.Eventually(t, patience, "the health check fails", func() bool {
		status, body := adminRequest(t, admin, http.MethodGet, "/huma/health", "")
		return status == http.StatusServiceUnavailable && strings.Contains(body, `"stopping"`)
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+site+"/private/huma-token", nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := do(t, req); status != http.StatusUnauthorized {
		t.Errorf("requests get the status %d", status)
	}
}
