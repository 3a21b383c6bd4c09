package rediscache

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

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
		Addresses: []string{"127.0.0.1:1"}, Password: masked.New("canary"), MasterName: "m",
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
