package check

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
)

// socketFix is the fix for local peers that must not be trusted.
const socketFix = "listen on a Unix socket that only the proxy can open: `bind unix//run/caddy-huma/http.sock|0660`, `trust proxies` without ranges, and, in the global options, servers { trusted_proxies_unix } (on three lines)"

// listeners are the addresses of a server, by what can connect to them.
type listeners struct {
	unix     []string // addresses of Unix sockets
	open     []string // those that every local user can open
	tcp      []string // addresses of other networks
	loopback bool     // all addresses in tcp are loopback addresses
}

// checkLocalPeers checks which processes on this machine can send the headers that
// `trust proxies` reads.
func checkLocalPeers(t *target) []report.Entry {
	c := &t.directive.Common
	if c.Trust == nil || c.Trust.Mode != config.TrustProxies || t.directive.Server == nil {
		return nil
	}
	on := listenersOf(t.directive.Server.Listen)
	trustsUnix := len(c.Trust.Ranges) == 0 && t.directive.Server.TrustedProxiesUnix
	var all []report.Entry
	if len(on.unix) > 0 && len(on.tcp) == 0 && !trustsUnix && (len(c.Trust.Ranges) > 0 || t.directive.Proxy.Set) {
		return append(all, report.NewProblem("`trust proxies` without ranges, and, in the global options, servers { trusted_proxies_unix } (on three lines)",
			"the server listens on a Unix socket, whose peers have no address and are in no range: every request is unauthenticated"))
	}
	if len(on.tcp) > 0 && !t.requiresCertificate() && t.trustsLoopback(on) {
		all = append(all, report.NewWarning(socketFix,
			"`trust proxies` trusts loopback addresses, and the server listens on %s: any process on this machine can connect, and pass as any user", on.tcp[0]))
	}
	if !trustsUnix || len(on.unix) == 0 {
		return all
	}
	if len(on.open) > 0 {
		all = append(all, report.NewWarning("let only the owner and the group of the socket write to it: `bind "+withMode(on.open[0], "0660")+"`",
			"`trust proxies` trusts Unix sockets, and any user of this machine can connect to %s, and pass as any user", on.open[0]))
	}
	if address, onTCP := t.adminAddress(); onTCP && len(on.tcp) == 0 {
		all = append(all, report.NewWarning("in the global options: admin unix//run/caddy-huma/admin.sock|0600; or admin off",
			"the server listens on a Unix socket, but the admin endpoint on %s: any process on this machine can load another config", address))
	}
	return all
}

func listenersOf(addresses []string) (on listeners) {
	on.loopback = true
	for _, text := range addresses {
		a, err := caddy.ParseNetworkAddress(text)
		switch {
		case err != nil || strings.HasPrefix(a.Network, "fd"): // a file descriptor may be any socket
		case !a.IsUnixNetwork():
			on.tcp = append(on.tcp, text)
			on.loopback = on.loopback && isLoopback(a.Host)
		default:
			on.unix = append(on.unix, text)
			if isOpenToAll(a.Host) {
				on.open = append(on.open, text)
			}
		}
	}
	return on
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// isOpenToAll reports whether every local user can connect to a Unix socket, given as
// <path>|<mode>. Without a mode, Caddy creates it with 0200. An abstract socket has no
// mode.
func isOpenToAll(socket string) bool {
	path, text, _ := strings.Cut(socket, "|")
	mode, err := strconv.ParseUint(text, 8, 32)
	return strings.HasPrefix(path, "@") || err == nil && mode&0o002 != 0
}

// withMode returns the address of a Unix socket with another mode. An abstract socket is
// replaced by one in the file system.
func withMode(address, mode string) string {
	path, _, _ := strings.Cut(address, "|")
	if strings.Contains(path, "/@") {
		path = "unix//run/caddy-huma/http.sock"
	}
	return path + "|" + mode
}

// trustsLoopback reports whether `trust proxies` is about processes on this machine: it
// trusts a loopback address, and no other process can connect, or a range is one for
// loopback addresses. Those of private_ranges do not count: they are about a network.
func (t *target) trustsLoopback(on listeners) bool {
	ranges := t.directive.Proxy.Ranges
	if trust := t.directive.Common.Trust; len(trust.Ranges) > 0 {
		ranges = parseRanges(trust.Ranges)
	}
	if on.loopback {
		return slices.ContainsFunc(ranges, containsLoopback)
	}
	private := parseRanges([]string{"private_ranges"})
	if !slices.ContainsFunc(private, func(r netip.Prefix) bool { return !slices.Contains(ranges, r) }) {
		return false
	}
	return slices.ContainsFunc(ranges, func(r netip.Prefix) bool { return r.Addr().Unmap().IsLoopback() })
}

// parseRanges parses ranges of the option trust. checkConfig reports errors.
func parseRanges(texts []string) (all []netip.Prefix) {
	for _, text := range texts {
		ranges, _ := config.ParseRange(text)
		all = append(all, ranges...)
	}
	return all
}

// containsLoopback reports whether a range contains a loopback address.
func containsLoopback(r netip.Prefix) bool {
	return r.Contains(netip.AddrFrom4([4]byte{127, 0, 0, 1})) || r.Contains(netip.IPv6Loopback())
}

// requiresCertificate reports whether a client needs a verified certificate for each host of
// the directive. With client certificates, Caddy compares the host with the SNI of the
// connection (strict_sni_host), unless that is disabled.
func (t *target) requiresCertificate() bool {
	server, hosts := t.directive.Server, t.directive.Place.Hosts
	if server.StrictSNIHost != nil && !*server.StrictSNIHost {
		return false
	}
	covered := func(host string) bool {
		for _, p := range server.TLSConnPolicies {
			var names []string
			if p != nil && json.Unmarshal(p.MatchersRaw["sni"], &names) == nil && slices.Contains(names, host) {
				c := p.ClientAuthentication
				return c != nil && c.Mode == "require_and_verify"
			}
		}
		return false
	}
	return len(hosts) > 0 && !slices.ContainsFunc(hosts, func(host string) bool { return !covered(host) })
}

// adminAddress returns the address of the admin endpoint, and whether it is one that any
// local process can connect to.
func (t *target) adminAddress() (address string, onTCP bool) {
	address = caddy.DefaultAdminListen
	if admin := t.routes.config.Admin; admin != nil {
		if admin.Disabled {
			return "", false
		}
		if admin.Listen != "" {
			address = admin.Listen
		}
	}
	a, err := caddy.ParseNetworkAddress(address)
	return address, err == nil && (!a.IsUnixNetwork() || isOpenToAll(a.Host))
}
