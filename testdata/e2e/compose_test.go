package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// composeDir is the directory of the compose files.
const composeDir = "../../deploy/compose"

// composed runs the services of compose.yaml without containers. Each service has a loopback
// address of its own, so that all of them have the ports that they have in the containers.
type composed struct {
	secrets   string
	addresses map[string]string // by service
	loopback  string            // in place of 127.0.0.1
}

// newComposed returns the addresses of the services of compose.yaml.
func newComposed(t *testing.T) *composed {
	t.Helper()
	secrets, err := filepath.Abs(filepath.Join(composeDir, "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	network := fmt.Sprintf("127.77.%d.", 1+rand.IntN(250))
	c := &composed{secrets: secrets, addresses: map[string]string{}, loopback: network + "100"}
	_, services, _ := strings.Cut(string(read(t, filepath.Join(composeDir, "compose.yaml"))), "\nservices:\n")
	services, _, _ = strings.Cut(services, "\nnetworks:\n")
	for i, match := range regexp.MustCompile(`(?m)^  ([a-z0-9-]+):`).FindAllStringSubmatch(services, -1) {
		c.addresses[match[1]] = fmt.Sprint(network, i+1)
	}
	if len(c.addresses) != 7 {
		t.Fatalf("services: %v", c.addresses)
	}
	return c
}

// resolve replaces what is different in a container in a file or a command of a service.
func (c *composed) resolve(service, text string) string {
	// The port of front is published.
	text = strings.ReplaceAll(text, "localhost:8080", c.addresses["front"]+":8080")
	for name, address := range c.addresses {
		text = regexp.MustCompile(`\b`+name+`:(\d)`).ReplaceAllString(text, address+":$1")
	}
	admin := c.addresses[service] + ":2019"
	return strings.NewReplacer(
		"/run/secrets", c.secrets,
		"0.0.0.0", c.addresses[service],
		// By default, requests with this address as their host are not allowed.
		"admin 127.0.0.1:2019", "admin "+admin+" {\n\t\torigins "+admin+"\n\t}",
		// The same for both replicas, since tokens are shared only if the URL of the API is the
		// same. Caddy sets SO_REUSEPORT, so both can listen on it.
		"127.0.0.1", c.loopback,
		"10.0.0.0/8", "127.0.0.0/8", // the network of the containers
	).Replace(text)
}

// file writes a file of a service to a new directory, and returns its path.
func (c *composed) file(t *testing.T, service, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(name))
	text := c.resolve(service, string(read(t, filepath.Join(composeDir, name))))
	if filepath.Base(name) == "Caddyfile" {
		text = strings.Replace(text, "{\n", "{\n\tdefault_bind "+c.addresses[service]+"\n", 1)
	}
	write(t, path, text)
	return path
}

// start runs a service that listens on port.
func (c *composed) start(t *testing.T, service, port, program string, args ...string) *process {
	t.Helper()
	dir := t.TempDir()
	return start(t, dir, c.addresses[service]+":"+port, []string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}, program, args...)
}

