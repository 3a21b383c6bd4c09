//go:build unix

package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	_ "github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
	"github.com/caddy-huma/caddy-huma/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, main) }

// within is the timeout of all steps. It includes the build of Caddy.
const within = 3 * time.Minute

// buffer collects the output.
type buffer struct{ testutil.Buffer }

// waitFor waits until a text has been printed at least n times.
func (b *buffer) waitFor(t *testing.T, text string, n int) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Log(b.String())
		}
	}()
	testutil.Eventually(t, within, text, func() bool { return strings.Count(b.String(), text) >= n })
}

// freePorts returns flags with free ports.
func freePorts(t *testing.T) []string {
	t.Helper()
	port := func() string { return strconv.Itoa(redistest.FreePort(t)) }
	return []string{
		"-balancer", port(), "-sandbox", port(), "-replicas", port() + "," + port() + "," + port(),
	}
}

// ready is printed when all processes run.
const ready = "Press Ctrl-C to stop all processes."

// session is a running command with its output.
type session struct {
	*exec.Cmd
	out   buffer
	tmp   string // its directory for temporary files
	ended chan struct{}
}

// runTyped runs the command with go run, as a user does.
func runTyped(t *testing.T, args ...string) *session {
	t.Helper()
	return startCommand(t, append([]string{"go", "run", "./cmd/replicas"}, args...)...)
}

// startCommand runs a command in its own process group, since a terminal sends Ctrl-C
// to all processes of the group.
func startCommand(t *testing.T, command ...string) *session {
	t.Helper()
	c := &session{tmp: filepath.Join(t.TempDir(), "tmp"), ended: make(chan struct{})}
	if err := os.Mkdir(c.tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	c.Cmd = exec.CommandContext(context.Background(), command[0], command[1:]...)
	c.Dir, c.Env = "../..", append(os.Environ(), "TMPDIR="+c.tmp)
	c.Stdout, c.Stderr = &c.out, &c.out
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.ended)
		_ = c.Wait() // go run returns an error after Ctrl-C
	}()
	t.Cleanup(func() { c.interrupt(t) })
	c.out.waitFor(t, ready, 1)
	return c
}

// interrupt sends SIGINT to the process group, as Ctrl-C does, and waits for the exit.
func (c *session) interrupt(t *testing.T) {
	t.Helper()
	select {
	case <-c.ended:
		return
	default:
	}
	_ = syscall.Kill(-c.Process.Pid, syscall.SIGINT)
	select {
	case <-c.ended:
	case <-time.After(time.Minute):
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		<-c.ended
		t.Error("the command did not exit")
	}
}

// printedCommands returns the printed commands that start with a word.
func (c *session) printedCommands(t *testing.T, word string) (found [][]string) {
	t.Helper()
	for line := range strings.Lines(c.out.String()) {
		if words := strings.Fields(line); strings.HasPrefix(line, "  "+word+" ") {
			found = append(found, words)
		}
	}
	return found
}

