package caddymodule_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/cli"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func init() { caddy.RegisterModule(new(testStorage)) }

// testStorage is a storage module in memory. Tests make it fail or hang.
type testStorage struct{}

// stored is the content of testStorage.
var stored struct {
	mu      sync.Mutex
	objects map[string][]byte
	err     error         // of Store; nil: it succeeds
	hang    chan struct{} // Store waits until it is closed, whatever its context; nil: it does not wait
}

func (*testStorage) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.storage.test", New: func() caddy.Module { return new(testStorage) }}
}

func (s *testStorage) CertMagicStorage() (certmagic.Storage, error) { return s, nil }
func (*testStorage) Lock(context.Context, string) error             { return nil }
func (*testStorage) Unlock(context.Context, string) error           { return nil }

func (*testStorage) Store(_ context.Context, name string, value []byte) error {
	stored.mu.Lock()
	hang := stored.hang
	stored.mu.Unlock()
	if hang != nil {
		<-hang
	}
	stored.mu.Lock()
	defer stored.mu.Unlock()
	if stored.err != nil {
		return stored.err
	}
	stored.objects[name] = value
	return nil
}

func (*testStorage) Load(_ context.Context, name string) ([]byte, error) {
	stored.mu.Lock()
	defer stored.mu.Unlock()
	if value, ok := stored.objects[name]; ok {
		return value, nil
	}
	return nil, fs.ErrNotExist
}

func (*testStorage) Delete(_ context.Context, name string) error {
	stored.mu.Lock()
	defer stored.mu.Unlock()
	delete(stored.objects, name)
	return nil
}

func (s *testStorage) Exists(ctx context.Context, name string) bool {
	_, err := s.Load(ctx, name)
	return err == nil
}

func (*testStorage) List(_ context.Context, prefix string, _ bool) (names []string, _ error) {
	stored.mu.Lock()
	defer stored.mu.Unlock()
	for name := range stored.objects {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names, nil
}

func (s *testStorage) Stat(ctx context.Context, name string) (certmagic.KeyInfo, error) {
	value, err := s.Load(ctx, name)
	return certmagic.KeyInfo{Key: name, Size: int64(len(value)), IsTerminal: true}, err
}

// setStored empties testStorage, and sets its error and what it waits for.
func setStored(err error, hang chan struct{}) {
	stored.mu.Lock()
	defer stored.mu.Unlock()
	stored.objects, stored.err, stored.hang = make(map[string][]byte), err, hang
}

// refreshTokenService is a Human API at which every user has connected a source of data.
// The Nth id token comes with the refresh token "canary-refresh-N".
type refreshTokenService struct {
	url    string
	issued atomic.Int64
}

func newRefreshTokenService(t testing.TB) *refreshTokenService {
	s := new(refreshTokenService)
	s.url = testutil.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Type string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		w.Header().Set("Content-Type", "application/json")
		if body.Type == "session" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprint(w, `{"errorCode":"SESSION_TOKEN_GENERATION_NOT_ALLOWED"}`)
			return
		}
		n := s.issued.Add(1)
		_, _ = fmt.Fprintf(w, `{"token_type":"Bearer","id_token":"id-%d","id_refresh_token":"canary-refresh-%d","id_token_expires_in":86400}`, n, n)
	})
	return s
}

// The encryption keys of the tests.
const (
	refreshKey1 = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	refreshKey2 = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
)

// site returns a site that saves refresh tokens with these keys.
func (s *refreshTokenService) site(keys string) string {
	return `SITE {
		human_api_token {
			api ` + s.url + `
			client_id hapi1
			client_secret secret
			identity {
				user_id X-Test-User
			}
			trust proxies 127.0.0.1
			cache off
			refresh_tokens storage {
				encryption_keys ` + keys + `
			}
		}
	}`
}

// refreshToken is the output of caddy huma refresh-token --json.
type refreshToken struct {
	Token string    `json:"id_refresh_token"`
	Saved time.Time `json:"saved"`
}

