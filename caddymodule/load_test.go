package caddymodule_test

import (
	"io"
	"net"
	"runtime"
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
