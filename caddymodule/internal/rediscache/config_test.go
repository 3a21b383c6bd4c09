package rediscache

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

func TestConfig(t *testing.T) {
	good := Config{Addresses: []string{"localhost:6379"}, Keys: []masked.String{key(1)}}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for want, edit := range map[string]func(c *Config){
		"no address":         func(c *Config) { c.Addresses = nil },
		"not host:port":      func(c *Config) { c.Addresses = []string{"localhost"} },
		"number 2 is not":    func(c *Config) { c.Addresses, c.Cluster = []string{"a:1", "b:c"}, true },
		"several addresses":  func(c *Config) { c.Addresses = []string{"a:1", "b:1"} },
		"exclude each other": func(c *Config) { c.Cluster, c.MasterName = true, "m" },
		"db 1":               func(c *Config) { c.Cluster, c.DB = true, 1 },
		"db -1":              func(c *Config) { c.DB = -1 },
		"needs a password":   func(c *Config) { c.Username = "u" },
		"needs master_name":  func(c *Config) { c.SentinelPassword = masked.New("p") },
		"is negative":        func(c *Config) { c.Timeout = -1 },
		"no encryption key":  func(c *Config) { c.Keys = nil },
		"has 5 bytes":        func(c *Config) { c.Keys = []masked.String{key(1), masked.New("short")} },
	} {
		c := good
		edit(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestIsAddress(t *testing.T) {
	for text, want := range map[string]bool{
		"localhost:6379": true, "127.0.0.1:1": true, "[::1]:65535": true, "[fe80::1%eth0]:6379": true,
		"": false, "localhost": false, "localhost:": false, ":6379": false, "::1:6379": false,
		"localhost:0": false, "localhost:65536": false, "localhost:redis": false, "localhost:-1": false, "localhost:+1": false,
		"huma:password@redis.internal": false, "huma:password@redis.internal:6379": false, "password@redis.internal:6379": false,
		"redis://redis.internal:6379": false, "redis.internal:6379/0": false, "redis/a:1": false, "a b:1": false,
	} {
		if IsAddress(text) != want {
			t.Errorf("IsAddress(%q) = %v", text, !want)
		}
	}
}

// TestConfigDoesNotPrint its secrets.
func TestConfigDoesNotPrint(t *testing.T) {
	c := Config{
		Addresses: []string{"127.0.0.1:1"}, Password: masked.New("canary"), MasterName: "m", SentinelPassword: masked.New("canary"),
		Keys: []masked.String{masked.New(strings.Repeat("canary", 6)[:KeySize])},
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{c, &c, *s.seal, s.config} {
			text := fmt.Sprintf(verb, v)
			for _, secret := range []string{"canary", "63616e617279", "99 97 110 97 114 121", "0x63, 0x61, 0x6e"} {
				if strings.Contains(text, secret) {
					t.Errorf("%s shows a secret of %T: %s", verb, v, text)
				}
			}
		}
	}
}
