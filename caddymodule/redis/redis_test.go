package redis

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// canary is part of every secret in these tests.
const canary = "CANARY"

// keyOf returns an encryption key that begins with the canary.
func keyOf(number int) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s%026d", canary, number))
}

// good returns a valid store.
func good() *Redis {
	return &Redis{Address: []string{"localhost:6379"}, EncryptionKeys: []string{keyOf(1)}}
}

// provisioned loads a store from its JSON, like Caddy does, and returns it or the error of
// Provision.
func provisioned(t *testing.T, r *Redis) (*Redis, error) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	v, err := ctx.LoadModuleByID(string(r.CaddyModule().ID), text)
	if err != nil {
		return nil, err
	}
	return v.(*Redis), nil
}

func TestConfigErrors(t *testing.T) {
	t.Setenv("HUMA_TEST_EMPTY", "")
	t.Setenv("HUMA_TEST_ADDRESS", "huma:"+canary+"@redis.internal")
	for _, c := range []struct {
		name   string
		edit   func(r *Redis)
		option string
		says   string
	}{
		{"no address", func(r *Redis) { r.Address = nil }, "address", "is required"},
		{"an empty address", func(r *Redis) { r.Address = []string{""} }, "address", "host:port"},
		{"no port", func(r *Redis) { r.Address = []string{"localhost"} }, "address", "host:port"},
		{"no host", func(r *Redis) { r.Address = []string{":6379"} }, "address", "host:port"},
		{"an empty port", func(r *Redis) { r.Address = []string{"localhost:"} }, "address", "host:port"},
		{"a URL", func(r *Redis) { r.Address = []string{"redis://u:" + canary + "@localhost:6379"} }, "address", "host:port"},
		{"a port by name", func(r *Redis) { r.Address = []string{"localhost:redis"} }, "address", "65535"},
		{"a port too high", func(r *Redis) { r.Address = []string{"localhost:65536"} }, "address", "65535"},
		{"a password for a port", func(r *Redis) { r.Address = []string{"huma:" + canary + "@redis.internal"} }, "address", "host:port"},
		{"a password in the host", func(r *Redis) { r.Address = []string{canary + "@redis.internal:6379"} }, "address", "set credentials with the options"},
		{"a password elsewhere", func(r *Redis) { r.Address = []string{"{env.HUMA_TEST_ADDRESS}"} }, "address", "set credentials with the options"},
		{"address is not set", func(r *Redis) { r.Address = []string{"{env.HUMA_TEST_NOT_SET}"} }, "address", "HUMA_TEST_NOT_SET"},
		{"several addresses", func(r *Redis) { r.Address = []string{"one:1", "two:2"} }, "address", "cluster on"},
		{"cluster and sentinels", func(r *Redis) { r.Cluster, r.MasterName = true, "mymaster" }, "cluster", "master_name"},
		{"a database of a cluster", func(r *Redis) { r.Cluster, r.DB = true, 1 }, "db", "cluster"},
		{"a negative database", func(r *Redis) { r.DB = -1 }, "db", "at least 0"},
		{"no password", func(r *Redis) { r.Username = "huma" }, "username", "password"},
		{"password is not set", func(r *Redis) { r.Password = "{env.HUMA_TEST_NOT_SET}" }, "password", "not set"},
		{"password is empty", func(r *Redis) { r.Password = "{env.HUMA_TEST_EMPTY}" }, "password", "is empty"},
		{"password is no file", func(r *Redis) { r.Password = "{file./nowhere/password}" }, "password", "no such file"},
		{"password with braces", func(r *Redis) { r.Password = canary + "{" + canary + "}" }, "password", "literal brace"},
		{"no key", func(r *Redis) { r.EncryptionKeys = nil }, "encryption_keys", "/dev/urandom"},
		{"an empty key", func(r *Redis) { r.EncryptionKeys = []string{""} }, "encryption_keys", "key 1 must not be empty"},
		{"no base64", func(r *Redis) { r.EncryptionKeys[0] = "!" + keyOf(1) }, "encryption_keys", "key 1 is not valid base64"},
		{"a short key", func(r *Redis) {
			r.EncryptionKeys = append(r.EncryptionKeys, base64.StdEncoding.EncodeToString([]byte(canary)))
		}, "encryption_keys", "key 2 must be base64 of 32 bytes, not of 6 bytes"},
		{"a long key", func(r *Redis) {
			r.EncryptionKeys[0] = base64.StdEncoding.EncodeToString([]byte(canary + strings.Repeat("x", 27)))
		}, "encryption_keys", "key 1 must be base64 of 32 bytes, not of 33 bytes"},
		{"a key twice", func(r *Redis) { r.EncryptionKeys = []string{keyOf(1), keyOf(2), keyOf(1)} }, "encryption_keys", "key 3 is a duplicate"},
		{"key is not set", func(r *Redis) { r.EncryptionKeys[0] = "{env.HUMA_TEST_NOT_SET}" }, "encryption_keys", "HUMA_TEST_NOT_SET is not set"},
		{"key is no file", func(r *Redis) { r.EncryptionKeys[0] = "{file./nowhere/key}" }, "encryption_keys", "no such file"},
		{"certs without TLS", func(r *Redis) { r.TLSServerCertsPath = "/nowhere/ca.pem" }, "tls_server_certs_path", "tls_enabled on"},
		{"certs are no file", func(r *Redis) { r.TLSEnabled, r.TLSServerCertsPath = true, "/nowhere/ca.pem" }, "tls_server_certs_path", "no such file"},
		{"certs are no PEM", func(r *Redis) { r.TLSEnabled, r.TLSServerCertsPath = true, testutil.WriteFile(t, "file", canary) }, "tls_server_certs_path", "no PEM certificate"},
		{"a negative timeout", func(r *Redis) { r.Timeout = -1 }, "timeout", "positive"},
		{"a tiny timeout", func(r *Redis) { r.Timeout = 1 }, "timeout", "at least 1ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := good()
			c.edit(r)
			_, err := provisioned(t, r)
			if err == nil {
				t.Fatal("it loads")
			}
			text := err.Error()
			if !strings.Contains(text, c.option+": ") || !strings.Contains(text, c.says) {
				t.Errorf("it does not name %s and say %q: %s", c.option, c.says, text)
			}
			if n := strings.Count(text, "\n") + 1; n != 1 {
				t.Errorf("%d problems, want 1: %s", n, text)
			}
			noSecret(t, text)
		})
	}
}

