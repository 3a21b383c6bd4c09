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

	// rotated is how long it may take until new credentials are used that nobody
	// has asked for.
	rotated = 5 * time.Second
)

// rotating is a service that accepts the old secret, and from rotate on only the
// new one.
type rotating struct {
	*fakeHuma // with the old secret
	next      *fakeHuma
	now       atomic.Pointer[fakeHuma]
}

func newRotating(t *testing.T) *rotating {
	t.Helper()
	r := &rotating{
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

func (r *rotating) rotate() { r.now.Store(r.next) }

// knows makes users known to the service, before and after.
func (r *rotating) knows(p provider, users ...string) {
	p.knows(r.fakeHuma, users...)
	p.knows(r.next, users...)
}

// refusedCalls is how many calls came with the wrong secret.
func refusedCalls(h *fakeHuma) (n int) {
	for _, c := range h.Calls().Calls {
		if c.Status == http.StatusUnauthorized || c.Status == http.StatusForbidden {
			n++
		}
	}
	return n
}

// secretFile is a file with a secret, and a way to put another one there.
type secretFile struct {
	path    string
	replace func(t *testing.T, text string)
}

// secretFiles are the ways in which files are replaced.
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
	// Kubernetes has a link to a link to a directory, and replaces the second.
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

// rotatingSite is a site whose secret is in a file.
func (r *rotating) site(p provider, file secretFile, more string) string {
	text := p.site(r.fakeHuma, more)
	return strings.Replace(text, oldSecret, "{file."+file.path+"}", 1)
}

// TestRotation_WithinFiveSeconds: which is a promise, and leaves time to read
// and check what is new.
func TestRotation_WithinFiveSeconds(t *testing.T) {
	if pollInterval > 4*time.Second {
		t.Errorf("files are looked at every %s", pollInterval)
	}
	if maxRound > 3*time.Second {
		t.Errorf("a file that hangs delays the others by %s", maxRound)
	}
}

// TestRotation_UnderLoad: a secret is replaced while users sign in. No request
// fails, and soon nothing is signed with the old one.
func TestRotation_UnderLoad(t *testing.T) {
	for name, newFile := range secretFiles {
		t.Run(name, func(t *testing.T) {
			forBoth(t, func(t *testing.T, p provider) {
				var users []string
				for i := range 10 {
					users = append(users, fmt.Sprintf("u%d@x.example", i))
				}
				service := newRotating(t)
				service.knows(p, users...)
				file := newFile(t, oldSecret+"\n")
				s := serve(t, service.site(p, file, "cache off"))
				load := s.signIns(p, users)
				eventually(t, 10*time.Second, "users are served", func() bool { return load.answered.Load() > 50 })
				file.replace(t, newSecret+"\n")
				service.rotate()
				eventually(t, 10*time.Second, "users are served anew", func() bool { return service.next.calls(p.first) > 300 })
				refused := refusedCalls(service.next)
				at := service.next.calls(p.first)
				eventually(t, 10*time.Second, "more users are served", func() bool { return service.next.calls(p.first) > at+200 })
				load.end()
				if n := refusedCalls(service.next); n != refused || n > len(users) {
					t.Errorf("%d calls with the old secret, %d of them late", n, n-refused)
				}
				s.noSecretsInLog(oldSecret, newSecret)
			})
		})
	}
}

// TestRotation_OldTokens: tokens of the old credentials are not handed out any
// more, although nobody has asked the service.
func TestRotation_OldTokens(t *testing.T) {
	for name, newFile := range secretFiles {
		t.Run(name, func(t *testing.T) {
			forBoth(t, func(t *testing.T, p provider) {
				service := newRotating(t)
				service.knows(p, "a@x.example")
				file := newFile(t, oldSecret)
				s := serve(t, service.site(p, file, "cache 10m"))
				get := func() string { return s.request("GET", p.ask(), as("a@x.example")).token(t, p) }
				first := get()
				if get() != first {
					t.Fatal("the token is not kept")
				}
				file.replace(t, newSecret)
				service.rotate()
				eventually(t, rotated, "another token", func() bool { return get() != first })
				if n := refusedCalls(service.next); n != 0 {
					t.Errorf("%d calls with the old secret", n)
				}
				eventually(t, rotated, "one line says so", func() bool { return len(s.lines("credentials reloaded")) == 1 })
			})
		})
	}
}

// TestRotation_BrokenFile: what cannot be used changes nothing and is told once,
// and what comes after it is used.
func TestRotation_BrokenFile(t *testing.T) {
	forBoth(t, func(t *testing.T, p provider) {
		service := newRotating(t)
		service.knows(p, "a@x.example", "b@x.example")
		file := secretFiles["rename"](t, oldSecret)
		s := serve(t, service.site(p, file, "cache 10m"))
		first := s.request("GET", p.ask(), as("a@x.example")).token(t, p)
		file.replace(t, "")
		eventually(t, 2*rotated, "the log says so", func() bool { return len(s.lines("cannot reload credentials")) == 1 })
		if line := s.lines("cannot reload credentials")[0]; !strings.Contains(line, "is empty") {
			t.Error(line)
		}
		if s.request("GET", p.ask(), as("a@x.example")).token(t, p) != first {
			t.Error("the token is gone")
		}
		s.request("GET", p.ask(), as("b@x.example")).token(t, p)
		file.replace(t, newSecret)
		service.rotate()
		eventually(t, rotated, "another token", func() bool {
			return s.request("GET", p.ask(), as("a@x.example")).token(t, p) != first
		})
		if len(s.lines("cannot reload credentials")) != 1 || len(s.lines("can be read again")) != 1 {
			t.Error(s.log())
		}
	})
}

// TestRotation_ConfigFile: all that the file says, and a file that is not whole.
func TestRotation_ConfigFile(t *testing.T) {
	service := newRotating(t)
	service.knows(humaProvider, "a@x.example")
	config := func(secret string) string {
		return `{"url":"` + service.URL + `","projectId":"p1","deploymentId":"d1","clients":{"ios":"c1"},"secret":"` + secret + `"}`
	}
	file := secretFiles["rename"](t, config(oldSecret))
	s := serve(t, "SITE {\n"+humaProvider.block("", "config_file "+file.path, "cache 10m")+"}")
	get := func() string { return s.request("GET", iosPath, as("a@x.example")).token(t, humaProvider) }
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
		n := len(s.lines("cannot reload credentials"))
		eventually(t, 2*rotated, name+" is told", func() bool { return len(s.lines("cannot reload credentials")) == n+1 })
		if get() != first {
			t.Errorf("%s: another token", name)
		}
	}
	file.replace(t, config(newSecret))
	service.rotate()
	eventually(t, rotated, "another token", func() bool { return get() != first })
	s.noSecretsInLog(oldSecret, newSecret)
}

// TestRotation_BreakerAndLimitsStay: credentials say nothing about whether the
// service is there.
func TestRotation_BreakerAndLimitsStay(t *testing.T) {
	forBoth(t, func(t *testing.T, p provider) {
		service := newRotating(t)
		file := secretFiles["rename"](t, oldSecret)
		s := serve(t, service.site(p, file, "retries 0\nbreaker {\nfailures 3\nopen 1m\n}"))
		must(t, service.SetFaults([]sandbox.Fault{{Op: p.first, Status: 503, Times: 100}}))
		for i := range 3 {
			s.request("GET", p.ask(), as(fmt.Sprintf("u%d@x.example", i))).problem(t, 503, "upstream_unavailable")
		}
		file.replace(t, newSecret)
		service.rotate()
		eventually(t, rotated, "the new secret is used", func() bool { return len(s.lines("credentials reloaded")) == 1 })
		s.request("GET", p.ask(), as("a@x.example")).problem(t, 503, "upstream_unavailable")
		if n := service.next.calls(p.first); n != 0 {
			t.Errorf("%d calls past the breaker", n)
		}
	})
}

// TestRotation_SignUp: the service may refuse the old credentials at any call.
// With replicas the sign-up of the second try is not kept back by the first.
func TestRotation_SignUp(t *testing.T) {
	r := redistest.Start(t)
	for _, op := range []string{sandbox.OpSignIn, sandbox.OpSignUp} {
		t.Run(op, func(t *testing.T) {
			service := newRotating(t)
			file := secretFiles["rename"](t, oldSecret)
			s := serve(t, service.site(humaProvider, file, withRedis(r, "10m", "timeout 1s")))
			s.shared(1)
			must(t, service.SetFaults([]sandbox.Fault{{Op: op, Status: 401, Delay: 50 * time.Millisecond, Times: 1}}))
			user := op + "@x.example"
			done := make(chan *answer, 1)
			go func() {
				a, _ := s.try(t.Context(), "GET", iosPath, as(user))
				done <- a
			}()
			eventually(t, 5*time.Second, "the call is there", func() bool { return service.calls(op) == 1 })
			file.replace(t, newSecret)
			service.rotate()
			if a := <-done; a == nil || a.StatusCode != http.StatusOK {
				t.Fatalf("%+v", a)
			}
			if n := service.next.calls(sandbox.OpSignUp); n != 1 {
				t.Errorf("%d sign-ups", n)
			}
			if len(tokenKeys(r)) == 0 {
				t.Error("nothing is shared")
			}
		})
	}
}

// TestRotation_Unchanged: credentials that are refused and have not changed are
// refused.
func TestRotation_Unchanged(t *testing.T) {
	forBoth(t, func(t *testing.T, p provider) {
		service := newRotating(t)
		s := serve(t, service.site(p, secretFiles["rename"](t, oldSecret), ""))
		service.rotate()
		s.request("GET", p.ask(), as("a@x.example")).problem(t, 502, "upstream_config")
		if n := service.next.calls(p.first); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

// signIns are requests of users, one after the other for each of them, all of
// which have to be answered with a token.
type signIns struct {
	answered atomic.Int64
	wg       sync.WaitGroup
	done     atomic.Bool
}

func (s *site) signIns(p provider, users []string) *signIns {
	l := new(signIns)
	for _, user := range users {
		l.wg.Go(func() {
			for !l.done.Load() {
				a, err := s.try(context.Background(), "GET", p.ask(), as(user))
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