// TestCompose signs a user in to the site of deploy/compose/compose.yaml, and gets a token from
// both replicas.
func TestCompose(t *testing.T) {
	dex, err := dexBinary()
	if err != nil {
		t.Fatal(err)
	}
	oauth2Proxy, err := oauth2ProxyBinary()
	if err != nil {
		t.Fatal(err)
	}
	c := newComposed(t)
	c.start(t, "dex", "5556", dex, "serve", c.file(t, "dex", "dex.yaml"))
	c.start(t, "oauth2-proxy", "4180", oauth2Proxy, "--config", c.file(t, "oauth2-proxy", "oauth2-proxy/oauth2-proxy.cfg"))
	match := regexp.MustCompile(`(?s)- \|\n( +exec redis-server - .*? END)\n`).FindSubmatch(read(t, filepath.Join(composeDir, "compose.yaml")))
	if match == nil {
		t.Fatal("compose.yaml has no command of Redis")
	}
	command := strings.NewReplacer("$$", "$", "\n        ", "\n", "redis-server -", "redis-server - --bind "+c.addresses["redis"]).
		Replace("\n" + c.resolve("redis", string(match[1])))
	c.start(t, "redis", "6379", "sh", "-c", command)
	c.start(t, "sandbox", "8081", caddyBinary, "huma-sandbox", "--listen", c.addresses["sandbox"]+":8081")
	replicas := map[string]*process{}
	for _, service := range []string{"caddy-1", "caddy-2"} {
		replicas[c.addresses[service]+":8080"] = c.start(t, service, "8080", caddyBinary, "run", "--config", c.file(t, service, "replica/Caddyfile"))
	}
	c.start(t, "front", "8080", caddyBinary, "run", "--config", c.file(t, "front", "front/Caddyfile"))
	for _, service := range []string{"caddy-1", "caddy-2"} {
		c.wantHealthy(t, service)
	}

	b := newComposeBrowser(t)
	if at := b.composeToken(t, c); at.status != http.StatusUnauthorized || at.json["code"] != "identity_missing" {
		t.Fatalf("without a session: %d %s", at.status, at.body)
	}
	if n := b.sandboxCalls(t, c); n != 0 {
		t.Fatalf("%d calls of Huma without a session", n)
	}
	site := "http://" + c.addresses["front"] + ":8080/"
	at := b.open(t, site, nil)
	if !strings.HasPrefix(at.url.Path, "/dex/") || at.url.Host != c.addresses["front"]+":8080" {
		t.Fatalf("not the page of Dex: %v", at)
	}
	at = b.open(t, at.url.String(), url.Values{"login": {"alice@clinic.example"}, "password": {"wonderland"}})
	if at.status != http.StatusOK || at.url.String() != site || !strings.Contains(at.body, "Signed in as alice@clinic.example") {
		t.Fatalf("signed in: %v", at)
	}

	// The load balancer asks the replicas in turn.
	first := b.composeToken(t, c)
	calls := b.sandboxCalls(t, c)
	second := b.composeToken(t, c)
	for _, a := range []response{first, second} {
		if token, _ := a.json["authToken"].(string); a.status != http.StatusOK || token == "" || token != first.json["authToken"] {
			t.Errorf("token: %d %s, want the same from both replicas", a.status, a.body)
		}
	}
	one, two := first.header.Get("X-Replica"), second.header.Get("X-Replica")
	if one == two || replicas[one] == nil || replicas[two] == nil {
		t.Fatalf("replicas: %s, %s", one, two)
	}
	if n := b.sandboxCalls(t, c); calls == 0 || n != calls {
		t.Errorf("%d calls of Huma for the first token, then %d", calls, n-calls)
	}

	replicas[one].kill(t)
	for range 3 {
		if a := b.composeToken(t, c); a.status != http.StatusOK || a.header.Get("X-Replica") != two {
			t.Errorf("with one replica: %d %s by %s", a.status, a.body, a.header.Get("X-Replica"))
		}
	}
}

// wantHealthy waits until the health check of the image succeeds.
func (c *composed) wantHealthy(t *testing.T, service string) {
	t.Helper()
	for end := time.Now().Add(processTimeout); ; time.Sleep(100 * time.Millisecond) {
		cmd := exec.CommandContext(t.Context(), caddyBinary, "huma", "health")
		cmd.Env = append(os.Environ(), "CADDY_ADMIN="+c.addresses[service]+":2019")
		out, err := cmd.CombinedOutput()
		if err == nil && strings.Contains(string(out), `"status": "ok"`) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is not healthy: %v\n%s", service, err, out)
		}
	}
}

// newComposeBrowser returns a browser without a session.
func newComposeBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{Client: &http.Client{Timeout: processTimeout, Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}}
}

// composeToken requests a token from the site.
func (b *browser) composeToken(t *testing.T, c *composed) response {
	t.Helper()
	a := b.open(t, "http://"+c.addresses["front"]+":8080/private/huma-token?client_type=web", nil).response
	_ = json.Unmarshal([]byte(a.body), &a.json)
	return a
}

// sandboxCalls returns the number of calls that the sandbox has received.
func (b *browser) sandboxCalls(t *testing.T, c *composed) int {
	t.Helper()
	a := b.open(t, "http://"+c.addresses["sandbox"]+":8081/_sandbox/calls", nil)
	var log struct{ ByOp map[string]int }
	if err := json.Unmarshal([]byte(a.body), &log); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, count := range log.ByOp {
		n += count
	}
	return n
}
