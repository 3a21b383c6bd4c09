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
	// requestQuiet is how long a client is silent once its request is complete.
	requestQuiet = 20 * time.Millisecond

	dialTimeout = 10 * time.Second
	bufferSize  = 32 << 10
)

// conn is a client's connection and the one to the service that belongs to it.
type conn struct {
	proxy  *Proxy
	client *net.TCPConn
	done   chan struct{} // closed by end

	mu        sync.Mutex
	service   *net.TCPConn // nil until the client has said something
	closed    bool         // end was called
	fault     Fault
	changed   chan struct{} // closed when there is another fault
	passed    int           // bytes of answers since the fault was set
	dead      bool          // a Hang has swallowed something
	inRequest bool          // the client speaks, or waits for its answer
}

func newConn(p *Proxy, client *net.TCPConn) *conn {
	return &conn{proxy: p, client: client, done: make(chan struct{}), changed: make(chan struct{})}
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

// serve passes everything on until both sides have ended.
func (c *conn) serve() {
	var answers sync.WaitGroup
	if c.copyRequests(&answers) {
		answers.Wait()
	}
	c.close()
	answers.Wait()
}

// copyRequests passes on what the client says. It returns whether the service is
// to be heard out.
func (c *conn) copyRequests(answers *sync.WaitGroup) bool {
	buf := make([]byte, bufferSize)
	for {
		n, err := c.client.Read(buf)
		if n > 0 && !c.forwardRequest(buf[:n], answers) {
			return false
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			// Set by ResetSent: the request is complete.
			if f, _ := c.currentFault(); f.Kind == ResetSent {
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

// forwardRequest deals with a part of a request. It returns false if the connection
// ends there.
func (c *conn) forwardRequest(b []byte, answers *sync.WaitGroup) bool {
	c.mu.Lock()
	if !c.inRequest {
		c.inRequest = true
		c.proxy.requests.Add(1)
	}
	c.mu.Unlock()

	f, _ := c.faultForData()
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
		_ = c.client.SetReadDeadline(time.Now().Add(requestQuiet))
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
	if c.closed {
		_ = service.Close()
		return false
	}
	c.service = service.(*net.TCPConn)
	answers.Go(c.copyResponses)
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

// copyResponses passes on what the service says.
func (c *conn) copyResponses() {
	defer c.close()
	buf := make([]byte, bufferSize)
	for {
		n, err := c.service.Read(buf)
		if n > 0 && !c.forwardResponse(buf[:n]) || err != nil {
			return
		}
	}
}

// forwardResponse deals with a part of an answer. It returns false if the connection
// ends there.
func (c *conn) forwardResponse(b []byte) bool {
	c.mu.Lock()
	c.inRequest = false
	c.mu.Unlock()

	if f, changed := c.currentFault(); f.Delay > 0 && !c.wait(f.Delay, changed) {
		return false
	}
	for len(b) > 0 {
		f, changed := c.faultForData()
		left := len(b)
		switch f.Kind {
		case Hang:
			return true
		case ResetBefore, ResetSent:
			c.reset() // the fault came when the request was on its way already
			return false
		case Reset, Cut:
			if left = min(left, f.After-c.addPassed(0)); left <= 0 {
				c.endWith(f.Kind)
				return false
			}
		}
		if f.Slice > 0 {
			left = min(left, 1+rand.IntN(f.Slice))
		}
		passed := c.addPassed(left) // before the client can see them and set another fault
		if _, err := c.client.Write(b[:left]); err != nil {
			return false
		}
		b = b[left:]
		if (f.Kind == Reset || f.Kind == Cut) && passed >= f.After {
			c.endWith(f.Kind)
			return false
		}
		if f.Slice > 0 && !c.wait(f.Pause, changed) {
			return false
		}
	}
	return true
}

// currentFault is the fault that applies now, until changed is closed.
func (c *conn) currentFault() (f Fault, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return Fault{Kind: Hang}, c.changed
	}
	return c.fault, c.changed
}

// faultForData is state for bytes on their way: a Hang swallows them, and what comes
// later makes no sense to anybody.
func (c *conn) faultForData() (f Fault, changed <-chan struct{}) {
	f, changed = c.currentFault()
	if f.Kind == Hang {
		c.mu.Lock()
		c.dead = true
		c.mu.Unlock()
	}
	return f, changed
}

// addPassed adds to the bytes that passed, and returns how many they are.
func (c *conn) addPassed(n int) int {
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
	case <-c.done:
		return false
	}
}

// endWith ends the connection after the bytes that Reset and Cut let pass.
func (c *conn) endWith(k Kind) {
	if k == Reset {
		c.reset()
		return
	}
	c.close()
}

// reset ends the client's connection with a TCP RST.
func (c *conn) reset() {
	_ = c.client.SetLinger(0)
	c.close()
}

// close ends both connections.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	close(c.done)
	_ = c.client.Close()
	if c.service != nil {
		_ = c.service.Close()
	}
}
