//go:build unix

package caddymodule_test

import (
	"crypto/tls"
	"fmt"
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

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/textfile"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// bom is the UTF-8 byte order mark.
const bom = "\xef\xbb\xbf"

// makeFIFO replaces a file by a FIFO without a writer.
func makeFIFO(t testing.TB, path string) {
	t.Helper()
	must(t, os.Remove(path))
	must(t, syscall.Mkfifo(path, 0o600))
}

// hangingFile is a file whose reads and stats can be made to hang, as on an unavailable
// mount.
type hangingFile struct {
	path       string
	oldContent bool         // hanging reads return the content from before, and stats do not hang
	reads      atomic.Int32 // the number of reads and stats that hang or have hung

	mu      sync.Mutex
	release chan struct{} // reads wait until it is closed; nil: they do not hang
}

// newHangingFile creates a file. Reads of all files time out after timeout.
func newHangingFile(t testing.TB, text string, timeout time.Duration) *hangingFile {
	t.Helper()
	h := &hangingFile{path: writeFile(t, "secret", text)}
	restore := textfile.Replace(timeout, func(read func(string) ([]byte, error)) func(string) ([]byte, error) {
		return func(path string) ([]byte, error) {
			b, err := read(path)
			h.mu.Lock()
			release := h.release
			h.mu.Unlock()
			isStat := b == nil && err == nil
			if path != h.path || release == nil || h.oldContent && isStat {
				return b, err
			}
			h.reads.Add(1)
			<-release
			if !h.oldContent {
				b, err = read(path)
			}
			return b, err
		}
	})
	t.Cleanup(func() { // after Caddy has stopped
		h.recover()
		restore()
	})
	return h
}

// hang makes reads hang from now on.
func (h *hangingFile) hang() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.release = make(chan struct{})
}

// recover ends all hanging reads.
func (h *hangingFile) recover() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.release != nil {
		close(h.release)
		h.release = nil
	}
}

// takesAtMost checks the duration of f.
func takesAtMost(t testing.TB, atMost time.Duration, what string, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took > atMost {
		t.Errorf("%s took %s, want at most %s", what, took, atMost)
	}
}

// TestK01HangingSecretFile checks a secret file that becomes unreadable.
func TestK01HangingSecretFile(t *testing.T) {
	for name, newFile := range map[string]func(t *testing.T) (path, reason string, breakIt, mend func()){
		"FIFO": func(t *testing.T) (path, reason string, breakIt, mend func()) {
			path = writeFile(t, "secret", oldSecret)
			return path, path + ": not a regular file, but a FIFO", func() { makeFIFO(t, path) }, func() {
				must(t, os.Remove(path))
				must(t, os.WriteFile(path, []byte(newSecret), 0o600))
			}
		},
		"hanging read": func(t *testing.T) (path, reason string, breakIt, mend func()) {
			h := newHangingFile(t, oldSecret, 300*time.Millisecond)
			return h.path, h.path + ": timed out (is the mount hanging?)", h.hang, func() {
				if n := h.reads.Load(); n > 2 { // a stat and a read
					t.Errorf("%d reads hang", n)
				}
				must(t, os.WriteFile(h.path, []byte(newSecret), 0o600))
				h.recover()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			service := newRotating(t)
			service.addUsers(humaService, "a@x.example", "b@x.example")
			path, reason, breakIt, mend := newFile(t)
			config := service.site(humaService, secretFile{path: path}, "cache off\ntimeout 1s")
			d := serveAdmin(t, config)
			get := func() { d.t.Helper(); d.request("GET", iosPath, as("a@x.example")).token(t, humaService) }
			get()
			breakIt()
			unreadable := func() bool { return len(d.status().Reasons) > 0 }
			eventually(t, rotationTimeout, "the file is reported", unreadable)
			d.wantHealth("a file that hangs", 200, "degraded", "credentials_unreadable")
			if found := d.logLines("cannot reload credentials"); len(found) != 1 || !strings.Contains(found[0], reason) {
				t.Errorf("the log has %q, want one line with %q", found, reason)
			}
			get()
			takesAtMost(t, 3*time.Second, "loading a config with the directive", func() {
				if err := d.load(config + "\n# changed"); err == nil || !strings.Contains(err.Error(), "secret: read "+reason) {
					t.Errorf("got %v, want %s", err, reason)
				}
			})
			get()
			service.rotate()
			takesAtMost(t, 1500*time.Millisecond, "a request with refused credentials", func() {
				d.request("GET", iosPath, as("b@x.example")).problem(t, 502, "upstream_config")
			})
			mend()
			eventually(t, rotationTimeout, "the file is readable again", func() bool { return !unreadable() })
			d.wantHealth("with the new secret", 200, "ok")
			eventually(t, rotationTimeout, "the new secret is used", func() bool { return len(d.logLines("credentials reloaded")) == 1 })
			get()
			if len(d.logLines("can be read again")) != 1 {
				t.Error("the recovery is not in the log")
			}
			breakIt() // for the load and the stop that follow
			takesAtMost(t, 3*time.Second, "loading a config without the directive", func() { must(t, d.load("SITE {\nrespond ok\n}")) })
			takesAtMost(t, 3*time.Second, "stopping", func() { must(t, caddy.Stop()) })
		})
	}
}

