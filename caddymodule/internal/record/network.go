package record

import (
	"crypto/tls"
	"net/http/httptrace"
	"time"
)

// Network is how a call got to the service, as far as it did.
type Network struct {
	Host string // whom the URL names

	// Addresses are what a name was found to be: of Host, or of the proxy.
	// There are none if no name was looked up.
	Addresses []string
	Lookup    error // why the name was not found

	Connected string // the address of the connection; empty: there was none
	Dial      error  // why there was none, at the last address that was tried

	TLS       *tls.ConnectionState // nil: no handshake ended well
	Handshake error                // why not

	// Failure is the transport's own error. It is for decisions: its text may
	// quote what must not be printed.
	Failure error

	Date time.Time // the service's clock, in whole seconds; zero: it did not say
}

// trace notes what happens to the connection of a call.
func (r *Recorder) trace(c *Call) *httptrace.ClientTrace {
	n := &c.Network
	return &httptrace.ClientTrace{
		DNSDone: func(info httptrace.DNSDoneInfo) {
			r.note(func() {
				n.Lookup = info.Err
				for _, a := range info.Addrs {
					n.Addresses = append(n.Addresses, a.String())
				}
			})
		},
		ConnectDone: func(_, address string, err error) {
			r.note(func() {
				switch {
				case err == nil:
					n.Connected, n.Dial = address, nil
				case n.Connected == "":
					n.Dial = err
				}
			})
		},
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			r.note(func() {
				if n.Handshake = err; err == nil {
					n.TLS = &state
				}
			})
		},
		GotConn: func(info httptrace.GotConnInfo) {
			r.note(func() {
				n.Connected, n.Dial = info.Conn.RemoteAddr().String(), nil
				if conn, ok := info.Conn.(*tls.Conn); ok && n.TLS == nil { // one that was there before
					state := conn.ConnectionState()
					n.TLS = &state
				}
			})
		},
	}
}
