package caddymodule_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"go.uber.org/goleak"

	_ "github.com/caddy-huma/caddy-huma/caddymodule"
	_ "github.com/caddy-huma/caddy-huma/caddymodule/redis"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// The tests of this package act as users do: with a real Caddyfile, a real Caddy in this
// process, real HTTP calls over loopback, and the sandbox as the service.

// systemAuthority is the only authority that the system trusts in these tests.
var systemAuthority *testutil.Authority

// Short names for frequently used helpers.
var (
	eventually  = testutil.Eventually
	freeAddress = testutil.FreeAddress
	writeFile   = testutil.WriteFile
)

// storageDir is where Caddy keeps its certificates and locks.
var storageDir string

func TestMain(m *testing.M) {
	if config := os.Getenv(asCaddy); config != "" {
		runCaddy(config)
	}
	// Caddy stores its files in a directory that is removed after the tests.
	dir, err := os.MkdirTemp("", "caddy-huma-test")
	if err != nil {
		panic(err)
	}
	for _, v := range []string{"XDG_DATA_HOME", "XDG_CONFIG_HOME", "HOME"} {
		_ = os.Setenv(v, dir)
	}
	// Caddy has already read the environment before TestMain sets it.
	caddy.ConfigAutosavePath = filepath.Join(dir, "autosave.json")
	storageDir = filepath.Join(dir, "storage")
	// The system's certificate authorities are read once per process.
	systemAuthority = testutil.NewAuthority(dir, "the system's authority")
	_ = os.Setenv("SSL_CERT_FILE", systemAuthority.File)
	_ = os.Setenv("SSL_CERT_DIR", filepath.Join(dir, "no-more-authorities"))
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // the tests allocate much and keep little
	}
	code := m.Run()
	if err := goleak.Find(leftBehind...); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// leftBehind lists goroutines that outlive the tests: the rotation of log
// files and the writer of refresh tokens, which run until the process exits, and the
// refresh of a lock file, which stops after some time.
var leftBehind = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/DeRuina/timberjack.(*Logger).millRun"),
	goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
	goleak.IgnoreAnyFunction("github.com/caddy-huma/caddy-huma/caddymodule/internal/refreshtoken.(*Writer).run"),
}

// fakeHuma is the sandbox on a loopback address: Huma, and Human API too.
type fakeHuma struct {
	*sandbox.Server
	URL     string
	blocker *blockingHandler // nil: block cannot be used
}

// newHuma starts a sandbox that is closed at the end of the test.
func newHuma(t testing.TB, cfg sandbox.Config) *fakeHuma {
	t.Helper()
	s := sandbox.New(cfg)
	h := &blockingHandler{next: s}
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return &fakeHuma{Server: s, URL: srv.URL, blocker: h}
}

// blockingHandler is a handler in front of a service that blocks calls until a test releases them.
type blockingHandler struct {
	next http.Handler

	mu       sync.Mutex
	op       string        // the operation whose calls are blocked; empty: all
	released chan struct{} // nil: calls are not blocked
	now      int           // the number of blocked calls
	most     int           // the maximum of now
}

func (h *blockingHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	released := h.released
	if released == nil || h.op != "" && !strings.HasSuffix(r.URL.Path, "/"+h.op) {
		h.mu.Unlock()
		h.next.ServeHTTP(w, r)
		return
	}
	h.now++
	h.most = max(h.most, h.now)
	h.mu.Unlock()
	// The server detects that the client has disconnected only after the body was read.
	body, err := io.ReadAll(r.Body)
	if err == nil {
		select {
		case <-released:
		case <-r.Context().Done():
			err = r.Context().Err()
		}
	}
	h.mu.Lock()
	h.now--
	h.mu.Unlock()
	if err == nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.next.ServeHTTP(w, r)
	}
}

// block blocks calls to the service until letGo is called. If op is not empty, it blocks
// only calls of that operation. Later calls are not blocked.
func (h *fakeHuma) block(t testing.TB, op string) (release func()) {
	t.Helper()
	released := make(chan struct{})
	h.blocker.mu.Lock()
	defer h.blocker.mu.Unlock()
	h.blocker.op, h.blocker.released = op, released
	release = sync.OnceFunc(func() {
		h.blocker.mu.Lock()
		defer h.blocker.mu.Unlock()
		h.blocker.released = nil
		close(released)
	})
	t.Cleanup(release) // before Caddy stops, which waits for running requests
	return release
}

// blocked returns the number of blocked calls, and its maximum so far.
func (h *fakeHuma) blocked() (now, most int) {
	h.blocker.mu.Lock()
	defer h.blocker.mu.Unlock()
	return h.blocker.now, h.blocker.most
}

// waitBlocked waits until count calls are blocked.
func (h *fakeHuma) waitBlocked(t testing.TB, count int) {
	t.Helper()
	eventually(t, 10*time.Second, fmt.Sprint(count, " blocked calls"), func() bool { now, _ := h.blocked(); return now == count })
}

// calls returns the number of calls of an operation.
func (h *fakeHuma) calls(op string) int { return h.Calls().ByOp[op] }

// credentials returns the options that match the defaults of the sandbox.
func (h *fakeHuma) credentials() string {
	return `
		api ` + h.URL + `
		project_id p1
		deployment_id d1
		client_id ios c1
		client_id android c2
		client_id web c3
		secret sandbox-secret
	`
}
