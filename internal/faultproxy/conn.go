package faultproxy

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

const (
	dialTimeout = 10 * time.Second // for connecting to the service
	bufferSize  = 32 << 10         // in bytes, per direction
)

// conn is a connection of a client with the corresponding connection to the service.
type conn struct {
	proxy  *Proxy
	client *net.TCPConn
	done   chan struct{} // closed by the method close

	mu        sync.Mutex
	service   *net.TCPConn // nil until data from the client is forwarded
	closed    bool         // the method close was called
	fault     Fault
	changed   chan struct{} // closed and replaced when the fault changes
	passed    int           // bytes of responses since the fault was set
	dead      bool          // data was discarded by Hang
	inRequest bool          // a request was received, but no response to it
}

// newConn returns a connection of a client, without a fault.
func newConn(p *Proxy, client *net.TCPConn) *conn {
	return &conn{proxy: p, client: client, done: make(chan struct{}), changed: make(chan struct{})}
}

// set sets the fault of the connection.
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

// serve forwards data in both directions until both sides have closed.
func (c *conn) serve() {
	var responses sync.WaitGroup
	if c.copyRequests(&responses) {
		responses.Wait()
	}
	c.close()
	responses.Wait()
}

// copyRequests forwards data from the client until it closes the connection or a fault
// does. It returns whether data from the service is still to be forwarded.
func (c *conn) copyRequests(responses *sync.WaitGroup) bool {
	buf := make([]byte, bufferSize)
	for {
		n, err := c.client.Read(buf)
		if n > 0 && !c.forwardRequest(buf[:n], responses) {
			return false
		}
		if err != nil {
			return c.closeWrite()
		}
	}
}

// forwardRequest forwards a part of a request, according to the fault. It returns false
// if the connection is to be closed.
func (c *conn) forwardRequest(b []byte, responses *sync.WaitGroup) bool {
	c.mu.Lock()
	if !c.inRequest {
		c.inRequest = true
		c.proxy.requests.Add(1)
	}
	c.mu.Unlock()

	if f, _ := c.faultForData(); f.Kind == Hang {
		return true
	}
	if c.service == nil && !c.dial(responses) { // only this goroutine sets c.service
		return false
	}
	_, err := c.service.Write(b)
	return err == nil
}

// dial connects to the service and starts to forward its responses. If it cannot connect,
// it resets the connection of the client and returns false.
func (c *conn) dial(responses *sync.WaitGroup) bool {
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
	responses.Go(c.copyResponses)
	return true
}

// closeWrite closes the sending side of the connection to the service. It returns false
// if no response is to be expected.
func (c *conn) closeWrite() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.service == nil || c.dead {
		return false
	}
	return c.service.CloseWrite() == nil
}

// copyResponses forwards data from the service until it closes the connection or a fault
// does.
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

// forwardResponse forwards a part of a response, according to the fault. It returns false
// if the connection is to be closed.
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
		case Reset, Cut:
			if left = min(left, f.After-c.addPassed(0)); left <= 0 {
				c.endWith(f.Kind)
				return false
			}
		}
		if f.Slice > 0 {
			left = min(left, 1+rand.IntN(f.Slice))
		}
		passed := c.addPassed(left) // before the client receives them and may set another fault
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

// currentFault returns the fault that applies until changed is closed.
func (c *conn) currentFault() (f Fault, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return Fault{Kind: Hang}, c.changed
	}
	return c.fault, c.changed
}

// faultForData is currentFault for data that is about to be forwarded or discarded. If
// the fault is Hang, it marks the connection as dead, since later data is incomplete.
func (c *conn) faultForData() (f Fault, changed <-chan struct{}) {
	f, changed = c.currentFault()
	if f.Kind == Hang {
		c.mu.Lock()
		c.dead = true
		c.mu.Unlock()
	}
	return f, changed
}

// addPassed adds n to the number of forwarded bytes and returns the sum.
func (c *conn) addPassed(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed += n
	return c.passed
}

// wait waits for d or until the fault changes. It returns false if the connection is
// closed meanwhile.
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

// endWith resets or closes the connection, according to the kind Reset or Cut.
func (c *conn) endWith(k Kind) {
	if k == Reset {
		c.reset()
		return
	}
	c.close()
}

// reset closes the client's connection with a TCP RST, and the service's.
func (c *conn) reset() {
	_ = c.client.SetLinger(0)
	c.close()
}

// close closes both connections. Further calls do nothing.
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
