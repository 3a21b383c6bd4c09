package rediscache

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// hostileServer is a server that can send replies that no Redis server sends. Without a
// wrong reply, it replies like a Redis server without keys: a standalone server, the one node of a
// cluster, or a sentinel whose master it is.
type hostileServer struct {
	l      net.Listener
	master string // host and port, for sentinels
	ends   sync.WaitGroup
	wrong  atomic.Pointer[wrongReply]
	words  atomic.Pointer[string] // replaces the reply to HMGET

	mu       sync.Mutex
	conns    map[net.Conn]bool // true if the connection is subscribed
	commands map[string]int    // number of calls by command
}

// wrongReply is a reply that a server must not send.
type wrongReply struct {
	when    string // the command that gets it; "" means every command
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

// startHostile starts a server with a wrong reply; nil means none.
func startHostile(t testing.TB, l *wrongReply) *hostileServer {
	t.Helper()
	return serveHostile(t, listen(t), l)
}

func serveHostile(t testing.TB, listener net.Listener, l *wrongReply) *hostileServer {
	h := &hostileServer{l: listener, master: listener.Addr().String(), conns: make(map[net.Conn]bool), commands: make(map[string]int)}
	h.wrong.Store(l)
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

func (h *hostileServer) addr() string { return h.l.Addr().String() }

// count returns how often a command was received.
func (h *hostileServer) count(command string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.commands[command]
}

// push sends an unrequested reply to all subscribers.
func (h *hostileServer) push(l wrongReply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c, subscribed := range h.conns {
		if subscribed {
			h.ends.Go(func() { l.send(c) })
		}
	}
}

// send sends the reply. It reports whether more can be sent.
func (l *wrongReply) send(c net.Conn) bool {
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

func (h *hostileServer) serve(c net.Conn) {
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
		if l := h.wrong.Load(); l != nil && (l.when == "" || l.when == command) {
			if !l.send(c) {
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

// reply returns the reply of a Redis server.
func (h *hostileServer) reply(c net.Conn, command string, words []string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commands[command]++
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

// slots returns a reply to CLUSTER SLOTS with one range on one node.
func slots(first, last int, host, port string) string {
	return fmt.Sprintf("*1\r\n*3\r\n:%d\r\n:%d\r\n*2\r\n$%d\r\n%s\r\n:%s\r\n", first, last, len(host), host, port)
}
