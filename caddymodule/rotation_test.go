package caddymodule_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

const (
	oldSecret = "sandbox-secret"
	newSecret = "rotated-secret"

	// rotationTimeout is the time within which new credentials must be used, without a
	// call that is rejected.
	rotationTimeout = 5 * time.Second
)

// rotatingService is a service that accepts the old secret, and after rotate only the new
// one.
type rotatingService struct {
	*fakeHuma // accepts the old secret
	next      *fakeHuma
	now       atomic.Pointer[fakeHuma]
}

func newRotating(t *testing.T) *rotatingService {
	t.Helper()
	r := &rotatingService{
		fakeHuma: newHuma(t, sandbox.Config{}),
		next: newHuma(t, sandbox.Config{
			Secret: newSecret, HumanAPI: sandbox.HumanAPI{Clients: map[string]string{"hapi1": newSecret}},
		}),
	}
	r.now.Store(r.fakeHuma)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.now.Load().ServeHTTP(w, req) }))
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	r.URL = srv.URL
	return r
}

func (r *rotatingService) rotate() { r.now.Store(r.next) }

// addUsers adds users to the service, before and after the rotation.
func (r *rotatingService) addUsers(p service, users ...string) {
	p.addUsers(r.fakeHuma, users...)
	p.addUsers(r.next, users...)
}

// rejectedCalls returns the number of calls with the wrong secret.
func rejectedCalls(h *fakeHuma) (n int) {
	for _, c := range h.Calls().Calls {
		if c.Status == http.StatusUnauthorized || c.Status == http.StatusForbidden {
			n++
		}
	}
	return n
}

// secretFile is a file with a secret that can be replaced.
type secretFile struct {
	path    string
	replace func(t *testing.T, text string)
}

