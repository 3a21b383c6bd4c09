package rediscache

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
)

// hostile is a server that can answer what no Redis server answers. Without a lie it
// answers as a Redis server does that has no keys: a standalone server, the one node
// of a cluster, or a sentinel whose master it is.
type hostile struct {
	l      net.Listener
	master string // host and port, for sentinels
	ends   sync.WaitGroup
	lie    atomic.Pointer[lie]
	words  atomic.Pointer[string] // replaces the reply to HMGET

	mu    sync.Mutex
	conns map[net.Conn]bool // whether it is subscribed
	asked map[string]int    // by command, how often
}

// lie is a wrong answer.
type lie struct {
	moment  string // the command that gets it; "" is every command
	text    string
	endless bool // the text is repeated until the client closes the connection
	ends    bool // the server closes the connection afterwards
}

// bulks returns an array of bulk strings.
func bulks(texts ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(texts))
	for _, text := range texts {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(text), text)
	}
	return b.String()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// startHostile starts a server with a lie; nil is none.
func startHostile(t testing.TB, l *lie) *hostile {
	t.Helper()
	return serveHostile(t, listen(t), l)
}

func serveHostile(t testing.TB, listener net.Listener, l *lie) *hostile {
	h := &hostile{l: listener, master: listener.Addr().String(), conns: make(map[net.Conn]bool), asked: make(map[string]int)}
	h.lie.Store(l)
	h.ends.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns[c] = false
			h.mu.Unlock()
			h.ends.Go(func() { h.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		h.mu.Lock()
		for c := range h.conns {
			_ = c.Close()
		}
		h.mu.Unlock()
		h.ends.Wait()
	})
	return h
}

func (h *hostile) addr() string { return h.l.Addr().String() }

// count is how often a command was received.
func (h *hostile) count(command string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked[command]
}

// push sends something to all subscribers that they have not asked for.
func (h *hostile) push(l lie) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c, subscribed := range h.conns {
		if subscribed {
			h.ends.Go(func() { l.tell(c) })
		}
	}
}

// tell sends a lie; it reports whether more can be sent.
func (l *lie) tell(c net.Conn) bool {
	for {
		if _, err := io.WriteString(c, l.text); err != nil {
			return false
		}
		if !l.endless {
			break
		}
	}
	if l.ends {
		_ = c.Close()
	}
	return !l.ends
}

func (h *hostile) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		h.mu.Lock()
		delete(h.conns, c)
		h.mu.Unlock()
	}()
	for r := bufio.NewReader(c); ; {
		words, err := readCommand(r)
		if err != nil {
			return
		}
		command := strings.ToUpper(words[0])
		reply := h.reply(c, command, words)
		if l := h.lie.Load(); l != nil && (l.moment == "" || l.moment == command) {
			if !l.tell(c) {
				return
			}
			continue
		}
		if _, err := io.WriteString(c, reply); err != nil {
			return
		}
	}
}

// readCommand reads an array of bulk strings.
func readCommand(r *bufio.Reader) (words []string, err error) {
	length := func() (n int) {
		line, readErr := r.ReadString('\n')
		if err = readErr; err == nil {
			n, err = strconv.Atoi(strings.TrimSpace(line[1:]))
		}
		return n
	}
	for range length() {
		b := make([]byte, length()+2)
		if err == nil {
			_, err = io.ReadFull(r, b)
		}
		if err != nil {
			return nil, err
		}
		words = append(words, string(b[:len(b)-2]))
	}
	if err == nil && len(words) == 0 {
		err = io.ErrUnexpectedEOF
	}
	return words, err
}

