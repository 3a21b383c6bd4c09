// Package redis implements the module caddy_huma.stores.redis, the token store that
// replicas share. The block redis in the option cache of the token directives configures
// it.
package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/rediscache"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/sealkeys"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/textfile"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userhash"
)

func init() { caddy.RegisterModule(new(Redis)) }

// Redis stores tokens in Redis or Valkey, behind the in-memory cache of each
// replica. Replicas share these tokens, and coordinate so that only one of them
// signs up a new user. Values are encrypted, every key has an expiry, and no key
// contains the name of a user.
//
// No token depends on Redis. While Redis is down, each replica uses its in-memory
// cache only, and tries to reconnect within 5 seconds.
//
// All text options accept {env.*} and {file.*} placeholders, which are evaluated
// when the config loads.
type Redis struct {
	// The addresses of the Redis server, as host:port: one address, or with
	// Cluster some nodes of the cluster, or with MasterName the sentinels.
	// Required.
	Address []string `json:"address,omitempty"`

	// The user name of the Redis ACL. Requires Password. Default: the default
	// user.
	Username string `json:"username,omitempty"`

	// The password, a secret. Default: none.
	Password string `json:"password,omitempty"`

	// The number of the database. A cluster has only database 0. Default: 0.
	DB int `json:"db,omitempty"`

	// The prefix of all keys. With different prefixes, sites can use the same
	// Redis without sharing tokens. Default: caddy-huma:.
	KeyPrefix string `json:"key_prefix,omitempty"`

	// Connect with TLS. Default: false.
	TLSEnabled bool `json:"tls_enabled,omitempty"`

	// A PEM file with the certificate authorities to trust instead of the
	// system's. Default: the system's.
	TLSServerCertsPath string `json:"tls_server_certs_path,omitempty"`

	// The name of the master, if Address lists sentinels. Default: none.
	MasterName string `json:"master_name,omitempty"`

	// Address lists nodes of a cluster. Default: false.
	Cluster bool `json:"cluster,omitempty"`

	// The timeout of one operation. Default: 100ms.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The encryption keys of the values, secrets: each is base64 of 32 random
	// bytes. The first key encrypts, all keys decrypt. To rotate keys, add the
	// new key in front on all replicas before you remove the old one. Required.
	EncryptionKeys []string `json:"encryption_keys,omitempty"`

	config rediscache.Config
	pem    []byte        // content of TLSServerCertsPath
	key    string        // key of the connection in the pool
	logKey masked.String // see LogKey
}

// minTimeout is the minimum of the option timeout.
const minTimeout = time.Millisecond

// CaddyModule returns the Caddy module information.
func (*Redis) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy_huma.stores.redis",
		New: func() caddy.Module { return new(Redis) },
	}
}

// UnmarshalCaddyfile sets up the store from Caddyfile tokens. Syntax:
//
//	redis {
//	    address               <host:port...>
//	    username              <name>
//	    password              <secret>
//	    db                    <n>
//	    key_prefix            <text>
//	    tls_enabled           on|off
//	    tls_server_certs_path <pem file>
//	    master_name           <name>
//	    cluster               on|off
//	    timeout               <duration>
//	    encryption_keys       <key...>
//	}
//
// address may be repeated, other options may not.
func (r *Redis) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name redis
	return option.Block(option.Options{
		"address":               r.parseAddress,
		"username":              option.Text(&r.Username),
		"password":              option.Secret(&r.Password),
		"db":                    option.Number(&r.DB, 0),
		"key_prefix":            option.Text(&r.KeyPrefix),
		"tls_enabled":           option.Bool(&r.TLSEnabled),
		"tls_server_certs_path": option.Text(&r.TLSServerCertsPath),
		"master_name":           option.Text(&r.MasterName),
		"cluster":               option.Bool(&r.Cluster),
		"timeout":               option.Duration(&r.Timeout, minTimeout),
		"encryption_keys":       sealkeys.Parse(&r.EncryptionKeys),
	})(d)
}

func (r *Redis) parseAddress(d *caddyfile.Dispenser) error {
	var more []string
	if err := option.List(&more)(d); err != nil {
		return err
	}
	for i, a := range more {
		if !option.HasPlaceholder(a) && !rediscache.IsAddress(a) {
			return d.Errf("option 'address': "+notAddress, i+1)
		}
	}
	r.Address = append(r.Address, more...)
	return nil
}