// secretFiles holds the ways to replace a file.
var secretFiles = map[string]func(t *testing.T, text string) secretFile{
	"rename": func(t *testing.T, text string) secretFile {
		path := writeFile(t, "secret", text)
		return secretFile{path, func(t *testing.T, text string) {
			t.Helper()
			must(t, os.WriteFile(path+".new", []byte(text), 0o600))
			must(t, os.Rename(path+".new", path))
		}}
	},
	"write": func(t *testing.T, text string) secretFile {
		path := writeFile(t, "secret", text)
		return secretFile{path, func(t *testing.T, text string) {
			t.Helper()
			must(t, os.WriteFile(path, []byte(text), 0o600))
		}}
	},
	// Kubernetes uses a link to a link to a directory, and replaces the second link.
	"symlink": func(t *testing.T, text string) secretFile {
		dir := t.TempDir()
		version := 0
		replace := func(t *testing.T, text string) {
			t.Helper()
			version++
			name := fmt.Sprint("..", version)
			must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
			must(t, os.WriteFile(filepath.Join(dir, name, "secret"), []byte(text), 0o600))
			must(t, os.Symlink(name, filepath.Join(dir, "..data_tmp")))
			must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
			if version > 1 {
				must(t, os.RemoveAll(filepath.Join(dir, fmt.Sprint("..", version-1))))
			}
		}
		replace(t, text)
		must(t, os.Symlink(filepath.Join("..data", "secret"), filepath.Join(dir, "secret")))
		return secretFile{filepath.Join(dir, "secret"), replace}
	},
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// site returns a site whose secret is in a file.
func (r *rotatingService) site(p service, file secretFile, more string) string {
	text := p.site(r.fakeHuma, more)
	return strings.Replace(text, oldSecret, "{file."+file.path+"}", 1)
}

// TestRotation_WithinFiveSeconds checks the documented limit, which includes the time to
// read and check the new file.
func TestRotation_WithinFiveSeconds(t *testing.T) {
	if pollInterval > 4*time.Second {
		t.Errorf("files are polled every %s", pollInterval)
	}
	if maxRound > 3*time.Second {
		t.Errorf("a file that hangs delays the others by %s", maxRound)
	}
}

// TestRotation_UnderLoad replaces a secret while users sign in. No request may fail, and
// after a while no call may be signed with the old secret.
func TestRotation_UnderLoad(t *testing.T) {
	for name, newFile := range secretFiles {
		t.Run(name, func(t *testing.T) {
			forBoth(t, func(t *testing.T, p service) {
				var users []string
				for i := range 10 {
					users = append(users, fmt.Sprintf("u%d@x.example", i))
				}
				service := newRotating(t)
				service.addUsers(p, users...)
				file := newFile(t, oldSecret+"\n")
				s := serve(t, service.site(p, file, "cache off"))
				load := s.signIns(p, users)
				eventually(t, 10*time.Second, "users are served", func() bool { return load.answered.Load() > 50 })
				file.replace(t, newSecret+"\n")
				service.rotate()
				eventually(t, 10*time.Second, "users are served with the new secret", func() bool { return service.next.calls(p.first) > 300 })
				refused := rejectedCalls(service.next)
				at := service.next.calls(p.first)
				eventually(t, 10*time.Second, "more users are served", func() bool { return service.next.calls(p.first) > at+200 })
				load.end()
				if n := rejectedCalls(service.next); n != refused || n > len(users) {
					t.Errorf("%d calls with the old secret, %d of them late", n, n-refused)
				}
				s.noSecretsInLog(oldSecret, newSecret)
			})
		})
	}
}

// TestRotation_OldTokens checks that tokens of the old credentials are no longer served,
// even without a call to the service.
func TestRotation_OldTokens(t *testing.T) {
	for name, newFile := range secretFiles {
		t.Run(name, func(t *testing.T) {
			forBoth(t, func(t *testing.T, p service) {
				service := newRotating(t)
				service.addUsers(p, "a@x.example")
				file := newFile(t, oldSecret)
				s := serve(t, service.site(p, file, "cache 10m"))
				get := func() string { return s.request("GET", p.target(), as("a@x.example")).token(t, p) }
				first := get()
				if get() != first {
					t.Fatal("the token is not cached")
				}
				file.replace(t, newSecret)
				service.rotate()
				eventually(t, rotationTimeout, "a new token", func() bool { return get() != first })
				if n := rejectedCalls(service.next); n != 0 {
					t.Errorf("%d calls with the old secret", n)
				}
				eventually(t, rotationTimeout, "one line says so", func() bool { return len(s.logLines("credentials reloaded")) == 1 })
			})
		})
	}
}

// TestRotation_OneLinePerAccount checks that the handlers of one account log a change of
// the file that they all read once, also if the file is invalid. An invalid file changes
// nothing, and the next valid file is used.
func TestRotation_OneLinePerAccount(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		service := newRotating(t)
		service.addUsers(p, "a@x.example", "b@x.example")
		file := secretFiles["rename"](t, oldSecret)
		const handlers = 4
		text := "SITE {\n"
		for i := range handlers {
			text += p.block(fmt.Sprint("/", i), p.options(service.fakeHuma), "")
		}
		s := serve(t, strings.ReplaceAll(text+"}", oldSecret, "{file."+file.path+"}"))
		tokens := func() (all [handlers]string) {
			for i := range handlers {
				all[i] = s.request("GET", fmt.Sprint("/", i, "?", p.query), as("a@x.example")).token(t, p)
			}
			return all
		}
		replace := func(secret string, next *fakeHuma, times int) {
			t.Helper()
			before := tokens()
			file.replace(t, secret)
			service.now.Store(next)
			eventually(t, 2*rotationTimeout, "all handlers use the new secret", func() bool {
				for i, token := range tokens() {
					if token == before[i] {
						return false
					}
				}
				return true
			})
			if n := len(s.logLines("credentials reloaded")); n != times {
				t.Errorf("%d lines after change %d", n, times)
			}
		}
		replace(newSecret, service.next, 1)
		before := tokens()
		file.replace(t, "")
		eventually(t, 3*rotationTimeout, "the log says so", func() bool { return len(s.logLines("cannot reload credentials")) > 0 })
		if line := s.logLines("cannot reload credentials")[0]; !strings.Contains(line, "is empty") {
			t.Error(line)
		}
		if tokens() != before {
			t.Error("the cached tokens were lost")
		}
		s.request("GET", "/0?"+p.query, as("b@x.example")).token(t, p) // the previous secret is still used
		replace(oldSecret, service.fakeHuma, 2)
		if failed, readable := len(s.logLines("cannot reload credentials")), len(s.logLines("can be read again")); failed != 1 || readable != 1 {
			t.Errorf("%d and %d lines about the empty file", failed, readable)
		}
	})
}

