package caddymodule_test

import (
	"net"
	"os"
	"strconv"
	"syscall"
)

// sharesPort reports whether two sockets of this process listen on one TCP address. The
// servers of two configs do so (SO_REUSEPORT).
func sharesPort() bool {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return false
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	seen := make(map[string]bool)
	for _, name := range names {
		fd, _ := strconv.Atoi(name)
		listens, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
		if err != nil || listens == 0 {
			continue // not a socket that listens
		}
		address, _ := syscall.Getsockname(fd)
		var key string
		switch address := address.(type) {
		case *syscall.SockaddrInet4:
			key = net.JoinHostPort(net.IP(address.Addr[:]).String(), strconv.Itoa(address.Port))
		case *syscall.SockaddrInet6:
			key = net.JoinHostPort(net.IP(address.Addr[:]).String(), strconv.Itoa(address.Port))
		default:
			continue // a Unix socket
		}
		if seen[key] {
			return true
		}
		seen[key] = true
	}
	return false
}
