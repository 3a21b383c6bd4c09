package rediscache

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// startCluster starts a cluster of three masters.
func startCluster(t *testing.T) []*redistest.Server {
	t.Helper()
	var nodes []*redistest.Server
	for range 3 {
		nodes = append(nodes, startServer(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
			// The default is the port plus 10,000, which may exceed the valid range.
			"--cluster-port", strconv.Itoa(redistest.FreePort(t))))
	}
	bus := func(r *redistest.Server) string { return r.Texts("CONFIG", "GET", "cluster-port")[1] }
	for i, from := range []int{0, 5461, 10923} {
		to := []int{5460, 10922, 16383}[i]
		nodes[i].Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(from), strconv.Itoa(to))
		nodes[0].Do("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(nodes[i].Port), bus(nodes[i]))
	}
	for _, r := range nodes {
		eventually(t, 20*time.Second, "the cluster is one", func() bool {
			info := r.Text("CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3") && strings.Contains(info, "cluster_size:3")
		})
	}
	return nodes
}

// TestTopologies runs the tests of clusters and sentinels, which mostly wait for a
// failover, at the same time.
func TestTopologies(t *testing.T) {
	t.Parallel()
	type topology struct {
		name string
		test func(t *testing.T)
	}
	atOnce(t, []topology{{"cluster", testCluster}, {"sentinels", testSentinel}, {"ACL", testACL}},
		func(c topology) string { return c.name }, func(t *testing.T, c topology) { c.test(t) })
}

func testCluster(t *testing.T) {
	nodes := startCluster(t)
	in := func(r *redistest.Server) opened {
		return ready(t, r.Addr(), func(c *Config) { c.Cluster = true })
	}
	a, b := in(nodes[0]), in(nodes[2])
	runSuites(t, a, b)

	t.Run("keys are on all nodes and are flushed on all", func(t *testing.T) {
		acc := a.account("spread")
		for i := range 60 {
			put(t, acc, userOf(i), "t")
		}
		for i, r := range nodes {
			if keys := r.Texts("KEYS", acc.prefix+"*"); len(keys) < 5 {
				t.Errorf("%d keys on node %d", len(keys), i)
			}
		}
		b.account("spread")
		if err := acc.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, r := range nodes {
			if keys := r.Texts("KEYS", acc.prefix+"*"); len(keys) > 0 {
				t.Errorf("%d keys on node %d", len(keys), i)
			}
		}
		eventually(t, 5*time.Second, "the other hears of it", func() bool { return len(b.all()) > 0 })
	})

	t.Run("R2 a node is killed", func(t *testing.T) {
		s := ready(t, nodes[0].Addr(), short, func(c *Config) { c.Cluster = true })
		acc := s.account("killed")
		nodes[2].Kill()
		end := time.Now().Add(1500 * time.Millisecond)
		var worst time.Duration
		for i := 0; time.Now().Before(end); i++ {
			start := time.Now()
			_, _, _, _ = acc.Get(t.Context(), userOf(i%60), "ios")
			worst = max(worst, time.Since(start))
			time.Sleep(time.Millisecond)
		}
		if t.Logf("the slowest took %s", worst); worst > DefaultTimeout+slack {
			t.Errorf("one took %s", worst)
		}
		s.wantUp(t, false, time.Second)
		nodes[2].Run() // it reads the other nodes from its file, and finds them again
		s.wantUp(t, true, 20*time.Second)
		eventually(t, 10*time.Second, "all keys can be read", func() bool {
			for i := range 60 {
				if _, _, _, err := acc.Get(t.Context(), userOf(i), "ios"); err != nil {
					return false
				}
			}
			return true
		})
	})
}

