package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/golden"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// block matches a fenced block of a page, with the comment above it that says what to do
// with it.
var block = regexp.MustCompile("(?m)^(?:<!-- (file|background): (\\S+) -->\\n)?```(\\w*)\\n((?s:.*?))^```$")

// documentedPorts matches the addresses that the pages use, which may be in use on this
// machine. The tests use free ports instead.
var documentedPorts = regexp.MustCompile(`\b((?:localhost|127\.0\.0\.1):)(2019|3000|8080|8081|8090|9000|9091)\b`)

// documentedPaths matches the folders that the pages use. The tests have them in a
// temporary folder.
var documentedPaths = regexp.MustCompile(`(^|[ {.='"])(/etc/huma/|/etc/caddy/|/run/secrets/)`)

// variable matches what differs between two runs of a command: durations, lifetimes, times,
// tokens and ids. The same text may be written as … in a page.
var variable = regexp.MustCompile(`\d+ ms\b *|\d+ seconds\b|(?:\d+h)?(?:\d+m)?\d+s\b|(?:Expires|expires_)[iI]n": ?\d+|\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT|Content-Length: \d+|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*|age_seconds": \d+|request ID \S+|` + long.String())

// long matches tokens and ids, which are written as … in a page.
var long = regexp.MustCompile(`eyJ[\w.-]+|[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{24,}\b|[\w-]{43}`)

