package rediscache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// connectTimeout is the maximum time for connecting. It is longer than that of an
	// operation, because no request waits for it.
	connectTimeout = 2 * time.Second

	// maxConns is the maximum number of connections to a server, not counting the one
	// for messages. Connections stay open.
	maxConns = 32

	bufferSize = 8 << 10 // for reading and for writing; a value has about 1 KiB

	// maxRedirects is how often a cluster may redirect an operation.
	maxRedirects = 3
)

// newClient returns a client that connects when it is first used.
func (c *Config) newClient() redis.UniversalClient {
	o := c.options(c.Addresses)
	o.Username, o.Password, o.DB = c.Username, c.Password.Reveal(), c.DB
	if c.MasterName != "" {
		o.Addrs, o.Dialer = c.Addresses[:1], c.dialMaster
	}
	if !c.Cluster {
		return redis.NewUniversalClient(o)
	}
	cluster := o.Cluster()
	// Routing policies are for commands with keys in several slots, which this package
	// does not use. With policies, a command waits up to five seconds for the reply to
	// COMMAND, whatever its own timeout is.
	cluster.DisableRoutingPolicies = true
	var nodes atomic.Int32
	cluster.NewClient = func(o *redis.Options) *redis.Client {
		if nodes.Add(1) > maxNodes {
			return noNode() // which allocates nothing more
		}
		return redis.NewClient(o)
	}
	return redis.NewClusterClient(cluster)
}

// maxNodes is the maximum number of nodes that a cluster may name during the life of a
// client. The client allocates about 15 KiB for each. Beyond the limit the client
// fails, and is replaced.
const maxNodes = 2000

// noNode returns the closed client that stands for all nodes beyond maxNodes.
var noNode = sync.OnceValue(func() *redis.Client {
	c := redis.NewClient(new(redis.Options))
	_ = c.Close()
	return c
})

// options returns the options of a client that does not retry: an operation has one
// attempt.
func (c *Config) options(addrs []string) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs:                    addrs,
		IsClusterMode:            c.Cluster,
		Dialer:                   c.dial,
		Protocol:                 2, // no feature of RESP3 is used
		ContextTimeoutEnabled:    true,
		DialTimeout:              connectTimeout,
		ReadTimeout:              connectTimeout,
		WriteTimeout:             connectTimeout,
		PoolTimeout:              c.Timeout,
		MaxRedirects:             maxRedirects,
		MaxRetries:               -1,
		MinRetryBackoff:          -1,
		MaxRetryBackoff:          -1,
		DialerRetries:            1,
		PoolSize:                 maxConns,
		MaxActiveConns:           maxConns,
		PipelinePoolSize:         -1,
		ReadBufferSize:           bufferSize,
		WriteBufferSize:          bufferSize,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

var errNoAddress = errors.New("a Redis server announced an address that is not host:port")

// dial connects to a server. Addresses also come from sentinels and from nodes of a
// cluster. dial checks them, because the client would treat an address that begins with
// a slash as a Unix socket. A node that does not know its own host sends an address
// without one; dial then uses the host of the first address in the options.
func (c *Config) dial(ctx context.Context, _, addr string) (conn net.Conn, err error) {
	if port, ok := strings.CutPrefix(addr, ":"); ok {
		host, _, _ := net.SplitHostPort(c.Addresses[0])
		addr = net.JoinHostPort(host, port)
	}
	if !IsAddress(addr) {
		return nil, errNoAddress
	}
	dialer := net.Dialer{Timeout: connectTimeout}
	if c.TLS != nil {
		conn, err = (&tls.Dialer{NetDialer: &dialer, Config: c.TLS}).DialContext(ctx, "tcp", addr)
	} else {
		conn, err = dialer.DialContext(ctx, "tcp", addr)
	}
	if err != nil {
		return nil, err
	}
	return limitReplies(c.ctx, conn), nil
}

// dialMaster connects to the master that the sentinels name. It is used as the client's
// Dialer, because go-redis' own sentinel client caches the sentinels' replies for ever.
func (c *Config) dialMaster(ctx context.Context, network, _ string) (net.Conn, error) {
	var problems []error
	n := len(c.Addresses)
	each := connectTimeout / time.Duration(n+1) // a sentinel that hangs leaves time for the others
	for first, i := int(c.sentinel.Load()), 0; i < n; i++ {
		at := (first + i) % n
		addr, err := c.masterFromSentinel(ctx, c.Addresses[at], each)
		if err == nil {
			c.sentinel.Store(int32(at))
			return c.dial(ctx, network, addr)
		}
		problems = append(problems, fmt.Errorf("query sentinel: %w", err))
	}
	return nil, errors.Join(problems...)
}

var errNoMaster = errors.New("unknown master name")

// masterFromSentinel queries a sentinel for the address of the master.
func (c *Config) masterFromSentinel(ctx context.Context, sentinel string, atMost time.Duration) (addr string, err error) {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	s := redis.NewSentinelClient(c.options([]string{sentinel}).Simple())
	defer func() { _ = s.Close() }()
	found, err := s.GetMasterAddrByName(ctx, c.MasterName).Result()
	switch {
	case errors.Is(err, redis.Nil), err == nil && len(found) != 2:
		return "", errNoMaster
	case err != nil:
		return "", err
	}
	return net.JoinHostPort(found[0], found[1]), nil
}