func testSentinel(t *testing.T) {
	master := startServer(t)
	replica := startServer(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(master.Port))
	eventually(t, 10*time.Second, "the replica is one", func() bool {
		return strings.Contains(replica.Text("INFO", "replication"), "master_link_status:up")
	})
	sentinel := redistest.Sentinel(t, master)
	eventually(t, 30*time.Second, "the sentinel knows the replica", func() bool {
		return len(sentinel.Do("SENTINEL", "REPLICAS", "mymaster").([]any)) == 1
	})
	with := func(edit ...func(*Config)) opened {
		return ready(t, sentinel.Addr(), append(edit, func(c *Config) { c.MasterName = "mymaster" })...)
	}
	hangs := testutil.Listen(t).Addr().String()
	a, b := with(), with(func(c *Config) { c.Addresses = []string{hangs, sentinel.Addr()} })
	runSuites(t, a, b)

	acc := b.account("failover")
	put(t, acc, "u", "t")
	eventually(t, 5*time.Second, "it is replicated", func() bool { return replica.Do("DBSIZE").(int64) == master.Do("DBSIZE").(int64) })
	a.account("failover")
	master.Kill()
	eventually(t, 30*time.Second, "the replica is the master, and is written to", func() bool {
		kept, err := acc.Put(t.Context(), "v", "ios", storetest.RecordOf("t", time.Minute), "", false)
		return kept && err == nil
	})
	wantToken(t, acc, "u", "t")
	eventually(t, 20*time.Second, "messages come again", func() bool {
		_ = acc.Evict(t.Context(), "u")
		return len(a.all()) > 0
	})
}

// certificates creates a CA and a certificate for 127.0.0.1, as files.
func certificates(t *testing.T) (ca *x509.CertPool, caFile, certFile, keyFile string) {
	t.Helper()
	a := testutil.NewAuthority(t.TempDir(), "test")
	certFile, keyFile = a.ServerFiles()
	return a.Pool, a.File, certFile, keyFile
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca, caFile, certFile, keyFile := certificates(t)
	port := redistest.FreePort(t)
	startServer(t, "--tls-port", strconv.Itoa(port), "--tls-ca-cert-file", caFile, "--tls-cert-file", certFile,
		"--tls-key-file", keyFile, "--tls-auth-clients", "no")
	addr := "127.0.0.1:" + strconv.Itoa(port)
	with := func(c *Config) { c.TLS = &tls.Config{RootCAs: ca, MinVersion: tls.VersionTLS12} }
	runSuites(t, ready(t, addr, with), ready(t, addr, with))

	stranger := open(t, addr, short, func(c *Config) { c.TLS = &tls.Config{MinVersion: tls.VersionTLS12} })
	stranger.wantWhy(t, "certificate")
	plain := open(t, addr, short)
	plain.wantWhy(t, "redis: ")
	wantDown(t, plain)
}

func TestPrefixAndDatabase(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	s := ready(t, r.Addr(), func(c *Config) { c.KeyPrefix, c.DB = `odd*[a]?\{x}:`, 3 })
	other := ready(t, r.Addr(), func(c *Config) { c.KeyPrefix, c.DB = `oddly[a]?\{x}:`, 3 })
	a, b := s.account("a"), other.account("a")
	put(t, a, "u", "a's")
	put(t, b, "u", "b's")
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantToken(t, a, "u", "")
	wantToken(t, b, "u", "b's")
	if n := r.Do("DBSIZE").(int64); n != 0 {
		t.Errorf("%d keys in database 0", n)
	}
}

// TestNotRedis tests a server with another protocol.
func TestNotRedis(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	l := testutil.Listen(t)
	for i, response := range []string{"HTTP/1.1 400 Bad Request\r\n\r\n", "+OK\r\n", "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `canary-password`\r\n"} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			done := make(chan struct{})
			s := open(t, l.Addr().String(), short, func(c *Config) { c.Password = masked.New("canary-password") })
			go func() {
				defer close(done)
				for range 3 {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer conn.Close()
						b := make([]byte, 4096)
						for {
							if _, err := conn.Read(b); err != nil {
								return
							}
							if _, err := conn.Write([]byte(response)); err != nil {
								return
							}
						}
					}()
				}
			}()
			eventually(t, 10*time.Second, "reported that it is down", func() bool {
				return readEvents(s.events, func() bool { return len(s.states) > 0 })
			})
			wantDown(t, s)
			<-done
			readEvents(s.events, func() any {
				for i, err := range s.errs {
					if s.states[i] {
						t.Error("reported that it is up")
						continue
					}
					t.Log(err)
					wantNoCanary(t, err, "canary-password")
				}
				return nil
			})
		})
	}
}
