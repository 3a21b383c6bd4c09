package identity

import "net/netip"

// templateInclude is the header that Caddy's template function httpInclude sets
// (modules/caddyhttp/templates/tplcontext.go).
const templateInclude = "Caddy-Templates-Include"

// checkPeer returns the reason why the headers of the request are not trusted, or nil.
func (i *Identifier) checkPeer(r *Request) *Rejection {
	// A template that includes another page of this server requests it from a loopback
	// address, with all headers of its own request.
	if r.Header[templateInclude] != nil {
		return ErrTemplateInclude
	}
	// Before the handshake is complete, a QUIC client may claim any address.
	if r.TLS != nil && !r.TLS.HandshakeComplete {
		return ErrEarlyData
	}
	trusted := r.TrustedProxy
	if len(i.ranges) > 0 {
		trusted = i.inRanges(r.RemoteAddr)
	}
	if !trusted {
		return ErrUntrustedPeer
	}
	return nil
}

// inRanges reports whether the address of a peer is in one of the ranges.
func (i *Identifier) inRanges(remote string) bool {
	peer, ok := peerAddr(remote)
	if !ok {
		return false
	}
	for _, p := range i.ranges {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// peerAddr returns the IP address of a peer, without port and zone. An IPv4-mapped IPv6
// address is returned as IPv4.
func peerAddr(remote string) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(remote)
	if err == nil {
		return ap.Addr().WithZone("").Unmap(), true
	}
	addr, err := netip.ParseAddr(remote)
	return addr.WithZone("").Unmap(), err == nil
}