// reply is what a Redis server replies.
func (h *hostile) reply(c net.Conn, command string, words []string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked[command]++
	switch command {
	case "HELLO":
		return "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:2\r\n"
	case "PING":
		if h.conns[c] {
			return bulks("pong", "")
		}
		return "+PONG\r\n"
	case "SUBSCRIBE":
		h.conns[c] = true
		return "*3\r\n$9\r\nsubscribe\r\n$" + strconv.Itoa(len(words[1])) + "\r\n" + words[1] + "\r\n:1\r\n"
	case "EVALSHA", "EVAL", "UNLINK", "PUBLISH":
		return ":1\r\n"
	case "HMGET":
		if words := h.words.Load(); words != nil {
			return *words
		}
		return "*2\r\n$-1\r\n$-1\r\n"
	case "GET":
		return "$-1\r\n"
	case "SCAN":
		return "*2\r\n$1\r\n0\r\n" + bulks("a", "b")
	case "CLUSTER":
		host, port, _ := net.SplitHostPort(h.addr())
		return slots(0, 16383, host, port)
	case "SENTINEL":
		host, port, _ := net.SplitHostPort(h.master)
		return bulks(host, port)
	case "COMMAND":
		return "*0\r\n"
	}
	return "+OK\r\n"
}

// slots is a reply to CLUSTER SLOTS with one range that one node has.
func slots(first, last int, host, port string) string {
	return fmt.Sprintf("*1\r\n*3\r\n:%d\r\n:%d\r\n*2\r\n$%d\r\n%s\r\n:%s\r\n", first, last, len(host), host, port)
}

// answer is a wrong answer with a name.
type answer struct {
	name string
	lie
}

func text(name, text string) answer { return answer{name, lie{text: text}} }

