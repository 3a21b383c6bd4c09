package rediscache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// TestHostile_OutOfStep checks that no user gets another user's token, and that a
// connection that has received an unrequested reply is not used again.
func TestHostile_OutOfStep(t *testing.T) {
	ca, _, certFile, keyFile := certificates(t)
	certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, topology := range topologies {
		withTLS := name == "single with TLS"
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener := listen(t)
			if withTLS {
				listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
			}
			h := serveHostile(t, listener, nil)
			s := ready(t, h.addr(), topology, func(c *Config) { // with a long timeout
				c.interval = time.Minute // a health check would receive unrequested replies, too
				if withTLS {
					c.TLS = &tls.Config{RootCAs: ca, MinVersion: tls.VersionTLS12}
				}
			})
			a := s.account("a")
			miss := "*2\r\n$-1\r\n$-1\r\n"
			vs := sealedFor(t, s, a, "v")
			h.words.Store(&vs)
			wantToken(t, a, "v", "the token of v")
			wantToken(t, a, "u", "")
			if n := readEvents(s.events, func() int { return s.unreadable }); n != 1 {
				t.Errorf("%d values were unreadable", n)
			}

			both := miss + vs // the second reply would be that of the next caller
			h.words.Store(&both)
			before := h.count("HELLO")
			for range 10 {
				wantToken(t, a, "v", "")
			}
			if n := h.count("HELLO") - before; n < 5 { // the first ones are on connections that were there
				t.Errorf("connected %d times", n)
			}

			h.words.Store(&miss)
			for range 10 {
				wantToken(t, a, "v", "")
				h.mu.Lock()
				for c, subscribed := range h.conns {
					if !subscribed {
						_, _ = io.WriteString(c, vs)
					}
				}
				h.mu.Unlock()
				time.Sleep(5 * time.Millisecond) // until it is there
			}
			wantToken(t, a, "v", "")
			wantClosed(t, s)
		})
	}
}

// TestHostile_MovedForEver tests two nodes that each redirect to the other one.
func TestHostile_MovedForEver(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"MOVED", "ASK"} {
		a, b := startHostile(t, nil), startHostile(t, nil)
		s := ready(t, a.addr(), topologies["cluster"])
		from := func(h *hostileServer) *wrongReply {
			return &wrongReply{when: "HMGET", text: "-" + word + " 1 " + h.addr() + "\r\n"}
		}
		before := a.count("HMGET")
		a.wrong.Store(from(b))
		b.wrong.Store(from(a))
		if _, found, _, err := s.account("a").Get(t.Context(), "u", "ios"); found || err == nil {
			t.Errorf("%s: Get = %v, %v", word, found, err)
		}
		// The Store runs a health check after an operation has failed.
		if n := a.count("HMGET") + b.count("HMGET") - before; n < maxRedirects+1 || n > 4*(maxRedirects+1) {
			t.Errorf("%s: %d requests", word, n)
		}
		wantClosed(t, s)
	}
}

// TestHostile_Reload tests the goroutine in which the client reloads the state of a
// cluster. Nothing recovers a panic there.
func TestHostile_Reload(t *testing.T) {
	t.Parallel()
	limitStacks()
	cases := append(some("status", "error", "null", "empty array", "array of an integer", "array of nulls", "10^15 elements",
		"10^15 elements with zeros before", "10^15 elements in an array", "negative number of elements", "arrays in arrays", "large arrays in arrays",
		"map", "attributes", "nothing"),
		text("10^15 nodes", "*1\r\n*"+strings.Repeat("0", 40)+"999999999999999\r\n:0\r\n:1\r\n"),
		text("10000 nodes", manyNodes(10000)),
	)
	t.Logf("%d cases", len(cases))
	atOnce(t, cases, func(a response) string { return a.name }, func(t *testing.T, a response) {
		h := startHostile(t, nil)
		s := ready(t, h.addr(), brief, topologies["cluster"])
		a.when = "CLUSTER"
		moved := "-MOVED 1 " + h.addr() + "\r\n"
		h.words.Store(&moved)
		h.wrong.Store(&a.wrongReply)
		before := h.count("CLUSTER")
		wantMiss(t, s.account("a"))
		eventually(t, 5*time.Second, "the state is reloaded", func() bool { return h.count("CLUSTER") > before })
		time.Sleep(50 * time.Millisecond)
		wantClosed(t, s)
	})
}

// TestHostile_ManyNodes checks that memory does not grow beyond some number of nodes if
// a cluster names other nodes each time.
func TestHostile_ManyNodes(t *testing.T) {
	t.Parallel()
	config := Config{Addresses: []string{"127.0.0.1:1"}, Cluster: true}.withDefaults()
	cluster := config.newClient().(*redis.ClusterClient)
	defer cluster.Close()
	for i := range maxNodes + 10 {
		node := cluster.Options().NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", i+1)})
		if tooMany := node == noNode(); tooMany != (i >= maxNodes) {
			t.Fatalf("node %d is one too many: %v", i, tooMany)
		} else if !tooMany {
			_ = node.Close()
		}
	}
	if err := noNode().Ping(t.Context()).Err(); !errors.Is(err, redis.ErrClosed) {
		t.Errorf("a node too many responded %v", err)
	}
}