// TestE02CAFileWithBOM checks that if the CA file begins with a byte order mark, both
// certificates in it are trusted.
func TestE02CAFileWithBOM(t *testing.T) {
	text, want := "\xef\xbb\xbf", x509.NewCertPool()
	for range 2 {
		c := testutil.SelfSigned(new(x509.Certificate)).Leaf
		want.AddCert(c)
		text += string(testutil.CertificatePEM(c))
	}
	r := good()
	r.TLSEnabled, r.TLSServerCertsPath = true, testutil.WriteFile(t, "file", text)
	r, err := provisioned(t, r)
	if err != nil {
		t.Fatal(err)
	}
	if !r.config.TLS.RootCAs.Equal(want) {
		t.Error("not both are trusted")
	}
}

// TestEveryProblemAtOnce checks that one load reports the errors of all options.
func TestEveryProblemAtOnce(t *testing.T) {
	_, err := provisioned(t, &Redis{DB: -1, Username: "huma", Timeout: -1})
	for _, option := range []string{"address: ", "db: ", "username: ", "timeout: ", "encryption_keys: "} {
		if err == nil || !strings.Contains(err.Error(), option) {
			t.Errorf("nothing of %s in %v", option, err)
		}
	}
}

// noSecret checks that a text contains neither the canary nor a key made of it.
func noSecret(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{canary, keyOf(1)[:8], strings.Trim(fmt.Sprint([]byte(canary)), "[]"), fmt.Sprintf("%x", canary)} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in %s", secret, text)
		}
	}
}

// TestSecretsDoNotPrint checks that a provisioned store does not print its secrets.
func TestSecretsDoNotPrint(t *testing.T) {
	t.Setenv("HUMA_TEST_KEY", keyOf(1))
	t.Setenv("HUMA_TEST_PASSWORD", canary)
	w := good()
	w.Username, w.Password, w.EncryptionKeys = "huma", "{env.HUMA_TEST_PASSWORD}", []string{"{env.HUMA_TEST_KEY}"}
	r, err := provisioned(t, w)
	if err != nil {
		t.Fatal(err)
	}
	if r.config.Password.Reveal() != canary || !strings.HasPrefix(r.config.Keys[0].Reveal(), canary) {
		t.Fatal("the secrets are not those of the environment")
	}
	for _, v := range []any{r, *r, r.config, r.config.Keys, r.logKey, r.LogKey(), r.PoolKey()} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			noSecret(t, fmt.Sprintf(verb, v))
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	noSecret(t, string(text))
}

// TestKeys checks that stores with the same options have the same pool key, others do
// not. A new encryption key in front does not change the hash of a user in logs.
func TestKeys(t *testing.T) {
	load := func(edit func(r *Redis)) *Redis {
		t.Helper()
		w := good()
		edit(w)
		r, err := provisioned(t, w)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := load(func(*Redis) {})
	if load(func(*Redis) {}).PoolKey() != first.PoolKey() {
		t.Error("the same store twice is two")
	}
	for name, edit := range map[string]func(r *Redis){
		"address": func(r *Redis) { r.Address[0] = "localhost:6380" },
		"user":    func(r *Redis) { r.Username, r.Password = "u", "p" },
		"secret":  func(r *Redis) { r.Password = "p" },
		"db":      func(r *Redis) { r.DB = 1 },
		"prefix":  func(r *Redis) { r.KeyPrefix = "clinic:" },
		"tls":     func(r *Redis) { r.TLSEnabled = true },
		"master":  func(r *Redis) { r.MasterName = "m" },
		"cluster": func(r *Redis) { r.Cluster = true },
		"timeout": func(r *Redis) { r.Timeout = caddy.Duration(time.Second) },
		"keys":    func(r *Redis) { r.EncryptionKeys = []string{keyOf(2), keyOf(1)} },
	} {
		if load(edit).PoolKey() == first.PoolKey() {
			t.Errorf("another %s is the same store", name)
		}
	}
	if !load(func(r *Redis) { r.EncryptionKeys = []string{keyOf(2), keyOf(1)} }).LogKey().Equal(first.LogKey()) {
		t.Error("a new key in front renames users")
	}
}

// TestProvisionDoesNotConnect checks that Provision opens no connection, because a config
// may be validated on a machine that cannot reach Redis.
func TestProvisionDoesNotConnect(t *testing.T) {
	address, stop := testutil.CountConnections(t)
	r := good()
	r.Address[0] = address
	if _, err := provisioned(t, r); err != nil {
		t.Fatal(err)
	}
	if n := stop(); n != 0 {
		t.Errorf("%d connections", n)
	}
}
