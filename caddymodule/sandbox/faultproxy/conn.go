package faultproxy

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// wholeRequest is how long a client is silent once its request is complete.
	wholeRequest = 20 * time.Millisecond

	dialTimeout = 10 * time.Second
	bufferSize  = 32 << 10
)

// conn is a client's connection and the one to the service that belongs to it.
type conn struct {
	proxy  *Proxy
	client *net.TCPConn
	ended  chan struct{} // closed by end

	mu      sync.Mutex
	service *net.TCPConn // nil until the client has said something
	over    bool         // end was called
	fault   Fault
	changed chan struct{} // closed when there is another fault
	passed  int           // bytes of answers since the fault was set
	dead    bool          // a Hang has swallowed something
	asked   bool          // the client speaks, or waits for its answer
}

func newConn(p *Proxy, client *net.TCPConn) *conn {
	return &conn{proxy: p, client: client, ended: make(chan struct{}), changed: make(chan struct{})}
}

// set gives the connection a fault.
func (c *conn) set(f Fault) {
	c.mu.Lock()
	c.fault, c.passed = f, 0
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	if f.Kind == Refuse {
		c.reset()
	}
}

// run passes everything on until both sides have ended.
func (c *conn) run() {
	var answers sync.WaitGroup
	if c.requests(&answers) {
		answers.Wait()
	}
	c.end()
	answers.Wait()
}

// requests passes on what the client says. It returns whether the service is
// to be heard out.
func (c *conn) requests(answers *sync.WaitGroup) bool {
	buf := make([]byte, bufferSize)
	for {
		n, err := c.client.Read(buf)
		if n > 0 && !c.request(buf[:n], answers) {
			return false
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			// Set by ResetSent: the request is complete.
			if f, _ := c.state(); f.Kind == ResetSent {
				_ = c.client.SetLinger(0)
				_ = c.client.Close()
				return true
			}
			_ = c.client.SetReadDeadline(time.Time{})
		default:
			return c.closeWrite()
		}
	}
}

// request deals with a part of a request. It returns false if the connection
// ends there.
func (c *conn) request(b []byte, answers *sync.WaitGroup) bool {
	c.mu.Lock()
	if !c.asked {
		c.asked = true
		c.proxy.requests.Add(1)
	}
	c.mu.Unlock()

	f, _ := c.meet()
	switch f.Kind {
	case Hang:
		return true
	case ResetBefore:
		c.reset()
		return false
	}
	if c.service == nil && !c.dial(answers) { // no other goroutine writes it
		return false
	}
	if _, err := c.service.Write(b); err != nil {
		return false
	}
	if f.Kind == ResetSent {
		_ = c.client.SetReadDeadline(time.Now().Add(wholeRequest))
	}
	return true
}

// dial connects to the service and begins to listen to it. If nobody is there
// the client sees a reset, as from a proxy that died.
func (c *conn) dial(answers *sync.WaitGroup) bool {
	dialer := net.Dialer{Timeout: dialTimeout}
	service, err := dialer.DialContext(context.Background(), "tcp", c.proxy.service)
	if err != nil {
		c.reset()
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		_ = service.Close()
		return false
	}
	c.service = service.(*net.TCPConn)
	answers.Go(c.answers)
	return true
}

// closeWrite tells the service that the client has nothing more to say. It
// returns false if the service would not answer anyway.
func (c *conn) closeWrite() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.service == nil || c.dead {
		return false
	}
	return c.service.CloseWrite() == nil
}

// answers passes on what the service says.
func (c *conn) answers() {
	defer c.end()
	buf := make([]byte, bufferSize)
	for {
		n, err := c.service.Read(buf)
		if n > 0 && !c.answer(buf[:n]) || err != nil {
			return
		}
	}
}

// answer deals with a part of an answer. It returns false if the connection
// ends there.
func (c *conn) answer(b []byte) bool {
	c.mu.Lock()
	c.asked = false
	c.mu.Unlock()

	if f, changed := c.state(); f.Delay > 0 && !c.wait(f.Delay, changed) {
		return false
	}
	for len(b) > 0 {
		f, changed := c.meet()
		left := len(b)
		switch f.Kind {
		case Hang:
			return true
		case ResetBefore, ResetSent:
			c.reset() // the fault came when the request was on its way already
			return false
		case Reset, Cut:
			if left = min(left, f.After-c.count(0)); left <= 0 {
				c.stop(f.Kind)
				return false
			}
		}
		if f.Slice > 0 {
			left = min(left, 1+rand.IntN(f.Slice))
		}
		passed := c.count(left) // before the client can see them and set another fault
		if _, err := c.client.Write(b[:left]); err != nil {
			return false
		}
		b = b[left:]
		if (f.Kind == Reset || f.Kind == Cut) && passed >= f.After {
			c.stop(f.Kind)
			return false
		}
		if f.Slice > 0 && !c.wait(f.Pause, changed) {
			return false
		}
	}
	return true
}

// state is the fault that applies now, until changed is closed.
func (c *conn) state() (f Fault, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return Fault{Kind: Hang}, c.changed
	}
	return c.fault, c.changed
}

// meet is state for bytes on their way: a Hang swallows them, and what comes
// later makes no sense to anybody.
func (c *conn) meet() (f Fault, changed <-chan struct{}) {
	f, changed = c.state()
	if f.Kind == Hang {
		c.mu.Lock()
		c.dead = true
		c.mu.Unlock()
	}
	return f, changed
}

// count adds to the bytes that passed, and returns how many they are.
func (c *conn) count(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed += n
	return c.passed
}

// wait waits, but not for a fault that is over. It returns false if the
// connection ends meanwhile.
func (c *conn) wait(d time.Duration, changed <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-changed:
		return true
	case <-c.ended:
		return false
	}
}

// stop ends the connection after the bytes that Reset and Cut let pass.
func (c *conn) stop(k Kind) {
	if k == Reset {
		c.reset()
		return
	}
	c.end()
}

// reset ends the client's connection with a TCP RST.
func (c *conn) reset() {
	_ = c.client.SetLinger(0)
	c.end()
}

// end ends both connections.
func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over = true
	close(c.ended)
	_ = c.client.Close()
	if c.service != nil {
		_ = c.service.Close()
	}
}