// wrong are answers that are wrong whatever was asked.
var wrong = []answer{
	// The types of RESP2, none of which is what HELLO is answered with.
	text("status", "+OK\r\n"),
	text("empty status", "+\r\n"),
	text("error", "-ERR no\r\n"),
	text("empty error", "-\r\n"),
	text("integer", ":7\r\n"),
	text("no integer", ":seven\r\n"),
	text("huge integer", ":99999999999999999999\r\n"),
	text("bulk string", "$3\r\nabc\r\n"),
	text("empty bulk string", "$0\r\n\r\n"),
	text("null", "$-1\r\n"),
	text("null array", "*-1\r\n"),
	text("empty array", "*0\r\n"),
	text("array of an integer", "*1\r\n:7\r\n"),
	text("array of arrays", "*2\r\n*2\r\n:1\r\n:2\r\n*0\r\n"),
	text("array of nulls", "*3\r\n$-1\r\n*-1\r\n$-1\r\n"),
	text("array of errors", "*2\r\n-ERR a\r\n-MOVED 1 127.0.0.1:1\r\n"),

	// Those of RESP3.
	text("map", "%1\r\n+a\r\n+b\r\n"),
	text("map of a map", "%1\r\n%1\r\n+a\r\n+b\r\n+c\r\n"),
	text("set", "~1\r\n+a\r\n"),
	text("push", ">2\r\n+message\r\n+a\r\n"),
	text("attribute", "|1\r\n+a\r\n+b\r\n"),
	text("null of RESP3", "_\r\n"),
	text("boolean", "#t\r\n"),
	text("float", ",inf\r\n"),
	text("big number", "("+strings.Repeat("9", 1000)+"\r\n"),
	text("verbatim", "=2\r\nab\r\n"),
	text("blob error", "!3\r\nERR\r\n"),
	text("streamed string", "$?\r\n;4\r\nabcd\r\n;0\r\n"),

	// Lengths.
	text("200 GB", "$200000000000\r\nabc"),
	text("200 GB with zeros before", "$"+strings.Repeat("0", 40)+"200000000000\r\nabc"),
	text("200 GB with a sign", "$+200000000000\r\n"),
	text("more than an int64", "$99999999999999999999\r\n"),
	text("negative length", "$-2\r\n"),
	text("no length", "$\r\n"),
	text("10^15 elements", "*999999999999999\r\n"),
	text("10^15 elements with zeros before", "*"+strings.Repeat("0", 40)+"999999999999999\r\n"),
	text("negative number of elements", "*-5\r\n"),
	text("10^15 elements of a map", "%999999999999999\r\n"),
	text("300000 elements of a map", "%300000\r\n"),
	text("10^15 elements of a push", ">999999999999999\r\n"),
	text("10^15 elements in an array", "*1\r\n*999999999999999\r\n"),

	// Much, without an announcement.
	{"arrays in arrays", lie{text: strings.Repeat("*1\r\n", 1<<10), endless: true}},
	{"large arrays in arrays", lie{text: strings.Repeat("*32768\r\n", 1<<10), endless: true}},
	{"maps in maps", lie{text: strings.Repeat("%1\r\n", 1<<10), endless: true}},
	{"attributes", lie{text: strings.Repeat("|0\r\n", 1<<10), endless: true}},
	{"pushes", lie{text: strings.Repeat(">1\r\n+a\r\n", 1<<10), endless: true}},
	{"endless line", lie{text: strings.Repeat("x", 4<<10), endless: true}},
	{"endless status", lie{text: "+" + strings.Repeat("x", 4<<10), endless: true}},
	{"endless integer", lie{text: ":" + strings.Repeat("1", 4<<10), endless: true}},
	{"endless answers", lie{text: strings.Repeat("+OK\r\n", 1<<10), endless: true}},

	// Cut.
	{"nothing", lie{ends: true}},
	{"cut in a line", lie{text: "*", ends: true}},
	{"cut in a bulk string", lie{text: "$10\r\nabc", ends: true}},
	{"cut in an array", lie{text: "*2\r\n$1\r\na\r\n", ends: true}},
	{"cut in an end", lie{text: "$1\r\na\r", ends: true}},
	text("silence", ""),
	text("silence in a bulk string", "$10\r\nabc"),
	text("silence in an array", "*2\r\n$1\r\na\r\n"),

	// Redirections.
	text("MOVED without an address", "-MOVED\r\n"),
	text("MOVED without a slot", "-MOVED \r\n"),
	text("MOVED to an empty address", "-MOVED 1 \r\n"),
	text("MOVED to no address", "-MOVED 1 nowhere\r\n"),
	text("MOVED to a socket", "-MOVED 1 /var/run/a.b:1\r\n"),
	text("ASK without an address", "-ASK 1\r\n"),
	text("ASK to no address", "-ASK 1 [::1\r\n"),

	// Something else.
	text("HTTP", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
	text("noise", "\x16\x03\x01\x00\xff\x00\n\xfe\x80\r\n\x00"),
	text("no carriage return", "+OK\n"),
	text("empty lines", "\r\n\r\n"),
	text("zeros", strings.Repeat("\x00", 10<<10)),
}

// some returns the wrong answers with these names.
func some(names ...string) (found []answer) {
	for _, name := range names {
		for _, a := range wrong {
			if a.name == name {
				found = append(found, a)
			}
		}
	}
	if len(found) != len(names) {
		panic("there is no answer of one of the names")
	}
	return found
}

const hostileTimeout = 100 * time.Millisecond

// topologies are ways to a server.
var topologies = map[string]func(*Config){
	"single":          func(*Config) {},
	"single with TLS": func(*Config) {}, // see TestHostile_OutOfStep
	"cluster":         func(c *Config) { c.Cluster = true },
	"sentinel":        func(c *Config) { c.MasterName = "mymaster" },
}

func brief(c *Config) { c.Timeout = hostileTimeout }

// atOnce runs cases at the same time, however many processors there are: most of
// them wait.
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
	case <-time.After(5 * time.Second):
		t.Error("Close does not return")
	}
}

// limitStacks makes a goroutine end the process that reads by recursion what a server
// sends.
var limitStacks = sync.OnceFunc(func() { debug.SetMaxStack(2 << 20) })

