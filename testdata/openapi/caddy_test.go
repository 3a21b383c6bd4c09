package openapi

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// processTimeout is the timeout for the start or the end of Caddy, and for the
	// effect of a new config.
	processTimeout = 30 * time.Second
	requestTimeout = 30 * time.Second
)

// caddy is a running Caddy with its sandbox and its auth server.
type caddy struct {
	ports  *strings.Replacer // replaces the names of addresses in a config
	sites  string            // host:port of the sites and of the sandbox
	admin  string            // host:port of the admin endpoint
	config string            // the name of the loaded config
	client *http.Client
	users  int // the number of users so far
}

// output buffers the log. It is safe for concurrent use.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// startCaddy starts Caddy with a config. It stops at the end of the test.
func startCaddy(t *testing.T, config string) *caddy {
	t.Helper()
	c := &caddy{sites: freeAddress(t), admin: freeAddress(t)}
	c.ports = strings.NewReplacer("SITES", c.sites, "PORT", c.sites[strings.LastIndex(c.sites, ":")+1:],
		"ADMIN", c.admin, "AUTH", startAuthServer(t), "CLOSED", freeAddress(t))
	c.client = &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{ // all hosts are on this machine
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				_, port, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
			},
		},
	}

	dir := t.TempDir()
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(c.ports.Replace(configs[config])), 0o600); err != nil {
		t.Fatal(err)
	}
	c.config = config
	var log output
	cmd := exec.Command(caddyBinary, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &log, &log
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir,
		"SECRET=sandbox-secret", "SECRET_LIMITED=sandbox-secret", "SECRET_BUSY=sandbox-secret",
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() {
		c.client.CloseIdleConnections()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(processTimeout):
			t.Error("Caddy did not end")
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("Caddy's log:\n%s", &log)
		}
	})
	waitFor(t, "Caddy to listen", func() bool {
		select {
		case <-ended:
			t.Fatalf("Caddy ended: %v", cmd.ProcessState)
		default:
		}
		conn, err := net.Dial("tcp", c.sites)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
	return c
}

// load loads a config, unless it is the loaded one, and waits until the admin API reports
// on its directives only.
func (c *caddy) load(t *testing.T, config string) {
	t.Helper()
	if c.config == config {
		return
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.admin+"/load", strings.NewReader(c.ports.Replace(configs[config])))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	req.Close = true // Caddy restarts the admin endpoint
	if r := c.do(t, req); r.status != http.StatusOK {
		t.Fatalf("load %s: %d %s", config, r.status, r.body)
	}
	c.config = config
	c.client.CloseIdleConnections()
	want := strings.Count(configs[config], "huma_token {") + strings.Count(configs[config], "human_api_token {")
	waitFor(t, "the new config", func() bool {
		r := c.do(t, c.request(t, http.MethodGet, "http://"+c.admin+"/huma/status", ""))
		// The shared store counts as available until the first call fails.
		return strings.Count(r.body, `"handler":`) == want && !strings.Contains(r.body, `"shared_store": "up"`)
	})
}

// response is an HTTP response whose body was read.
type response struct {
	status int
	header http.Header
	body   string
}

func (c *caddy) request(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func (c *caddy) do(t *testing.T, req *http.Request) response {
	t.Helper()
	res, err := c.client.Do(req)
	if err != nil {
		t.Error(err)
		return response{}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return response{res.StatusCode, res.Header, string(body)}
}

// sandbox calls the control API of the sandbox.
func (c *caddy) sandbox(t *testing.T, method, path, body string) {
	t.Helper()
	if r := c.do(t, c.request(t, method, "http://"+c.sites+"/_sandbox/"+path, body)); r.status >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, r.status, r.body)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(processTimeout); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout while waiting for %s", what)
		}
	}
}

// freeAddress returns a loopback address on which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