// TestTranscripts runs the transcripts in docs: the blocks with the language console. In
// a folder for each page, it runs the lines that begin with "$ " in the order of the page,
// and compares what they print with the lines below them. Other blocks are not run, such
// as those with the language sh.
//
//   - `export NAME=VALUE` sets a variable for the commands that follow.
//   - If there are no lines below a command, its output is not compared, and its exit code
//     must be 0. A following `$ echo $?` shows the exit code.
//   - … in an output stands for any text. Durations, times, tokens and ids may differ.
//   - <!-- file: NAME --> above a block of any language writes the block to a file.
//   - <!-- background: ADDRESS --> above a block runs its command until the end of the
//     page, and waits until it accepts connections at the address.
//   - Instead of the ports and folders that the pages use, there are free ports, and
//     folders of the test. `go run ./cmd/caddy` is run as caddy.
//
// To rewrite the outputs:
//
//	go test ./cmd/caddy -run TestTranscripts -update
func TestTranscripts(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || pages == nil {
		t.Fatalf("no pages (%v)", err)
	}
	covered := make(map[string]bool)
	for _, page := range pages {
		if text := string(testutil.File(t, page)); strings.Contains(text, "\n```console\n") {
			covered[strings.TrimSuffix(filepath.Base(page), ".md")] = true
			t.Run(filepath.Base(page), func(t *testing.T) {
				t.Parallel()
				written := newTranscript(t).run(text)
				if *golden.Update && written != text {
					if err := os.WriteFile(page, []byte(written), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
	for _, page := range []string{"getting-started", "troubleshooting", "commands", "credentials", "human-api", "json", "testing"} {
		if !covered[page] {
			t.Errorf("docs/%s.md has no transcript", page)
		}
	}
}

// transcript runs the transcripts of one page.
type transcript struct {
	*testing.T
	root, dir string // root is the temporary folder, dir the working directory in it
	env       []string
	ports     map[string]string // by the documented port
	last      int               // the exit code of the last command
}

func newTranscript(t *testing.T) *transcript {
	root := t.TempDir()
	s := &transcript{T: t, root: root, dir: filepath.Join(root, "home", "clinic"), ports: make(map[string]string)}
	for _, dir := range []string{s.dir, root + "/etc/huma", root + "/etc/caddy", root + "/run/secrets"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(repository, "testdata"), filepath.Join(s.dir, "testdata")); err != nil {
		t.Fatal(err)
	}
	s.write("Caddyfile.example", string(testutil.File(t, "../../Caddyfile.example")))
	s.env = append(os.Environ(), "HOME="+root, "XDG_DATA_HOME="+root, "XDG_CONFIG_HOME="+root, "NO_COLOR=",
		"CADDY_ADMIN="+s.local("localhost:2019"), "HTTPS_PROXY=", "https_proxy=", "HTTP_PROXY=", "http_proxy=")
	return s
}

// local replaces the documented ports and folders with those of the test.
func (s *transcript) local(text string) string {
	text = documentedPaths.ReplaceAllString(text, "${1}"+s.root+"${2}")
	return documentedPorts.ReplaceAllStringFunc(text, func(address string) string {
		host, port, _ := strings.Cut(address, ":")
		if s.ports[port] == "" {
			_, s.ports[port], _ = net.SplitHostPort(testutil.FreeAddress(s.T))
		}
		return host + ":" + s.ports[port]
	})
}

// documented replaces the ports and folders of the test with the documented ones.
func (s *transcript) documented(text string) string {
	for port, free := range s.ports {
		text = strings.ReplaceAll(text, ":"+free, ":"+port)
	}
	return strings.ReplaceAll(text, s.root, "")
}

// write writes a file, whose name is a documented path or relative to the working
// directory.
func (s *transcript) write(name, text string) {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if filepath.IsAbs(name) {
		path = filepath.Join(s.root, name)
	}
	if err := os.WriteFile(path, []byte(s.local(text)), 0o600); err != nil {
		s.Fatal(err)
	}
}

// run runs all blocks of a page, and returns the page with the outputs that it has seen.
func (s *transcript) run(page string) string {
	var written strings.Builder
	end := 0
	for _, m := range block.FindAllStringSubmatchIndex(page, -1) {
		part := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return page[m[2*i]:m[2*i+1]]
		}
		written.WriteString(page[end:m[8]])
		end = m[9]
		text := part(4)
		switch {
		case part(1) == "file":
			s.write(part(2), text)
		case part(3) == "console" && part(1) == "background":
			text = s.background(part(2), text)
		case part(3) == "console":
			text = s.commands(text)
		}
		written.WriteString(text)
	}
	return written.String() + page[end:]
}

// commandLines matches a command with its continuation lines, and the output below it.
var commandLines = regexp.MustCompile(`(?m)^\$ ((?:.*\\\n)*.*)\n((?:[^$\n].*\n|\$[^ ].*\n|\n)*)`)

// commands runs the commands of a block and returns the block with their outputs.
func (s *transcript) commands(block string) string {
	return commandLines.ReplaceAllStringFunc(block, func(text string) string {
		m := commandLines.FindStringSubmatch(text)
		line, want := m[1], m[2]
		if setting, ok := strings.CutPrefix(line, "export "); ok {
			s.export(setting)
			return text
		}
		cmd := s.command("(exit " + strconv.Itoa(s.last) + ")\n" + line)
		out, err := cmd.CombinedOutput()
		if err != nil && !errors.As(err, new(*exec.ExitError)) {
			s.Fatal(err)
		}
		s.last = cmd.ProcessState.ExitCode()
		switch {
		case want == "" && s.last != 0:
			s.Errorf("$ %s\nexit code %d:\n%s", line, s.last, out)
		case want != "":
			want = s.compare(line, want, string(out))
		}
		return "$ " + line + "\n" + want
	})
}

// export sets an environment variable for the commands that follow. The shell evaluates the
// value.
func (s *transcript) export(setting string) {
	s.Helper()
	name, value, _ := strings.Cut(setting, "=")
	out, err := s.command("printf %s " + value).Output()
	if err != nil || len(out) == 0 {
		s.Fatalf("$ export %s: %q %v", setting, out, err)
	}
	s.env = append(s.env, name+"="+string(out))
}

// command returns a shell that runs a line of a page.
func (s *transcript) command(line string) *exec.Cmd {
	line = strings.ReplaceAll(line, "go run ./cmd/caddy", "caddy")
	cmd := exec.CommandContext(s.Context(), "sh", "-c", s.local(line))
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

// compare compares the output of a command with the page, and returns what the page should
// have.
func (s *transcript) compare(line, want, got string) string {
	s.Helper()
	got = strings.ReplaceAll(s.documented(got), "\r\n", "\n") // curl prints the headers as they are sent
	if got != "" && !strings.HasSuffix(got, "\n") {
		got += "\n"
	}
	pattern := strings.ReplaceAll(regexp.QuoteMeta(variable.ReplaceAllString(want, "…")), "…", "(?s:.*?)")
	if *golden.Update && want == "…\n" { // a new command
		return long.ReplaceAllString(got, "…")
	}
	if regexp.MustCompile("^" + pattern + "$").MatchString(variable.ReplaceAllString(got, "…")) {
		return want
	}
	if *golden.Update {
		return long.ReplaceAllString(got, "…")
	}
	s.Errorf("$ %s\nThe page has:\n%s\nThe command prints:\n%s", line, want, got)
	return want
}

// background starts the command of a block, waits until it serves, and returns the block
// with what it has printed.
func (s *transcript) background(address, block string) string {
	m := commandLines.FindStringSubmatch(block)
	if m == nil {
		s.Fatalf("no command in:\n%s", block)
	}
	line, want := m[1], m[2]
	var out buffer
	cmd := s.command("exec " + strings.ReplaceAll(line, "go run ./cmd/caddy", "caddy"))
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if s.Failed() {
			s.Logf("$ %s\n%s", line, out.String())
		}
	})
	testutil.Eventually(s.T, scriptPatience, address+" accepts connections", func() bool {
		conn, err := net.DialTimeout("tcp", s.local(address), time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil && strings.Count(out.String(), "\n") >= strings.Count(want, "\n")
	})
	if want != "" {
		want = s.compare(line, want, out.String())
	}
	return "$ " + line + "\n" + want
}

// buffer is a bytes.Buffer that can be read while a process writes to it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