// TestRotation_ConfigFile checks that all values of the file are reloaded, and that an
// incomplete file is rejected.
func TestRotation_ConfigFile(t *testing.T) {
	service := newRotating(t)
	service.addUsers(humaService, "a@x.example")
	config := func(secret string) string {
		return `{"url":"` + service.URL + `","projectId":"p1","deploymentId":"d1","clients":{"ios":"c1"},"secret":"` + secret + `"}`
	}
	file := secretFiles["rename"](t, config(oldSecret))
	s := serve(t, "SITE {\n"+humaService.block("", "config_file "+file.path, "cache 10m")+"}")
	get := func() string { return s.request("GET", iosPath, as("a@x.example")).token(t, humaService) }
	first := get()
	for name, text := range map[string]string{
		"half of it":      config(newSecret)[:40],
		"without a value": strings.Replace(config(newSecret), "projectId", "projectless", 1),
		"not there":       "",
	} {
		file.replace(t, text)
		if text == "" {
			must(t, os.Remove(file.path))
		}
		n := len(s.logLines("cannot reload credentials"))
		eventually(t, 2*rotationTimeout, name+" is logged", func() bool { return len(s.logLines("cannot reload credentials")) == n+1 })
		if get() != first {
			t.Errorf("%s: the cached token was lost", name)
		}
	}
	file.replace(t, config(newSecret))
	service.rotate()
	eventually(t, rotationTimeout, "a new token", func() bool { return get() != first })
	s.noSecretsInLog(oldSecret, newSecret)
}

// TestRotation_BreakerAndLimitsStay checks that new credentials reset neither the breaker
// nor the limits.
func TestRotation_BreakerAndLimitsStay(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		service := newRotating(t)
		file := secretFiles["rename"](t, oldSecret)
		s := serve(t, service.site(p, file, "retries 0\nbreaker {\nfailures 3\nopen 1m\n}"))
		must(t, service.SetFaults([]sandbox.Fault{{Op: p.first, Status: 503, Times: 100}}))
		for i := range 3 {
			s.request("GET", p.target(), as(fmt.Sprintf("u%d@x.example", i))).problem(t, 503, "upstream_unavailable")
		}
		file.replace(t, newSecret)
		service.rotate()
		eventually(t, rotationTimeout, "the new secret is used", func() bool { return len(s.logLines("credentials reloaded")) == 1 })
		s.request("GET", p.target(), as("a@x.example")).problem(t, 503, "upstream_unavailable")
		if n := service.next.calls(p.first); n != 0 {
			t.Errorf("%d calls with an open breaker", n)
		}
	})
}

// TestRotation_SignUp checks that the service may reject the old credentials at any call.
// With replicas, the lock of the first sign-up does not block the second one.
func TestRotation_SignUp(t *testing.T) {
	r := redistest.Start(t)
	for _, op := range []string{sandbox.OpSignIn, sandbox.OpSignUp} {
		t.Run(op, func(t *testing.T) {
			service := newRotating(t)
			file := secretFiles["rename"](t, oldSecret)
			s := serve(t, service.site(humaService, file, withRedis(r, "10m", "timeout 1s")))
			s.waitShared(1)
			must(t, service.SetFaults([]sandbox.Fault{{Op: op, Status: 401, Delay: 50 * time.Millisecond, Times: 1}}))
			user := op + "@x.example"
			done := make(chan *response, 1)
			go func() {
				a, _ := s.tryRequest(t.Context(), "GET", iosPath, as(user))
				done <- a
			}()
			eventually(t, 5*time.Second, "the call is made", func() bool { return service.calls(op) == 1 })
			file.replace(t, newSecret)
			service.rotate()
			if a := <-done; a == nil || a.StatusCode != http.StatusOK {
				t.Fatalf("%+v", a)
			}
			if n := service.next.calls(sandbox.OpSignUp); n != 1 {
				t.Errorf("%d sign-ups", n)
			}
			if len(tokenKeys(r)) == 0 {
				t.Error("the replicas do not share tokens")
			}
		})
	}
}

// TestRotation_Unchanged checks that rejected credentials that have not changed are not
// tried again.
func TestRotation_Unchanged(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		service := newRotating(t)
		s := serve(t, service.site(p, secretFiles["rename"](t, oldSecret), ""))
		service.rotate()
		s.request("GET", p.target(), as("a@x.example")).problem(t, 502, "upstream_config")
		if n := service.next.calls(p.first); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

// signIns makes requests of users, sequentially for each user. Each of them must get a
// token.
type signIns struct {
	answered atomic.Int64
	wg       sync.WaitGroup
	done     atomic.Bool
}

func (s *site) signIns(p service, users []string) *signIns {
	l := new(signIns)
	for _, user := range users {
		l.wg.Go(func() {
			for !l.done.Load() {
				a, err := s.tryRequest(context.Background(), "GET", p.target(), as(user))
				if err != nil || a.StatusCode != http.StatusOK {
					s.t.Errorf("%+v, %v", a, err)
					return
				}
				l.answered.Add(1)
			}
		})
	}
	return l
}

func (l *signIns) end() {
	l.done.Store(true)
	l.wg.Wait()
}
