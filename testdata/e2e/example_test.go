package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tokenPath is the path of human_api_token in the example.
const tokenPath = "/private/human-api-token"

// startExample runs Caddyfile.example on free ports and in its own directory. Human API's
// SDK is next to the page, unless sdk is empty.
func startExample(t *testing.T, sdk string) *site {
	t.Helper()
	dir, port, address := t.TempDir(), freePort(t), "127.0.0.1:"+freePort(t)
	s := &site{url: "http://127.0.0.1:" + port, huma: "http://" + address, port: port}

	config := string(read(t, "../../Caddyfile.example"))
	for name, value := range map[string]string{
		"localhost:8080": "127.0.0.1:" + port, "localhost:8081": address, "localhost:2019": "127.0.0.1:" + freePort(t),
	} {
		if !strings.Contains(config, name) {
			t.Fatalf("Caddyfile.example has no %s", name)
		}
		config = strings.ReplaceAll(config, name, value)
	}
	write(t, filepath.Join(dir, "Caddyfile"), config)

	copied := filepath.Join(dir, "testdata", "site")
	if err := os.CopyFS(copied, os.DirFS("../site")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "testdata", "sandbox.secret"), string(read(t, "../sandbox.secret")))
	// The directory contains the SDK if the example was used before.
	if err := os.Remove(filepath.Join(copied, "human-connect.js")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if sdk != "" {
		write(t, filepath.Join(copied, "human-connect.js"), string(read(t, sdk)))
	}

	s.caddy = start(t, dir, address, []string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir},
		caddyBinary, "run", "--config", "Caddyfile")
	return s
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// alice holds the headers of requests that are signed in as alice.
var alice = http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("alice:wonderland"))}}

// wantCached checks that alice's token has the given type and is cached, and returns it.
func (s *site) wantCached(t *testing.T, kind string) string {
	t.Helper()
	before := s.humanCalls(t)
	a := do(t, http.MethodGet, s.url+tokenPath, alice, nil)
	token, _ := a.json["token"].(string)
	if a.status != http.StatusOK || token == "" || a.json["type"] != kind {
		t.Fatalf("%d %s, want a token of the type %s", a.status, a.body, kind)
	}
	if after := s.humanCalls(t); after != before {
		t.Fatalf("Human API received %s and then %s: the token was not in the cache", before, after)
	}
	return token
}

// humanCalls returns the calls that Human API has received: "session 200, …".
func (s *site) humanCalls(t *testing.T) string {
	t.Helper()
	var log struct {
		Calls []struct {
			Op     string
			Status int
		}
	}
	a := do(t, http.MethodGet, s.huma+"/_sandbox/calls", nil, nil)
	if err := json.Unmarshal([]byte(a.body), &log); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	var all []string
	for _, c := range log.Calls {
		all = append(all, fmt.Sprintf("%s %d", c.Op, c.Status))
	}
	return strings.Join(all, ", ")
}

// control calls the control API of the sandbox.
func (s *site) control(t *testing.T, method, name string, body any) {
	t.Helper()
	if a := do(t, method, s.huma+"/_sandbox/"+name, nil, body); a.status != http.StatusOK {
		t.Fatalf("%s: %d %s", name, a.status, a.body)
	}
}

// connect connects a source of health data of alice.
func (s *site) connect(t *testing.T, members map[string]any) {
	t.Helper()
	members["client_user_id"] = "user-1001"
	s.control(t, http.MethodPost, "connect", members)
}

// fault sets a fault of Human API.
func (s *site) fault(t *testing.T, members map[string]any) {
	t.Helper()
	members["op"] = "connect"
	s.control(t, http.MethodPut, "faults", []any{members})
}
