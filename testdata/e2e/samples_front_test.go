package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// front is a proxy in front of the site, which records requests and responds to some paths
// itself.
type front struct {
	*httptest.Server
	mu       sync.Mutex
	left     chan struct{} // closed by the next DELETE
	requests []string      // method and Cache-Control
}

// startFront starts a proxy in front of a site.
func startFront(t *testing.T, site string) *front {
	t.Helper()
	target, err := url.Parse(site)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) {} // the client has left
	f := &front{left: make(chan struct{})}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		number, left := f.record(r)
		path := r.URL.Path
		r.URL.Path = "/private/huma-token"
		switch path {
		case "/busy":
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusTooManyRequests)
		case "/bad-gateway":
			w.WriteHeader(http.StatusBadGateway)
		case "/redirect":
			http.Redirect(w, r, "/page", http.StatusFound)
		case "/page":
			fmt.Fprint(w, "<!doctype html><title>Sign in</title>")
		case "/hang":
			select {
			case <-r.Context().Done():
			case <-time.After(processTimeout):
			}
		case "/drip": // does not end within the timeout
			for end := time.Now().Add(processTimeout); r.Context().Err() == nil && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				fmt.Fprint(w, " ")
				_ = http.NewResponseController(w).Flush()
			}
		case "/later":
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"code": "not_known_yet"}`)
		case "/expired-busy":
			if r.Method == http.MethodGet && number <= 3 {
				w.WriteHeader([]int{http.StatusUnauthorized, http.StatusServiceUnavailable, http.StatusServiceUnavailable}[number-1])
				return
			}
			proxy.ServeHTTP(w, r)
		case "/bad-fresh":
			if r.Header.Get("Cache-Control") != "" {
				w.WriteHeader(http.StatusTeapot)
				return
			}
			proxy.ServeHTTP(w, r)
		case "/slow-sign-out":
			time.Sleep(time.Second)
			proxy.ServeHTTP(w, r)
		case "/slow":
			if r.Method == http.MethodGet && r.Header.Get("Cache-Control") == "" {
				select {
				case <-left: // the token arrives after the user has signed out
				case <-time.After(processTimeout):
				}
			}
			proxy.ServeHTTP(w, r)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

// record records a request. It returns the number of requests since the last call of take,
// and a channel that the next DELETE closes.
func (f *front) record(r *http.Request) (number int, left <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := strings.TrimSpace(r.Method + " " + r.Header.Get("Cache-Control"))
	if r.URL.Query().Get("client_type") != "android" {
		text += " without client_type"
	}
	f.requests = append(f.requests, text)
	if r.Method == http.MethodDelete {
		close(f.left)
		f.left = make(chan struct{})
	}
	return len(f.requests), f.left
}

// take returns the requests since the last call.
func (f *front) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := f.requests
	f.requests = nil
	return taken
}