// TestK01HangingSecretFile_DoesNotBlock checks that a read that never ends blocks nothing
// else.
func TestK01HangingSecretFile_DoesNotBlock(t *testing.T) {
	hangs := func(t *testing.T, more string, old bool) (*rotatingService, *hangingFile, *site) {
		service := newRotating(t)
		service.addUsers(humaService, "a@x.example", "b@x.example")
		h := newHangingFile(t, oldSecret, time.Minute)
		s := serve(t, service.site(humaService, secretFile{path: h.path}, "cache off\n"+more))
		s.request("GET", iosPath, as("a@x.example")).token(t, humaService)
		h.oldContent = old
		h.hang()
		must(t, os.WriteFile(h.path, []byte(oldSecret), 0o600)) // so that the file is read
		eventually(t, rotationTimeout, "a read hangs", func() bool { return h.reads.Load() == 1 })
		return service, h, s
	}
	t.Run("request and load", func(t *testing.T) {
		service, h, s := hangs(t, "timeout 400ms", false)
		s.request("GET", iosPath, as("a@x.example")).token(t, humaService)
		service.rotate()
		takesAtMost(t, time.Second, "a request with refused credentials", func() {
			s.request("GET", iosPath, as("b@x.example")).problem(t, 502, "upstream_config")
		})
		takesAtMost(t, 3*time.Second, "loading a config without the directive", func() { must(t, s.load("SITE {\nrespond ok\n}")) })
		// A read that ends after the config was stopped has no effect.
		must(t, os.WriteFile(h.path, []byte(newSecret), 0o600))
		h.recover()
		time.Sleep(100 * time.Millisecond)
		if n := len(s.logLines("credentials reloaded")); n != 0 {
			t.Errorf("%d changes", n)
		}
	})
	t.Run("stop", func(t *testing.T) {
		hangs(t, "", false)
		takesAtMost(t, 3*time.Second, "stopping", func() { must(t, caddy.Stop()) })
	})
	t.Run("other accounts", func(t *testing.T) {
		service := newRotating(t)
		service.addUsers(humaService, "a@x.example")
		service.addUsers(humanAPIService, "a@x.example")
		h := newHangingFile(t, oldSecret, time.Minute)
		other := writeFile(t, "other", oldSecret)
		text := strings.Replace(humaService.block(path, service.credentials(), ""), oldSecret, "{file."+h.path+"}", 1) +
			strings.Replace(humanAPIService.block(connectPath, humanAPIService.options(service.fakeHuma), ""), oldSecret, "{file."+other+"}", 1)
		s := serve(t, "SITE {\n"+text+"}")
		h.hang()
		eventually(t, rotationTimeout, "a read hangs", func() bool { return h.reads.Load() == 1 })
		must(t, os.WriteFile(other, []byte(newSecret), 0o600))
		eventually(t, rotationTimeout, "the other file is read", func() bool { return len(s.logLines("credentials reloaded")) == 1 })
	})
	t.Run("a newer read", func(t *testing.T) { // a read after the one that was running when the service refused the credentials
		service, h, s := hangs(t, "timeout 10s", true)
		service.rotate()
		done := make(chan *response, 1)
		go func() {
			a, _ := s.tryRequest(t.Context(), "GET", iosPath, as("b@x.example"))
			done <- a
		}()
		eventually(t, rotationTimeout, "the service has refused the credentials", func() bool { return rejectedCalls(service.next) == 1 })
		must(t, os.WriteFile(h.path, []byte(newSecret), 0o600))
		h.recover()
		if a := <-done; a == nil || a.StatusCode != http.StatusOK {
			t.Errorf("%+v", a)
		}
	})
	t.Run("SIGTERM", func(t *testing.T) {
		fake := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
		file := writeFile(t, "secret", oldSecret)
		s := serve(t, "") // for its address and its log file
		process := s.startProcess(strings.Replace(simpleSite(fake, ""), oldSecret, "{file."+file+"}", 1))
		s.request("GET", iosPath, as("a@x.example")).tokens(t)
		makeFIFO(t, file)
		eventually(t, rotationTimeout, "the error is logged", func() bool { return len(s.logLines("cannot reload credentials")) == 1 })
		takesAtMost(t, 5*time.Second, "the end of the process", func() {
			must(t, process.Process.Signal(syscall.SIGTERM))
			must(t, process.Wait())
		})
	})
}

