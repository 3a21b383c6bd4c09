package rediscache

import (
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
)

const hostileTimeout = 100 * time.Millisecond

// topologies are the ways to connect to a server.
var topologies = map[string]func(*Config){
	"single":          func(*Config) {},
	"single with TLS": func(*Config) {}, // see TestHostile_OutOfStep
	"cluster":         func(c *Config) { c.Cluster = true },
	"sentinel":        func(c *Config) { c.MasterName = "mymaster" },
}

func brief(c *Config) { c.Timeout = hostileTimeout }

// atOnce runs cases at the same time, independent of the number of processors, because
// most of them wait.
func atOnce[C any](t *testing.T, cases []C, name func(C) string, f func(*testing.T, C)) {
	var ends sync.WaitGroup
	defer ends.Wait()
	for _, c := range cases {
		ends.Go(func() { t.Run(name(c), func(t *testing.T) { f(t, c) }) })
	}
}

// wantClosed fails if Close does not return.
func wantClosed(t *testing.T, s opened) {
	t.Helper()
	closed := make(chan struct{})
	go func() { defer close(closed); s.Close() }()
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Error("Close does not return")
	}
}

// limitStacks limits the stack, so that unlimited recursion over a server's reply ends
// the process.
var limitStacks = sync.OnceFunc(func() { debug.SetMaxStack(2 << 20) })

// TestHostile_Never checks that a server is not used that has never sent a reply of
// Redis.
func TestHostile_Never(t *testing.T) {
	t.Parallel()
	limitStacks()
	type oneCase struct {
		topology string
		response
		behind bool // the sentinel is correct, and the master sends wrong replies
	}
	var cases []oneCase
	for _, a := range wrong {
		cases = append(cases, oneCase{"single", a, false})
	}
	in := func(topology, moment string, responses ...response) {
		for _, a := range responses {
			a.when = moment
			cases = append(cases, oneCase{topology, a, false})
		}
	}
	in("cluster", "", some("error", "empty array", "10^15 elements", "arrays in arrays", "silence", "nothing", "HTTP",
		"MOVED to an empty address", "MOVED to no address", "ASK to no address")...)
	in("cluster", "CLUSTER", some("status", "null", "integer", "array of an integer", "array of arrays", "array of nulls", "map",
		"10^15 elements in an array", "large arrays in arrays", "endless line", "cut in an array", "silence in an array", "noise")...)
	in("cluster", "CLUSTER",
		text("one slot too short", "*1\r\n*1\r\n:0\r\n"),
		text("one slot with texts", "*1\r\n*3\r\n+a\r\n+b\r\n*2\r\n+a\r\n+b\r\n"),
		text("a node too short", "*1\r\n*3\r\n:0\r\n:16383\r\n*1\r\n+a\r\n"),
		text("a node with too much", "*1\r\n*3\r\n:0\r\n:16383\r\n*5\r\n+a\r\n:1\r\n+a\r\n*0\r\n+b\r\n"),
		text("a node with odd metadata", "*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n+a\r\n:1\r\n+a\r\n*1\r\n+a\r\n"),
		text("a node that is null", "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$-1\r\n:1\r\n"),
		text("a node without a host", slots(0, 16383, "", "1")),
		text("a node with a socket", slots(0, 16383, "/var/run/a", "1")),
		text("a node with a huge port", slots(0, 16383, "127.0.0.1", "999999")),
		text("10000 nodes", manyNodes(10000)),
	)
	in("sentinel", "", some("error", "empty array", "null", "10^15 elements", "arrays in arrays", "endless line", "silence", "nothing", "HTTP", "pushes")...)
	in("sentinel", "SENTINEL", some("status", "integer", "bulk string", "empty array", "array of an integer", "array of arrays",
		"array of nulls", "array of errors", "map", "10^15 elements in an array", "cut in an array", "silence in an array")...)
	in("sentinel", "SENTINEL",
		text("three texts", bulks("127.0.0.1", "1", "2")),
		text("empty texts", bulks("", "")),
		text("a socket", bulks("/var/run/a", "1")),
		text("no port", bulks("127.0.0.1", "http")),
		text("a huge text", bulks(strings.Repeat("a", 1<<19), "1")),
	)
	for _, a := range some("status", "error", "null", "array of nulls", "10^15 elements", "large arrays in arrays", "endless line", "silence", "nothing", "HTTP") {
		cases = append(cases, oneCase{"sentinel", a, true})
	}
	t.Logf("%d cases", len(cases))
	name := func(c oneCase) string {
		name := c.topology + " " + c.when + " " + c.name
		if c.behind {
			name += " of the master"
		}
		return name
	}
	atOnce(t, cases, name, func(t *testing.T, c oneCase) {
		h := startHostile(t, &c.wrongReply)
		seed := h
		if c.behind {
			seed = startHostile(t, nil)
			seed.master = h.addr()
		}
		s := open(t, seed.addr(), brief, topologies[c.topology])
		a := s.account("a")
		reported := func() bool { return readEvents(s.events, func() bool { return len(s.states) > 0 }) }
		for end := time.Now().Add(500 * time.Millisecond); !reported() && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
		wantMiss(t, a)
		if err := a.Flush(t.Context()); err == nil {
			t.Error("Flush has succeeded")
		}
		wantClosed(t, s)
		readEvents(s.events, func() any {
			for i, up := range s.states {
				if up {
					t.Error("reported that it is up")
				} else if text := s.errs[i].Error(); len(text) > 2*maxLine {
					t.Errorf("the reason has %d bytes", len(text))
				} else if c.when == "" && !c.behind {
					t.Log(text[:min(len(text), 100)])
				}
			}
			return nil
		})
	})
}

// manyNodes returns a reply to CLUSTER SLOTS with one range that has many nodes.
func manyNodes(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*1\r\n*%d\r\n:0\r\n:16383\r\n", n+2)
	for i := range n {
		fmt.Fprintf(&b, "*2\r\n+127.0.0.1\r\n:%d\r\n", 50000+i)
	}
	return b.String()
}

// wantMiss fails if there is a token.
func wantMiss(t *testing.T, a *accountStore) {
	t.Helper()
	start := time.Now()
	_, found, _, err := a.Get(t.Context(), "u", "ios")
	if d := time.Since(start); found || d > hostileTimeout+4*slack {
		t.Errorf("Get = %v, %v after %s", found, err, d)
	}
}