// TestHostile_Never: a server that has never answered as a Redis server does is not
// used.
func TestHostile_Never(t *testing.T) {
	t.Parallel()
	limitStacks()
	type oneCase struct {
		topology string
		answer
		behind bool // the sentinel is a good one, and the master answers wrongly
	}
	var cases []oneCase
	for _, a := range wrong {
		cases = append(cases, oneCase{"single", a, false})
	}
	in := func(topology, moment string, answers ...answer) {
		for _, a := range answers {
			a.moment = moment
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
		name := c.topology + " " + c.moment + " " + c.name
		if c.behind {
			name += " of the master"
		}
		return name
	}
	atOnce(t, cases, name, func(t *testing.T, c oneCase) {
		h := startHostile(t, &c.lie)
		seed := h
		if c.behind {
			seed = startHostile(t, nil)
			seed.master = h.addr()
		}
		s := open(t, seed.addr(), brief, topologies[c.topology])
		a := s.account("a")
		told := func() bool { return look(s.events, func() bool { return len(s.states) > 0 }) }
		for end := time.Now().Add(500 * time.Millisecond); !told() && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
		wantMiss(t, a)
		if err := a.Flush(t.Context()); err == nil {
			t.Error("Flush has succeeded")
		}
		wantClosed(t, s)
		look(s.events, func() any {
			for i, up := range s.states {
				if up {
					t.Error("told that it is up")
				} else if text := s.errs[i].Error(); len(text) > 2*maxLine {
					t.Errorf("the reason has %d bytes", len(text))
				} else if c.moment == "" && !c.behind {
					t.Log(text[:min(len(text), 100)])
				}
			}
			return nil
		})
	})
}

// manyNodes is a reply to CLUSTER SLOTS with one range that has many nodes.
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
	if d := time.Since(start); found || d > hostileTimeout+4*noise {
		t.Errorf("Get = %v, %v after %s", found, err, d)
	}
}

