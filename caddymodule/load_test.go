package caddymodule_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// loadConfig is like caddy.Load, but on Linux it also waits until the servers of the
// previous config have closed their listeners. Caddy itself returns as soon as the
// goroutines that close them have started, so that a request right after it may get a
// response of the previous config.
func loadConfig(config []byte) error {
	err := caddy.Load(config, true)
	for end := time.Now().Add(10 * time.Second); sharesPort() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	return err
}

// sharesPort reports whether two sockets of this process listen on one TCP address. The
// servers of two configs do so (SO_REUSEPORT). Without /proc, it returns false.
func sharesPort() bool {
	own := make(map[string]bool) // by inode
	entries, _ := filepath.Glob("/proc/self/fd/*")
	for _, entry := range entries {
		target, _ := os.Readlink(entry)
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	seen := make(map[string]bool)
	for _, file := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		b, _ := os.ReadFile(file)
		for line := range strings.Lines(string(b)) {
			const address, state, inode, listen = 1, 3, 9, "0A" // proc_pid_net(5)
			fields := strings.Fields(line)
			if len(fields) <= inode || fields[state] != listen || !own[fields[inode]] {
				continue
			}
			if seen[fields[address]] {
				return true
			}
			seen[fields[address]] = true
		}
	}
	return false
}

// TestReloadsTakeEffect checks that after loadConfig, no request gets a response of a
// previous config, also if the processors are busy.
func TestReloadsTakeEffect(t *testing.T) {
	s := serve(t, "SITE {\nrespond start\n}")
	for i := range 50 {
		want := fmt.Sprint("config ", i)
		must(t, s.load("SITE {\nrespond \""+want+"\"\n}"))
		if got := string(s.request("GET", "/").Body); got != want {
			t.Fatalf("response %q, want %q", got, want)
		}
	}
}