// TestHostile_Command checks that in a cluster, too, an operation takes no longer than
// its timeout if the node does not reply to COMMAND.
func TestHostile_Command(t *testing.T) {
	t.Parallel()
	h := startHostile(t, &wrongReply{when: "COMMAND"})
	s := ready(t, h.addr(), brief, topologies["cluster"])
	start := time.Now()
	if _, _, _, err := s.account("a").Get(t.Context(), "u", "ios"); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > hostileTimeout+slack {
		t.Errorf("it took %s", d)
	}
	wantClosed(t, s)
}

// TestHostile_EndlessScan checks that a Flush ends with its context, and with the
// Store.
func TestHostile_EndlessScan(t *testing.T) {
	t.Parallel()
	h := startHostile(t, &wrongReply{when: "SCAN", text: "*2\r\n:1\r\n" + bulks("a", "b")})
	s := ready(t, h.addr(), brief)
	ctx, cancel := context.WithTimeout(t.Context(), hostileTimeout)
	defer cancel()
	if err := s.account("a").Flush(ctx); err == nil {
		t.Error("Flush has succeeded")
	}
	flushed := make(chan error)
	go func() { flushed <- s.account("a").Flush(context.Background()) }()
	time.Sleep(hostileTimeout)
	wantClosed(t, s)
	select {
	case err := <-flushed:
		if err == nil {
			t.Error("Flush has succeeded")
		}
	case <-time.After(5 * time.Second):
		t.Error("Flush does not return")
	}
}

// TestHostile_Password checks that no error contains the password, even if the server
// repeats what it was sent.
func TestHostile_Password(t *testing.T) {
	t.Parallel()
	const canary = "canary-password"
	for _, echo := range []string{"-ERR unknown command 'AUTH', with args beginning with: '" + canary + "'\r\n"} {
		s := open(t, startHostile(t, &wrongReply{text: echo}).addr(), brief, func(c *Config) { c.Password = masked.New(canary) })
		eventually(t, 5*time.Second, "reported that it is down", func() bool {
			return readEvents(s.events, func() bool { return len(s.states) > 0 })
		})
		readEvents(s.events, func() any { wantNoCanary(t, errors.Join(s.errs...), canary); return nil })
		wantClosed(t, s)
	}
}

// TestHostile_Memory checks that data that a server announces or sends takes a limited
// amount of memory.
func TestHostile_Memory(t *testing.T) {
	const most = 64 << 20
	limitStacks()
	cases := map[string]wrongReply{
		"CLUSTER 10000 nodes":             {text: manyNodes(10000)},
		"CLUSTER as many nodes as may be": {text: manyNodes(maxNodes - 1)},
		"CLUSTER as many slots as fit":    {text: "*10000\r\n" + strings.Repeat("*2\r\n:0\r\n:1\r\n", 10000)},
		"HMGET the largest text":          {text: "*2\r\n$-1\r\n$1048576\r\n" + strings.Repeat("x", maxText) + "\r\n"},
		"HMGET texts that are too long":   {text: "*32768\r\n" + strings.Repeat("$1048576\r\n"+strings.Repeat("x", maxText)+"\r\n", 5)},
	}
	for _, a := range some("200 GB", "200 GB with zeros before", "10^15 elements", "10^15 elements in an array", "300000 elements of a map",
		"arrays in arrays", "large arrays in arrays", "maps in maps", "attributes", "pushes", "endless line", "endless status", "endless integer") {
		cases["HMGET "+a.name] = a.wrongReply
	}
	for name, l := range cases {
		h := startHostile(t, nil)
		topology := "single"
		if l.when, _, _ = strings.Cut(name, " "); l.when == "CLUSTER" {
			topology = "cluster"
		}
		s := ready(t, h.addr(), brief, topologies[topology])
		a := s.account("a")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		h.wrong.Store(&l)
		if l.when == "CLUSTER" {
			_ = a.Flush(t.Context())
		} else {
			wantMiss(t, a)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > most {
			t.Errorf("%s: %d MiB", name, n>>20)
		} else {
			t.Logf("%s: %d KiB", name, n>>10)
		}
		wantClosed(t, s)
	}
}

// TestHostile_SubscribeAgain checks that there is no busy loop of subscriptions if the
// server ends each one at once.
func TestHostile_SubscribeAgain(t *testing.T) {
	t.Parallel()
	h := startHostile(t, &wrongReply{when: "SUBSCRIBE", text: "*3\r\n+subscribe\r\n+caddy-huma:news\r\n:1\r\n*0\r\n"})
	s := ready(t, h.addr(), brief)
	time.Sleep(300 * time.Millisecond)
	if n := h.count("SUBSCRIBE"); n > int(300*time.Millisecond/s.config.interval)+2 {
		t.Errorf("subscribed %d times", n)
	}
	wantClosed(t, s)
}