// TestHostile_Later: a server that is used, and then answers wrongly.
func TestHostile_Later(t *testing.T) {
	t.Parallel()
	limitStacks()
	type oneCase struct {
		topology string
		answer
	}
	var cases []oneCase
	at := func(moment, topology string, answers ...answer) {
		for _, a := range answers {
			a.moment = moment
			cases = append(cases, oneCase{topology, a})
		}
	}
	much := some("10^15 elements", "arrays in arrays", "endless line", "200 GB with zeros before")
	at("HMGET", "single", append(much, some("status", "integer", "null", "null array", "empty array", "array of an integer",
		"array of arrays", "array of nulls", "array of errors", "map", "push", "cut in an array", "silence in an array")...)...)
	at("HMGET", "single",
		text("integers", "*2\r\n:1\r\n:2\r\n"),
		text("a list as the value", "*2\r\n$-1\r\n*1\r\n+a\r\n"),
		text("a text as the value", bulks("", "hello")),
		text("two answers", "*2\r\n$-1\r\n$-1\r\n*2\r\n$-1\r\n$-1\r\n"),
		text("MOVED", "-MOVED 1 127.0.0.1:1\r\n"),
	)
	at("HMGET", "cluster", append(much, some("null", "empty array", "array of errors", "MOVED without an address", "MOVED to an empty address",
		"MOVED to no address", "MOVED to a socket", "ASK without an address", "ASK to no address")...)...)
	at("HMGET", "sentinel", some("10^15 elements", "array of errors", "cut in an array", "noise")...)
	at("EVALSHA", "single", append(much, some("status", "bulk string", "null", "empty array", "array of an integer", "huge integer",
		"no integer", "map", "boolean", "nothing", "silence")...)...)
	at("EVALSHA", "single", text("NOSCRIPT", "-NOSCRIPT \r\n"))
	at("EVALSHA", "cluster", some("array of an integer", "MOVED to no address", "ASK to no address", "nothing")...)
	at("GET", "single", append(much, some("integer", "empty array", "array of an integer", "map", "silence in a bulk string", "nothing")...)...)
	at("SET", "single", append(much, some("integer", "empty array", "null array", "boolean", "silence", "nothing")...)...)
	at("SCAN", "single", append(much, some("status", "null", "empty array", "array of an integer", "array of arrays", "array of nulls",
		"array of errors", "cut in an array")...)...)
	at("SCAN", "single",
		text("no cursor", "*2\r\n+a\r\n*0\r\n"),
		text("a negative cursor", "*2\r\n:-1\r\n*0\r\n"),
		text("keys that are null", "*2\r\n:0\r\n*-1\r\n"),
		text("keys that are lists", "*2\r\n:0\r\n*1\r\n*0\r\n"),
	)
	at("SCAN", "cluster", some("array of arrays", "nothing")...)
	at("UNLINK", "single", some("status", "empty array", "array of an integer", "10^15 elements", "nothing")...)
	at("PUBLISH", "single", some("status", "empty array", "null", "10^15 elements", "nothing")...)
	at("CLUSTER", "cluster", some("status", "empty array", "array of arrays", "10^15 elements in an array", "nothing")...)
	at("SENTINEL", "sentinel", some("null", "array of an integer", "nothing")...)
	t.Logf("%d cases", len(cases))
	atOnce(t, cases, func(c oneCase) string { return c.topology + " " + c.moment + " " + c.name }, func(t *testing.T, c oneCase) {
		h := startHostile(t, nil)
		s := ready(t, h.addr(), brief, topologies[c.topology])
		a, l := s.account("a"), s.locks("s")
		h.lie.Store(&c.lie)
		start := time.Now()
		var err error
		switch c.moment {
		case "HMGET":
			wantMiss(t, a)
		case "EVALSHA":
			var kept bool
			if kept, err = a.Put(t.Context(), "u", "ios", storetest.RecordOf("t", time.Minute), "", false); kept && c.name != "NOSCRIPT" {
				t.Error("it is kept")
			}
			_ = a.Evict(t.Context(), "u")
			_ = l.Unhold(t.Context(), "u")
		case "GET", "SET":
			var lock exchange.SignUpLock
			if lock, err = l.Lock(t.Context(), "u", time.Minute); err == nil && lock.State == exchange.SignUpOurs && c.moment == "SET" {
				t.Error("the lock is ours")
			}
			_, _ = l.Peek(t.Context(), "u")
		default:
			if err = a.Flush(t.Context()); err == nil && c.topology == "single" {
				t.Error("Flush has succeeded")
			}
		}
		if d := time.Since(start); d > 3*hostileTimeout+connectTimeout+noise {
			t.Errorf("it took %s", d)
		}
		if err != nil && len(err.Error()) > 2*maxLine {
			t.Errorf("the error has %d bytes", len(err.Error()))
		}
		wantClosed(t, s)
	})
}

// TestHostile_Messages: what is sent to a subscriber is no message of another
// replica.
func TestHostile_Messages(t *testing.T) {
	t.Parallel()
	limitStacks()
	cases := append(some("status", "error", "integer", "null", "null array", "empty array", "array of an integer", "array of arrays",
		"array of nulls", "array of errors", "map", "push", "attribute", "10^15 elements", "arrays in arrays", "large arrays in arrays",
		"endless line", "nothing", "cut in an array", "silence in an array", "HTTP", "noise"),
		text("one text", bulks("message")),
		text("two texts", bulks("message", "caddy-huma:news")),
		text("a pmessage that is too short", bulks("pmessage", "a", "b")),
		text("a message that is an integer", "*3\r\n+message\r\n+caddy-huma:news\r\n:1\r\n"),
		text("a channel that is an integer", "*3\r\n+message\r\n:1\r\n+a\r\n"),
		text("a message that is a list of integers", "*3\r\n+message\r\n+caddy-huma:news\r\n*1\r\n:1\r\n"),
		text("a message of no sense", bulks("message", "caddy-huma:news", "1 a b c d")),
		text("a subscription that is counted in texts", bulks("subscribe", "a", "b")),
		text("a pong of an integer", "*2\r\n+pong\r\n:1\r\n"),
		text("an unknown kind", bulks("unknown", "a", "b")),
	)
	t.Logf("%d cases", len(cases))
	atOnce(t, cases, func(a answer) string { return a.name }, func(t *testing.T, a answer) {
		h := startHostile(t, nil)
		s := ready(t, h.addr(), brief)
		s.account("a")
		before := h.count("SUBSCRIBE")
		h.push(a.lie)
		time.Sleep(100 * time.Millisecond)
		if heard := s.all(); len(heard) > 0 {
			t.Errorf("heard %q", heard)
		}
		if again := h.count("SUBSCRIBE") - before; again > 2 {
			t.Errorf("subscribed %d more times", again)
		}
		wantClosed(t, s)
	})
}

