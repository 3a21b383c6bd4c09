package userinfo

import (
	"net"
	"net/http"
	"time"
)

// shared makes the calls of all clients, so that connections outlive a reload
// of the configuration.
var shared = &http.Transport{
	Proxy:                  http.ProxyFromEnvironment,
	DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
	TLSHandshakeTimeout:    10 * time.Second,
	ForceAttemptHTTP2:      true,
	DisableCompression:     true, // a small answer that unpacks to a large one is refused by never being unpacked
	MaxConnsPerHost:        256,
	MaxIdleConns:           1024,
	MaxIdleConnsPerHost:    256,
	IdleConnTimeout:        90 * time.Second,
	MaxResponseHeaderBytes: 256 << 10,
	// A connection that died silently is found by a ping, not by a user.
	HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 10 * time.Second},
}