// notAddress is the error for an invalid address. It does not quote the value, which may
// contain a password.
const notAddress = "value %d must be host:port, with a port from 1 to 65535; set credentials with the options username and password"

// Provision evaluates the options. It does not connect to Redis.
func (r *Redis) Provision(caddy.Context) error {
	var p option.Errors
	r.config = rediscache.Config{
		Addresses:  p.Texts("address", r.Address),
		Username:   p.Text("username", r.Username),
		Password:   p.Secret("password", r.Password),
		DB:         r.DB,
		KeyPrefix:  p.Text("key_prefix", r.KeyPrefix),
		MasterName: p.Text("master_name", r.MasterName),
		Cluster:    r.Cluster,
		Timeout:    time.Duration(r.Timeout),
		Keys:       sealkeys.Read(r.EncryptionKeys, &p),
		TLS:        r.readTLS(&p),
	}
	r.check(&p)
	if err := p.Err(); err != nil {
		return err
	}
	last := r.config.Keys[len(r.config.Keys)-1]
	r.logKey = masked.New(string(userhash.DeriveKey([]byte(last.Reveal()), "log")))
	r.key = r.poolKey()
	return nil
}

// check reports errors in the combination of options.
func (r *Redis) check(p *option.Errors) {
	if len(r.Address) == 0 {
		p.Addf("address", "is required: set the host and port of Redis, such as localhost:6379")
	}
	for i, a := range r.config.Addresses {
		if (a != "" || r.Address[i] == "") && !rediscache.IsAddress(a) {
			p.Addf("address", notAddress, i+1)
		}
	}
	switch {
	case r.Cluster && r.MasterName != "":
		p.Addf("cluster", "cannot be combined with master_name: the addresses are either cluster nodes or sentinels")
	case len(r.Address) > 1 && !r.Cluster && r.MasterName == "":
		p.Addf("address", "several addresses require `cluster on` (cluster nodes) or master_name (sentinels)")
	}
	if r.Cluster && r.DB != 0 {
		p.Addf("db", "must be 0 with a cluster")
	}
	p.AtLeast("db", r.DB, 0)
	if r.Username != "" && r.Password == "" {
		p.Addf("username", "requires password")
	}
	p.MinDuration("timeout", r.Timeout, minTimeout)
}

func (r *Redis) readTLS(p *option.Errors) *tls.Config {
	path := p.Text("tls_server_certs_path", r.TLSServerCertsPath)
	if !r.TLSEnabled {
		if path != "" {
			p.Addf("tls_server_certs_path", "requires `tls_enabled on`")
		}
		return nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if path == "" {
		return c
	}
	pem, err := textfile.Read(path)
	p.Add("tls_server_certs_path", err)
	r.pem = pem
	c.RootCAs = x509.NewCertPool()
	if err == nil && !c.RootCAs.AppendCertsFromPEM(pem) {
		p.Add("tls_server_certs_path", errors.New("no PEM certificate found in the file"))
	}
	return c
}

// poolKey returns a hash of all options that a connection depends on.
func (r *Redis) poolKey() string {
	c := r.config
	parts := []string{
		fmt.Sprint(c.DB, c.Cluster, c.Timeout, r.TLSEnabled), c.Username, c.Password.Reveal(), c.KeyPrefix, c.MasterName,
		string(r.pem), strings.Join(c.Addresses, " "),
	}
	for _, k := range c.Keys {
		parts = append(parts, k.Reveal())
	}
	return string(userhash.DeriveKey(nil, parts...))
}

// PoolKey returns a hash that is equal for stores with the same options. Call it after
// Provision.
func (r *Redis) PoolKey() string { return r.key }

// LogKey returns the key of the hash that replaces a user's name in logs. It is the same
// in all replicas, and derived from the last encryption key. Call it after Provision.
func (r *Redis) LogKey() masked.String { return r.logKey }

// Interface guards
var (
	_ caddy.Module          = (*Redis)(nil)
	_ caddy.Provisioner     = (*Redis)(nil)
	_ caddyfile.Unmarshaler = (*Redis)(nil)
)