// TestK02FileKinds checks that every option rejects files that are not regular or larger
// than 1 MiB.
func TestK02FileKinds(t *testing.T) {
	kinds := map[string]struct {
		path    func(t *testing.T) string
		message string
	}{
		"large": {func(t *testing.T) string {
			file := writeFile(t, "large", "")
			must(t, os.Truncate(file, 500<<20))
			return file
		}, "file is larger than 1 MiB"},
		"FIFO": {func(t *testing.T) string {
			file := writeFile(t, "fifo", "")
			makeFIFO(t, file)
			return file
		}, "not a regular file, but a FIFO"},
		"link to a FIFO": {func(t *testing.T) string {
			file := writeFile(t, "fifo", "")
			makeFIFO(t, file)
			must(t, os.Symlink(file, file+".link"))
			return file + ".link"
		}, "not a regular file, but a FIFO"},
		"directory": {func(t *testing.T) string { return t.TempDir() }, "is a directory"},
	}
	certificate, key := keyPair(t)
	redis := "cache {\nredis {\naddress localhost:6379\nencryption_keys " + redisKey + "\n%s\n}\n}"
	options := map[*tokenDirective]map[string]string{
		humaToken: {
			"secret":                "secret {file.%s}",
			"api":                   "api {file.%s}",
			"config_file":           "config_file %s",
			"ca":                    "tls {\nca %s\n}",
			"client_certificate":    "tls {\nclient_certificate %s " + key + "\n}",
			"client_certificate:":   "tls {\nclient_certificate " + certificate + " %s\n}",
			"tls_server_certs_path": strings.Replace(redis, "%s", "tls_enabled on\ntls_server_certs_path %s", 1),
		},
		humanAPIToken: {
			"client_secret": "client_secret {file.%s}",
			"hash_key":      "hash_key {file.%s}",
			"password":      strings.Replace(redis, "%s", "password {file.%s}", 1),
		},
	}
	for kind, k := range kinds {
		t.Run(kind, func(t *testing.T) {
			file := k.path(t)
			for d, lines := range options {
				for option, line := range lines {
					takesAtMost(t, time.Second, option, func() {
						wantProblem(t, validateText(t, d.lines(fmt.Sprintf(line, file))), option, "read "+file+": "+k.message)
					})
				}
			}
		})
	}
}

