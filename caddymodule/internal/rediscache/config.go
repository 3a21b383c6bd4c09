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
	// DefaultPrefix is the default of KeyPrefix.
	DefaultPrefix = "caddy-huma:"

	// DefaultTimeout is the default of Timeout.
	DefaultTimeout = 100 * time.Millisecond

	// KeySize is the length of an encryption key in bytes.
	KeySize = seal.KeySize
)

// Config configures a Store: which Redis to use, and how. The fields correspond to the
// options of the store module redis, which documents and checks them.
type Config struct {
	Addresses  []string // host:port; of the sentinels if MasterName is set; at least one
	Username   string
	Password   masked.String
	DB         int
	KeyPrefix  string      // default: DefaultPrefix
	TLS        *tls.Config // nil: no TLS
	MasterName string
	Cluster    bool
	Timeout    time.Duration // of one operation; default: DefaultTimeout

	// Keys are the encryption keys of the values. The first key encrypts; all keys
	// decrypt. Each is 32 random bytes, not encoded. At least one is required.
	Keys []masked.String

	// OnState is called with true when the store can be used, and with false and the
	// reason when it cannot: once when the state is first known, and then on each
	// change. Calls are never concurrent. Nil: changes are not reported.
	OnState func(up bool, err error)

	// OnUnreadable is called for each value that cannot be decrypted or decoded. Such a
	// value is a cache miss. Nil: such values are not reported.
	OnUnreadable func()

	sentinel *atomic.Int32   // index of the sentinel that responded last
	ctx      context.Context // ends with the Store
	interval time.Duration   // PingInterval, except in tests
}

// IsAddress reports whether text is host:port, with a port from 1 to 65535. If it is
// not, do not repeat text in an error message: it may contain a password.
func IsAddress(text string) bool {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" || strings.ContainsAny(host, "@/?# ") {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// withDefaults returns a copy of c with defaults for unset fields.
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