// sealedFor returns a reply to HMGET with a token for a user.
func sealedFor(t *testing.T, s opened, a *accountStore, u exchange.UserKey) string {
	t.Helper()
	rec := storetest.RecordOf("the token of "+string(u), time.Minute)
	plain, err := rec.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed := string(s.seal.Seal(plain, a.prefix+keyOf(u), "ios"))
	return fmt.Sprintf("*2\r\n$-1\r\n$%d\r\n%s\r\n", len(sealed), sealed)
}

// TestHostile_OutOfStep: no user gets what is another one's, and a connection on which
// a reply came that was not asked for is not used again.
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
			s := ready(t, h.addr(), topology, func(c *Config) { // with much time
				c.interval = time.Minute // a look would meet what comes unasked, too
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
			if n := look(s.events, func() int { return s.unreadable }); n != 1 {
				t.Errorf("%d values were unreadable", n)
			}

			both := miss + vs // the second would be that of the next one who asks
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

// TestHostile_MovedForEver: two nodes that each name the other one.
func TestHostile_MovedForEver(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"MOVED", "ASK"} {
		a, b := startHostile(t, nil), startHostile(t, nil)
		s := ready(t, a.addr(), topologies["cluster"])
		from := func(h *hostile) *lie { return &lie{moment: "HMGET", text: "-" + word + " 1 " + h.addr() + "\r\n"} }
		asked := a.count("HMGET")
		a.lie.Store(from(b))
		b.lie.Store(from(a))
		if _, found, _, err := s.account("a").Get(t.Context(), "u", "ios"); found || err == nil {
			t.Errorf("%s: Get = %v, %v", word, found, err)
		}
		// The Store looks at the server when an operation has failed.
		if n := a.count("HMGET") + b.count("HMGET") - asked; n < maxRedirects+1 || n > 4*(maxRedirects+1) {
			t.Errorf("%s: asked %d times", word, n)
		}
		wantClosed(t, s)
	}
}

// TestHostile_Reload: the client reloads the state of a cluster in a goroutine of its
// own, where nothing recovers a panic.
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
	atOnce(t, cases, func(a answer) string { return a.name }, func(t *testing.T, a answer) {
		h := startHostile(t, nil)
		s := ready(t, h.addr(), brief, topologies["cluster"])
		a.moment = "CLUSTER"
		moved := "-MOVED 1 " + h.addr() + "\r\n"
		h.words.Store(&moved)
		h.lie.Store(&a.lie)
		before := h.count("CLUSTER")
		wantMiss(t, s.account("a"))
		eventually(t, 5*time.Second, "the state is reloaded", func() bool { return h.count("CLUSTER") > before })
		time.Sleep(50 * time.Millisecond)
		wantClosed(t, s)
	})
}

// TestHostile_ManyNodes: nodes of a cluster that are others each time take no more
// memory from some number on.
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
		t.Errorf("a node too many answers %v", err)
	}
}

