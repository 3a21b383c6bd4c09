package assertion

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

// The part of the rate limit for unknown ids that one peer may use, so that a single
// client with forged tokens cannot use up the limit of all.
const (
	peerEvery = time.Second
	peerBurst = 10
	maxPeers  = 1024
)

// peerLimits are the rate limits of peers. It is not safe for concurrent use.
type peerLimits map[netip.Prefix]*rate.Limiter

// allow reports whether a peer may fetch an unknown id now. remoteAddr is its address as
// in http.Request. Peers without an IP address share one limit. If maxPeers
// peers have used their limits lately, further ones are not limited.
func (p peerLimits) allow(remoteAddr string, now time.Time) bool {
	peer := peerOf(remoteAddr)
	limit := p[peer]
	if limit == nil {
		if len(p) >= maxPeers {
			p.removeIdle(now)
		}
		if len(p) >= maxPeers {
			return true
		}
		limit = rate.NewLimiter(rate.Every(peerEvery), peerBurst)
		p[peer] = limit
	}
	return limit.AllowN(now, 1)
}

// removeIdle removes the peers whose limit is full again.
func (p peerLimits) removeIdle(now time.Time) {
	for peer, limit := range p {
		if limit.TokensAt(now) >= peerBurst {
			delete(p, peer)
		}
	}
}

// peerOf returns the IPv4 address or the IPv6 /64 of a peer, which is the smallest network
// that one client usually has (RFC 6177, section 2). It returns zero if there is none.
func peerOf(remoteAddr string) netip.Prefix {
	addrPort, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := addrPort.Addr().Unmap().WithZone(""), 32
	if addr.Is6() {
		bits = 64
	}
	peer, _ := addr.Prefix(bits)
	return peer
}