// TestRefreshTokens checks that refresh tokens are saved in the files of Caddy's storage,
// and that the command reads and deletes them, and moves them to another key.
func TestRefreshTokens(t *testing.T) {
	service := newRefreshTokenService(t)
	s := serve(t, service.site(refreshKey1))
	command := func(keys string, args ...string) *ran {
		config := writeFile(t, "caddy.json", string(s.adapt(service.site(keys))))
		return run(t, cli.RefreshTokenCommand(), append([]string{"--config", config}, args...)...).hides("MDEy", "ZmVk")
	}
	load := func(keys, user string) refreshToken {
		t.Helper()
		var v refreshToken
		command(keys, "--user-id", user, "--json").ends(0).json(&v)
		return v
	}
	waitFor := func(user, token string) {
		t.Helper()
		eventually(t, 5*time.Second, "the refresh token "+token+" is saved", func() bool {
			r := command(refreshKey1, "--user-id", user, "--json")
			return strings.Contains(r.out, `"`+token+`"`)
		})
	}
	// connectToken fails on unknown members, so no response has a refresh token.
	s.request("GET", connectPath, as("canary-ada")).connect(t)
	waitFor("canary-ada", "canary-refresh-1")
	s.request("GET", connectPath, as("canary-ada")).connect(t)
	waitFor("canary-ada", "canary-refresh-2")
	s.request("GET", connectPath, as("canary-bob")).connect(t)
	waitFor("canary-bob", "canary-refresh-3")
	if age := time.Since(load(refreshKey1, "canary-ada").Saved); age < -time.Second || age > time.Minute {
		t.Errorf("saved %s ago", age)
	}
	command(refreshKey1, "--user-id", "canary-ada").ends(0, "saved at 20").hides("canary")
	command(refreshKey1, "--user-id", "canary-eve").ends(1).hides("canary")
	command(refreshKey2, "--user-id", "canary-ada").ends(1).hides("canary")

	dir := filepath.Join(storageDir, "caddy_huma", "refresh_tokens")
	files := 0
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		if strings.Contains(path+string(content), "canary") {
			t.Errorf("%s contains a user or a token", path)
		}
		return err
	}))
	if files != 2 {
		t.Errorf("%d files", files)
	}

	// Rotation of the key: new tokens are encrypted with the new one, the command reads
	// both, and moves the old ones.
	must(t, s.load(service.site(refreshKey2+" "+refreshKey1)))
	s.request("GET", connectPath, as("canary-ada")).connect(t)
	eventually(t, 5*time.Second, "it is saved with the new key", func() bool {
		return strings.Contains(command(refreshKey2, "--user-id", "canary-ada", "--json").out, "canary-refresh-4")
	})
	if v := load(refreshKey2+" "+refreshKey1, "canary-bob"); v.Token != "canary-refresh-3" {
		t.Errorf("%+v", v)
	}
	command(refreshKey2, "--reseal").ends(1, "1 before; cannot be decrypted: 2")
	command(refreshKey2+" "+refreshKey1, "--reseal").ends(0, "2 now, 1 before; cannot be decrypted: 0")
	if v := load(refreshKey2, "canary-ada"); v.Token != "canary-refresh-4" {
		t.Errorf("a newer token was replaced: %+v", v)
	}
	if v := load(refreshKey2, "canary-bob"); v.Token != "canary-refresh-3" {
		t.Errorf("%+v", v)
	}
	command(refreshKey2, "--user-id", "canary-bob", "--delete").ends(0, "deleted")
	command(refreshKey2, "--user-id", "canary-bob", "--delete").ends(0, "no refresh token")
	command(refreshKey2, "--user-id", "canary-bob").ends(1)
	command(refreshKey2).ends(2)
	command(refreshKey2, "--user-id", "u", "--reseal").ends(2)
	run(t, cli.RefreshTokenCommand(), "--config", caddyfileOf(t, "respond ok"), "--user-id", "u").ends(1)
	s.notLogged(t, "canary")
}

