package caddymodule_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
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

// TestSharesPort checks sharesPort with two listeners as those of two configs.
func TestSharesPort(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // sharesPort is always false
	}
	address, err := caddy.ParseNetworkAddress("tcp/" + freeAddress(t))
	must(t, err)
	var listeners []io.Closer
	for _, shared := range []bool{false, true} {
		listener, err := address.Listen(t.Context(), 0, net.ListenConfig{})
		must(t, err)
		listeners = append(listeners, listener.(io.Closer))
		if got := sharesPort(); got != shared {
			t.Errorf("%d listeners: %v, want %v", len(listeners), got, shared)
		}
	}
	for _, listener := range listeners {
		must(t, listener.Close())
	}
	if sharesPort() {
		t.Error("the port is shared after both listeners are closed")
	}
}
