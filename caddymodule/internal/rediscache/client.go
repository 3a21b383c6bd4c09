package rediscache

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

const (
	// connectTimeout is how long it may take to connect: longer than an
	// operation, because nobody waits for it.
	connectTimeout = 2 * time.Second

	// keepAlive is how often a connection without traffic is tried, and
	// silence how long it then has to answer.
	keepAlive = time.Second
	silence   = time.Second

	// ringScale makes room for 1,024 commands on a connection. A command stays
	// there until it is answered or the connection is given up, and one for
	// which there is no room waits without looking at its context. So at most
	// maxInFlight are let through, and none once a first one had no answer.
	ringScale   = 10
	maxInFlight = 256

	bufferSize = 16 << 10 // for reading and for writing; a value has about 1 KiB

	// refreshTopology is how often sentinels are asked and a cluster's shape
	// is looked at, beside whenever something is noticed.
	refreshTopology = 5 * time.Second

	// maxRedirects is how often a cluster may send an operation elsewhere.
	maxRedirects = 3

	clientName = "caddy-huma"
)

// options are rueidis' options. It caches nothing (memory does) and repeats
// nothing: an operation has one try and its time.
func (s *Store) options() rueidis.ClientOption {
	c := &s.config
	dialer := net.Dialer{Timeout: connectTimeout, KeepAlive: keepAlive}
	o := rueidis.ClientOption{
		InitAddress:         c.Addresses,
		Username:            c.Username,
		Password:            c.Password.Reveal(),
		ClientName:          clientName,
		ClientSetInfo:       rueidis.DisableClientSetInfo,
		SelectDB:            c.DB,
		TLSConfig:           c.TLS,
		Dialer:              dialer,
		DialCtxFn:           s.dial,
		ConnWriteTimeout:    max(silence, c.Timeout),
		DisableRetry:        true,
		DisableCache:        true,
		RingScaleEachConn:   ringScale,
		ReadBufferEachConn:  bufferSize,
		WriteBufferEachConn: bufferSize,
		PipelineMultiplex:   -1, // one connection to a node carries all commands
		// Somebody always reads: what nobody has asked for is found when it
		// comes, and is never taken for the answer to what is asked next.
		AlwaysPipelining: true,
		BlockingPoolSize: 2, // one is for messages
		// Without it a single server is first tried as a cluster. It takes the
		// first address alone: with several one of the others is set.
		ForceSingleClient: !c.Cluster && c.MasterName == "",
		ClusterOption: rueidis.ClusterOption{
			ShardsRefreshInterval: refreshTopology,
			MaxMovedRedirections:  maxRedirects,
		},
	}
	if c.MasterName != "" {
		o.Sentinel = rueidis.SentinelOption{
			MasterSet:               c.MasterName,
			Dialer:                  dialer,
			TLSConfig:               c.TLS,
			Username:                c.SentinelUsername,
			Password:                c.SentinelPassword.Reveal(),
			ClientName:              clientName,
			TopologyRefreshInterval: refreshTopology,
		}
	}
	return o
}

// newClient connects. It is rueidis' constructor, which gives a client also with
// an error, and that one has to be closed.
func (s *Store) newClient() (rueidis.Client, error) {
	c, err := rueidis.NewClient(s.options())
	if err != nil {
		if c != nil {
			c.Close()
		}
		return nil, err
	}
	return c, nil
}

// dial connects for rueidis. Closing the Store cuts every connection: nothing
// then waits for a server that hangs.
func (s *Store) dial(ctx context.Context, addr string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	var (
		conn net.Conn
		err  error
	)
	if config != nil {
		d := tls.Dialer{NetDialer: dialer, Config: config}
		conn, err = d.DialContext(ctx, "tcp", addr)
	} else {
		conn, err = dialer.DialContext(ctx, "tcp", addr)
	}
	if err != nil {
		return nil, err
	}
	c := &cutConn{Conn: conn, dialog: newDialog()}
	c.stop = context.AfterFunc(s.ctx, func() { _ = c.shut() })
	return c, nil
}

// cutConn is a connection that ends with the Store, and when the server says
// what it must not.
type cutConn struct {
	net.Conn
	dialog *dialog
	stop   func() bool
	once   sync.Once
	err    error
}

// Read implements net.Conn.
func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if wrong := c.dialog.heard(b[:n]); wrong != nil {
		_ = c.shut()
		return 0, wrong
	}
	return n, err
}

// Write implements net.Conn. What is written is noted before it is: the answer
// may be quick.
func (c *cutConn) Write(b []byte) (int, error) {
	if wrong := c.dialog.said(b); wrong != nil {
		_ = c.shut()
		return 0, wrong
	}
	return c.Conn.Write(b)
}

func (c *cutConn) shut() error {
	c.once.Do(func() { c.err = c.Conn.Close() })
	return c.err
}

// Close implements net.Conn.
func (c *cutConn) Close() error {
	c.stop()
	return c.shut()
}