// loadTestStorage loads a site with testStorage as Caddy's storage.
func (s *site) loadTestStorage(text string) {
	s.t.Helper()
	var config map[string]any
	must(s.t, json.Unmarshal(s.adapt(text), &config))
	config["storage"] = map[string]any{"module": "test"}
	must(s.t, loadConfig(testutil.Must(json.Marshal(config))))
}

// TestRefreshTokensOfAnotherStorage checks another storage module, one that fails, and one
// that hangs: no request fails or waits, and each token is counted.
func TestRefreshTokensOfAnotherStorage(t *testing.T) {
	service := newRefreshTokenService(t)
	m := &metricsSite{metrics: "http://" + freeAddress(t)}
	m.site = newSite(t)
	setStored(nil, nil)
	m.loadTestStorage(m.withMetrics(service.site(refreshKey1)))
	m.stopAfter(t)
	count := func() int {
		stored.mu.Lock()
		defer stored.mu.Unlock()
		return len(stored.objects)
	}
	before := m.scrape()
	m.request("GET", connectPath, as("canary-ada")).connect(t)
	eventually(t, 5*time.Second, "it is saved", func() bool { return count() == 1 })
	eventually(t, 5*time.Second, "it is counted", func() bool {
		return m.scrape().since(before, "refresh_tokens_total ")["refresh_tokens_total saved"] == 1
	})

	setStored(errors.New("no space left on device"), nil)
	before = m.scrape()
	m.request("GET", connectPath, as("canary-ada")).connect(t)
	eventually(t, 5*time.Second, "the error is counted and logged", func() bool {
		return m.scrape().since(before, "refresh_tokens_total ")["refresh_tokens_total error"] == 1 && len(m.logLines("cannot save refresh token")) > 0
	})
	if line := m.logLines("cannot save refresh token")[0]; !strings.Contains(line, `"level":"warn"`) || !strings.Contains(line, "no space left") || !strings.Contains(line, `"handler":"human_api_token 127.0.0.1`) {
		t.Error(line)
	}

	hang := make(chan struct{})
	setStored(nil, hang)
	before = m.scrape()
	for i := range 1003 { // one is being written, a thousand wait
		m.request("GET", connectPath, as(fmt.Sprint("canary-", i))).connect(t)
	}
	m.wantIncrease(before, "refresh_tokens_total", samples{"dropped": 2})
	close(hang)
	eventually(t, 10*time.Second, "the others are saved", func() bool { return count() == 1001 })
	m.notLogged(t, "canary")
}

// TestRefreshTokensAtExit checks that a process that is stopped saves what it has, and
// that one that is killed loses nothing but the last tokens.
func TestRefreshTokensAtExit(t *testing.T) {
	service := newRefreshTokenService(t)
	for name, signal := range map[string]syscall.Signal{"stopped": syscall.SIGTERM, "killed": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			process := s.startProcess(service.site(refreshKey1))
			for i := range 20 {
				s.request("GET", connectPath, as(fmt.Sprint(name, i))).connect(t)
			}
			must(t, process.Process.Signal(signal))
			_ = process.Wait()
			s.client.CloseIdleConnections()
			config := writeFile(t, "caddy.json", string(s.adapt(service.site(refreshKey1))))
			saved := 0
			for i := range 20 {
				r := run(t, cli.RefreshTokenCommand(), "--config", config, "--user-id", fmt.Sprint(name, i), "--json")
				if r.code == 0 {
					saved++
				} else if !strings.Contains(r.err.Error(), "no refresh token is saved") {
					t.Errorf("user %d: %v", i, r.err)
				}
			}
			if signal == syscall.SIGTERM && saved != 20 {
				t.Errorf("%d of 20 are saved", saved)
			}
			config = writeFile(t, "caddy.json", string(s.adapt(service.site(refreshKey1+" "+refreshKey2))))
			run(t, cli.RefreshTokenCommand(), "--config", config, "--reseal").ends(0, "cannot be decrypted: 0")
		})
	}
}