// TestE01SecretFileEncoding checks that a byte order mark is not part of a secret, and
// that UTF-16 is rejected.
func TestE01SecretFileEncoding(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		for _, c := range []struct{ text, secret string }{
			{bom + "sekrit\r\n", "sekrit"},
			{"sekrit\n", "sekrit"},
			{" se krit\t\n", " se krit\t"},
			{bom + "\u00a0sekrit ", "\u00a0sekrit "},
		} {
			fake := newHuma(t, sandbox.Config{Secret: c.secret, HumanAPI: sandbox.HumanAPI{Clients: map[string]string{"hapi1": c.secret}}})
			p.addUsers(fake, "a@x.example")
			s := serve(t, strings.Replace(p.site(fake, ""), oldSecret, "{file."+writeFile(t, "secret", c.text)+"}", 1))
			s.request("GET", p.target(), as("a@x.example")).token(t, p)
		}
	})
	for _, c := range []struct{ text, message string }{
		{"\xff\xfes\x00e\x00k\x00", "file is UTF-16; save it as UTF-8"},
		{"\xfe\xff\x00s\x00e\x00k", "file is UTF-16; save it as UTF-8"},
		{"s\x00e\x00k\x00", "file contains a NUL byte"},
		{" \t\r\n", "is empty"},
		{bom + "\r\n", "is empty"},
	} {
		file := writeFile(t, "secret", c.text)
		wantProblem(t, validateText(t, humaToken.lines("secret {file."+file+"}")), "secret", file, c.message)
		wantProblem(t, validateText(t, humanAPIToken.lines("client_secret {file."+file+"}")), "client_secret", file, c.message)
	}
}

// TestE02CAFileWithBOM checks that both certificates of a file with byte order marks are
// trusted.
func TestE02CAFileWithBOM(t *testing.T) {
	first, second := testutil.NewAuthority(t.TempDir(), "the first authority"), testutil.NewAuthority(t.TempDir(), "the second authority")
	file := writeFile(t, "ca.pem", bom+string(testutil.File(t, first.File))+string(testutil.File(t, second.File)))
	certificate, key := keyPair(t)
	certificate = writeFile(t, "cert.pem", bom+string(testutil.File(t, certificate)))
	key = writeFile(t, "key.pem", bom+string(testutil.File(t, key)))
	for _, ca := range []*testutil.Authority{first, second} {
		fake := &fakeHuma{Server: sandbox.New(sandbox.Config{})}
		fake.URL = serveTLS(t, fake.ServeHTTP, testutil.Loopback(), ca, func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })
		s := serve(t, simpleSite(fake, "tls {\nca "+file+"\nclient_certificate "+certificate+" "+key+"\n}"))
		s.request("GET", iosPath, as("a@x.example")).tokens(t)
	}
}

// TestE03BlanksInConfigFile checks that blanks around values are removed.
func TestE03BlanksInConfigFile(t *testing.T) {
	fake := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}, Secret: " a secret "})
	file := writeFile(t, "huma-config.json", bom+`{"apiUrl":"`+fake.URL+`/ ","projectId":" p1","deploymentId":"d1\n","clients":{"ios":"\tc1 "},"secret":" a secret "}`)
	s := serve(t, "SITE {\n"+humaService.block("", "config_file "+file, "")+"}")
	s.request("GET", iosPath, as("a@x.example")).tokens(t)
	forBoth(t, func(t *testing.T, p service) {
		for _, api := range []string{`" URL/ "`, "{file." + filepath.Join(t.TempDir(), "api") + "}"} {
			fake := newHuma(t, sandbox.Config{})
			p.addUsers(fake, "a@x.example")
			if file, ok := strings.CutPrefix(api, "{file."); ok {
				must(t, os.WriteFile(strings.TrimSuffix(file, "}"), []byte("\t"+fake.URL+" \r\n"), 0o600))
			}
			s := serve(t, strings.Replace(p.site(fake, ""), "api "+fake.URL, "api "+strings.Replace(api, "URL", fake.URL, 1), 1))
			s.request("GET", p.target(), as("a@x.example")).token(t, p)
		}
	})
}