// curl sends the request of a printed curl command.
func curl(t *testing.T, words []string) (status int, token string, body []byte) {
	t.Helper()
	method, user, url := http.MethodGet, "", ""
	for i := 1; i < len(words); i++ {
		switch words[i] {
		case "-i":
		case "-u":
			i++
			user = words[i]
		case "-X":
			i++
			method = words[i]
		default:
			url = words[i]
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if name, password, ok := strings.Cut(user, ":"); ok {
		req.SetBasicAuth(name, password)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%q: %v", words, err)
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	var v struct{ AuthToken string }
	_ = json.Unmarshal(body, &v) // stays empty if the body is not a token
	return res.StatusCode, v.AuthToken, body
}

// token is like curl, and fails the test unless the response is a token.
func token(t *testing.T, words []string) string {
	t.Helper()
	status, token, body := curl(t, words)
	if status != http.StatusOK || token == "" {
		t.Fatalf("%q: %d %s", words, status, body)
	}
	return token
}

// TestPrintedCommands executes the printed commands in order.
func TestPrintedCommands(t *testing.T) {
	redistest.Need(t)
	c := runTyped(t, freePorts(t)...)
	lines := c.printedCommands(t, "curl")
	if len(lines) != 7 {
		t.Fatalf("%d curl commands:\n%s", len(lines), c.out.String())
	}
	replicas, sandbox, evict, balancer, bob := lines[:3], lines[3], lines[4], lines[5], lines[6]

	first := token(t, replicas[0])
	for _, replica := range replicas {
		if token(t, replica) != first {
			t.Errorf("%q: another token", replica)
		}
	}
	if _, _, seen := curl(t, sandbox); strings.Count(string(seen), `"op":"signup"`) != 1 || strings.Count(string(seen), `"op":"signin"`) != 1 {
		t.Errorf("more than a sign-in and a sign-up: %s", seen)
	}

	if status, _, body := curl(t, evict); status != http.StatusNoContent {
		t.Errorf("%q: %d %s", evict, status, body)
	}
	testutil.Eventually(t, within, "the token is evicted from all replicas", func() bool {
		return !slices.ContainsFunc(replicas, func(replica []string) bool { return token(t, replica) == first })
	})
	if token(t, balancer) == first {
		t.Error("the load balancer returned the evicted token")
	}

	kill := c.printedCommands(t, "kill")[0]
	if err := exec.CommandContext(t.Context(), "sh", "-c", strings.Join(kill, " ")).Run(); err != nil {
		t.Fatalf("%q: %v", kill, err)
	}
	c.out.waitFor(t, "redis-server (process "+kill[1]+") exited", 1)
	token(t, bob)
	c.out.waitFor(t, "shared store unavailable", len(replicas))

	again := exec.CommandContext(t.Context(), "sh", "-c", "exec "+strings.Join(c.printedCommands(t, "redis-server --port")[0], " "))
	again.Dir = t.TempDir()
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = again.Process.Kill()
		_ = again.Wait()
	}()
	c.out.waitFor(t, "connected to the shared store", 2*len(replicas))
	if token(t, replicas[0]) != token(t, replicas[1]) {
		t.Error("the replicas do not share tokens")
	}
}

// TestCleanup checks that no process and no file is left, also if a process has exited
// before. The exit is reported.
func TestCleanup(t *testing.T) {
	redistest.Need(t)
	caddy := tooltest.Binary(t)
	c := startCommand(t, append([]string{caddy, "-caddy", caddy}, freePorts(t)...)...)
	processes := regexp.MustCompile(`(?m)^  (.*\S) +(http|127)\S.*\(process (\d+)\)$`).FindAllStringSubmatch(c.out.String(), -1)
	if len(processes) != 5 {
		t.Fatalf("%d processes:\n%s", len(processes), c.out.String())
	}
	pid := func(i int) int {
		n, _ := strconv.Atoi(processes[i][3]) // the expression lets only numbers through
		return n
	}
	secrets, err := filepath.Glob(filepath.Join(c.tmp, "replicas*", "*-*"))
	if err != nil || len(secrets) < 2 {
		t.Errorf("secret files: %q %v", secrets, err)
	}
	for _, file := range secrets {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s can be read by others: %v %v", file, info, err)
		}
	}

	if err := syscall.Kill(pid(3), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c.out.waitFor(t, processes[3][1]+" (process "+processes[3][3]+") exited; the other processes are still running.", 1)
	for range 6 {
		token(t, c.printedCommands(t, "curl -i")[0])
	}
	c.interrupt(t)
	for i := range processes {
		testutil.Eventually(t, within, processes[i][1]+" exits", func() bool { return syscall.Kill(pid(i), 0) == syscall.ESRCH })
	}
	if left, err := os.ReadDir(c.tmp); err != nil || len(left) > 0 {
		t.Errorf("files were not deleted: %v %v", left, err)
	}
	if n := strings.Count(c.out.String(), ") exited;"); n != 1 {
		t.Errorf("%d processes reported as exited:\n%s", n, c.out.String())
	}
}

// TestExistingRedis checks that an existing Redis is used, and neither stopped nor
// flushed. If it is down, there is an error.
func TestExistingRedis(t *testing.T) {
	r := redistest.Start(t)
	r.Do("SET", "existing", "value")
	o, err := parse(append(freePorts(t), "-redis", r.Addr(), "-caddy", tooltest.Binary(t)), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out buffer
	ended := make(chan error)
	go func() { ended <- o.run(ctx, &out) }()
	out.waitFor(t, ready, 1)
	if strings.Contains(out.String(), "kill ") {
		t.Errorf("a command to kill the existing Redis was printed:\n%s", out.String())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if r.Text("GET", "existing") != "value" {
		t.Error("Redis was flushed")
	}

	r.Kill()
	if err := o.run(t.Context(), &out); err == nil || !strings.Contains(err.Error(), "replica 1 is not connected to Redis at "+r.Addr()+": redis: dial tcp") {
		t.Errorf("Redis is down: %v", err)
	}
}

// TestStartFails checks that the messages name the cause and the solution.
func TestStartFails(t *testing.T) {
	taken := redistest.FreePort(t)
	l, err := net.Listen("tcp", address(taken))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, test := range []struct {
		name string
		args []string
		says []string
	}{
		{"no redis-server", freePorts(t), []string{"redis-server is not installed", "apt-get install redis-server", "-redis localhost:6379"}},
		{"a port is taken", append(freePorts(t), "-balancer", strconv.Itoa(taken)), []string{"port " + strconv.Itoa(taken), "-balancer"}},
		{"a replica's port is taken", append(freePorts(t), "-replicas", strconv.Itoa(taken)), []string{"port " + strconv.Itoa(taken), "-replicas"}},
		{"invalid port", []string{"-replicas", "8091,x"}, []string{`"x" is not a port`}},
		{"invalid address", []string{"-redis", "localhost"}, []string{`"localhost" is not host:port`}},
		{"argument", []string{"start"}, []string{`unexpected argument "start"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("PATH", "")
			var out, messages buffer
			if code := command(t.Context(), test.args, &out, &messages); code != exitFailed {
				t.Errorf("exit code %d", code)
			}
			for _, text := range test.says {
				if !strings.Contains(messages.String(), text) {
					t.Errorf("no %q in %q", text, messages.String())
				}
			}
		})
	}
}

// TestCaddyfilesAreFormatted checks that the Caddyfiles are formatted as by caddy fmt.
func TestCaddyfilesAreFormatted(t *testing.T) {
	for name, text := range map[string]string{"Caddyfile": replicaCaddyfile, "Caddyfile.front": frontCaddyfile} {
		if want := string(caddyfile.Format([]byte(text))); text != want {
			t.Errorf("%s is not formatted; want:\n%s", name, want)
		}
	}
}
