package rediscache

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

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

// Config is where the store is and how it is used. Its options are those of the store
// module redis, which documents and checks them.
type Config struct {
	Addresses  []string // host:port, of sentinels with MasterName; at least one
	Username   string
	Password   masked.String
	DB         int
	KeyPrefix  string      // default: DefaultPrefix
	TLS        *tls.Config // nil is without
	MasterName string
	Cluster    bool
	Timeout    time.Duration // of one operation; default: DefaultTimeout

	// Keys seal the values: the first one seals, all open. Each is 32 random
	// bytes as they are, in no encoding. At least one is required.
	Keys []masked.String

	// OnState is told when the store can be used (true) and when it cannot (false,
	// with the reason): the first time when that is known, afterwards on changes.
	// Never from two goroutines at once.
	OnState func(up bool, err error)

	// OnUnreadable is told of a value that cannot be opened or read. To the
	// user it is a miss.
	OnUnreadable func()

	sentinel *atomic.Int32   // the number of the one that has answered last
	ctx      context.Context // ends with the Store
	interval time.Duration   // PingInterval, but for tests
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
	if c.interval == 0 {
		c.interval = PingInterval
	}
	c.Addresses = slices.Clone(c.Addresses)
	c.sentinel = new(atomic.Int32)
	if c.OnUnreadable == nil {
		c.OnUnreadable = func() {}
	}
	if c.OnState == nil {
		c.OnState = func(bool, error) {}
	}
	return c
}
