package caddymodule_test

import (
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
