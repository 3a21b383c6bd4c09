package record

import (
	"crypto/tls"
	"net/http/httptrace"
	"time"
)

// Network records how a call reached the service.
type Network struct {
	Host string // host of the URL

	// Addresses are the results of the DNS lookup, of Host or of the proxy. They are
	// empty if there was no lookup.
	Addresses []string
	Lookup    error // DNS error

	Connected string // address of the connection; empty: there was none
	Dial      error  // error of the last connection attempt, if none succeeded

	TLS       *tls.ConnectionState // nil: no successful handshake
	Handshake error                // error of the TLS handshake

	// Failure is the original error of the transport. Use it for decisions only: its
	// text may contain secrets.
	Failure error

	Date time.Time // Date header of the response, in whole seconds; zero: none
}

// trace records the connection of a call.
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
				if conn, ok := info.Conn.(*tls.Conn); ok && n.TLS == nil { // a reused connection
					state := conn.ConnectionState()
					n.TLS = &state
				}
			})
		},
	}
}
