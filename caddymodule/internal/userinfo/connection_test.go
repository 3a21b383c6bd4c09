package userinfo

import (
	"net/http"
	"sync"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestAuthenticatedConnections checks that connections are not reused after Negotiate
// or NTLM: an application that authenticates connections would take the next user for
// the same one.
func TestAuthenticatedConnections(t *testing.T) {
	var mu sync.Mutex
	users := make(map[string]string) // by connection
	url := testutil.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if auth := r.Header.Get("Authorization"); auth != "" {
			users[r.RemoteAddr] = auth
		}
		if users[r.RemoteAddr] == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"email":"alice@x.example"}`))
	})
	c, _ := newClient(t, url)
	anybody := http.Header{"Cookie": {"theme=dark"}}
	for _, scheme := range []string{"Negotiate", "negotiate", "NTLM"} {
		for range 3 {
			wantRejection(t, c, t.Context(), anybody, identity.ErrUnauthenticated)
			if _, err := c.Fetch(t.Context(), "", http.Header{"Authorization": {scheme + " YII="}}); err != nil {
				t.Fatal(err)
			}
		}
		wantRejection(t, c, t.Context(), anybody, identity.ErrUnauthenticated)
	}
}

// TestMaxWaiting checks that requests beyond the limit are rejected at once, without an
// error about the application.
func TestMaxWaiting(t *testing.T) {
	arrived, open := make(chan struct{}, 10), make(chan struct{})
	url := testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-open
		_, _ = w.Write([]byte(`{}`))
	})
	c, r := newClient(t, url, func(cfg *subrequest.Config) { cfg.MaxWaiting = 2 })
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := c.Fetch(t.Context(), "", withCredentials()); err != nil {
				t.Error(err)
			}
		})
		<-arrived
	}
	for range 5 {
		wantRejection(t, c, t.Context(), withCredentials(), identity.ErrUserinfoBusy)
	}
	close(open)
	wg.Wait()
	if _, err := c.Fetch(t.Context(), "", withCredentials()); err != nil {
		t.Error(err)
	}
	if errs := r.All(); len(errs) != 0 {
		t.Errorf("%v", errs)
	}
}
