package rediscache

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/seal"
)

const (
	// DefaultPrefix is what keys begin with if nothing else is said.
	DefaultPrefix = "caddy-huma:"

	// DefaultTimeout is how long an operation takes at most.
	DefaultTimeout = 100 * time.Millisecond

	// KeySize is the length of an encryption key in bytes.
	KeySize = seal.KeySize
)

// Config is where the store is and how it is used.
type Config struct {
	// Addresses are host:port. One, unless Cluster or MasterName is set: then
	// those of some nodes, or of the sentinels. Required.
	Addresses []string

	// Username is that of the ACL; without it a Password is the default user's.
	Username string
	Password masked.String

	// DB is the number of the database. Default: 0. A cluster has no other.
	DB int

	// KeyPrefix is what all keys and the channel begin with.
	// Default: "caddy-huma:".
	KeyPrefix string

	// TLS is how to connect; nil is without.
	TLS *tls.Config

	// MasterName is the name by which sentinels know the master; empty is
	// without sentinels. SentinelUsername and SentinelPassword are for the
	// sentinels themselves; mostly they have none.
	MasterName       string
	SentinelUsername string
	SentinelPassword masked.String

	// Cluster says that the addresses are nodes of a cluster.
	Cluster bool

	// Timeout is how long one operation takes at most. Default: 100ms.
	Timeout time.Duration

	// Keys seal the values: the first one seals, all open. Each is 32 random
	// bytes as they are, in no encoding. At least one is required.
	Keys []masked.String

	// OnState is told when the store becomes usable (true) and when it does not
	// serve everything any more (false, with the reason): the first time when
	// that is known, afterwards on changes. Never from two goroutines at once.
	OnState func(up bool, err error)

	// OnForget, OnNews and OnFlush are told what other replicas did: a user was
	// forgotten; a user has a token that is better than the one in memory; an
	// account was flushed. Accounts that were never asked for are left out.
	// They should be quick; those that follow wait.
	OnForget func(account string, user exchange.UserKey)
	OnNews   func(account string, user exchange.UserKey)
	OnFlush  func(account string)

	// OnReconnect is told of each account when there is a way for such messages
	// again, also for the first time: until now they may have been missed, so
	// whatever is in memory may be something that others have forgotten. If the
	// account was flushed meanwhile, OnFlush is told that instead.
	OnReconnect func(account string)

	// OnUnreadable is told of a value that cannot be opened or read. To the
	// user it is a miss.
	OnUnreadable func()
}

// errConfig is how errors about a Config begin.
var errConfig = errors.New("redis")

// Check returns all that is wrong with a Config, or nil. It asks nobody.
func (c *Config) Check() error {
	var problems []error
	wrong := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("%w: "+format, append([]any{errConfig}, args...)...))
	}
	c.checkAddresses(wrong)
	if c.DB < 0 || c.Cluster && c.DB != 0 {
		wrong("db %d: a cluster has only 0, others have no negative ones", c.DB)
	}
	if c.Username != "" && c.Password.IsZero() {
		wrong("a username needs a password")
	}
	if c.MasterName == "" && (c.SentinelUsername != "" || !c.SentinelPassword.IsZero()) {
		wrong("a username or password of sentinels needs master_name")
	}
	if c.Timeout < 0 {
		wrong("timeout %s is negative", c.Timeout)
	}
	if len(c.Keys) == 0 {
		wrong("no encryption key is given")
	}
	for i, k := range c.Keys {
		if n := len(k.Reveal()); n != KeySize {
			wrong("encryption key %d has %d bytes, want %d", i+1, n, KeySize)
		}
	}
	return errors.Join(problems...)
}

func (c *Config) checkAddresses(wrong func(string, ...any)) {
	switch {
	case len(c.Addresses) == 0:
		wrong("no address is given")
	case c.Cluster && c.MasterName != "":
		wrong("cluster and master_name exclude each other")
	case len(c.Addresses) > 1 && !c.Cluster && c.MasterName == "":
		wrong("several addresses are those of a cluster (cluster) or of sentinels (master_name), and neither is set")
	}
	for i, a := range c.Addresses {
		if !IsAddress(a) {
			wrong("address number %d is not host:port", i+1)
		}
	}
}

// IsAddress reports whether a text is host:port, with a port from 1 to 65535.
// Whoever says that it is none must not repeat it: a password may stand in it.
func IsAddress(text string) bool {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" || strings.ContainsAny(host, "@/?# ") {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// withDefaults returns the Config as it is used.
func (c Config) withDefaults() Config {
	if c.KeyPrefix == "" {
		c.KeyPrefix = DefaultPrefix
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	c.Addresses = slices.Clone(c.Addresses)
	for _, f := range []*func(string, exchange.UserKey){&c.OnForget, &c.OnNews} {
		if *f == nil {
			*f = func(string, exchange.UserKey) {}
		}
	}
	for _, f := range []*func(string){&c.OnFlush, &c.OnReconnect} {
		if *f == nil {
			*f = func(string) {}
		}
	}
	if c.OnUnreadable == nil {
		c.OnUnreadable = func() {}
	}
	if c.OnState == nil {
		c.OnState = func(bool, error) {}
	}
	return c
}