// TestHostile_Command: in a cluster, too, an operation takes no longer than its
// timeout if the node does not reply to COMMAND.
func TestHostile_Command(t *testing.T) {
	t.Parallel()
	h := startHostile(t, &lie{moment: "COMMAND"})
	s := ready(t, h.addr(), brief, topologies["cluster"])
	start := time.Now()
	if _, _, _, err := s.account("a").Get(t.Context(), "u", "ios"); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > hostileTimeout+noise {
		t.Errorf("it took %s", d)
	}
	wantClosed(t, s)
}

// TestHostile_EndlessScan: a Flush ends with its context, and with the Store.
func TestHostile_EndlessScan(t *testing.T) {
	t.Parallel()
	h := startHostile(t, &lie{moment: "SCAN", text: "*2\r\n:1\r\n" + bulks("a", "b")})
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

// TestHostile_Password: a password does not come back in an error, also from a server
// that repeats what it was sent.
func TestHostile_Password(t *testing.T) {
	t.Parallel()
	const canary = "canary-password"
	for _, echo := range []string{"-ERR unknown command 'AUTH', with args beginning with: '" + canary + "'\r\n"} {
		s := open(t, startHostile(t, &lie{text: echo}).addr(), brief, func(c *Config) { c.Password = masked.New(canary) })
		eventually(t, 5*time.Second, "told that it is down", func() bool {
			return look(s.events, func() bool { return len(s.states) > 0 })
		})
		look(s.events, func() any { wantNoCanary(t, errors.Join(s.errs...), canary); return nil })
		wantClosed(t, s)
	}
}

// TestHostile_Memory: what a server announces or sends does not become memory.
func TestHostile_Memory(t *testing.T) {
	const most = 64 << 20
	limitStacks()
	cases := map[string]lie{
		"CLUSTER 10000 nodes":             {text: manyNodes(10000)},
		"CLUSTER as many nodes as may be": {text: manyNodes(maxNodes - 1)},
		"CLUSTER as many slots as fit":    {text: "*10000\r\n" + strings.Repeat("*2\r\n:0\r\n:1\r\n", 10000)},
		"HMGET the largest text":          {text: "*2\r\n$-1\r\n$1048576\r\n" + strings.Repeat("x", maxText) + "\r\n"},
		"HMGET texts that are too long":   {text: "*32768\r\n" + strings.Repeat("$1048576\r\n"+strings.Repeat("x", maxText)+"\r\n", 5)},
	}
	for _, a := range some("200 GB", "200 GB with zeros before", "10^15 elements", "10^15 elements in an array", "300000 elements of a map",
		"arrays in arrays", "large arrays in arrays", "maps in maps", "attributes", "pushes", "endless line", "endless status", "endless integer") {
		cases["HMGET "+a.name] = a.lie
	}
	for name, l := range cases {
		h := startHostile(t, nil)
		topology := "single"
		if l.moment, _, _ = strings.Cut(name, " "); l.moment == "CLUSTER" {
			topology = "cluster"
		}
		s := ready(t, h.addr(), brief, topologies[topology])
		a := s.account("a")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		h.lie.Store(&l)
		if l.moment == "CLUSTER" {
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

// TestHostile_SubscribeAgain: a server that ends each subscription at once is not
// subscribed to in a busy loop.
func TestHostile_SubscribeAgain(t *testing.T) {
	t.Parallel()
	h := startHostile(t, &lie{moment: "SUBSCRIBE", text: "*3\r\n+subscribe\r\n+caddy-huma:news\r\n:1\r\n*0\r\n"})
	s := ready(t, h.addr(), brief)
	time.Sleep(300 * time.Millisecond)
	if n := h.count("SUBSCRIBE"); n > int(300*time.Millisecond/s.config.interval)+2 {
		t.Errorf("subscribed %d times", n)
	}
	wantClosed(t, s)
}
