package userinfo

import (
	"net"
	"net/http"
	"time"
)

// shared is the transport of all Clients, so that connections outlive a config reload.
var shared = &http.Transport{
	Proxy:                  http.ProxyFromEnvironment,
	DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
	TLSHandshakeTimeout:    10 * time.Second,
	ForceAttemptHTTP2:      true,
	DisableCompression:     true, // rejects small responses that expand to large ones: they are never decompressed
	MaxConnsPerHost:        256,
	MaxIdleConns:           1024,
	MaxIdleConnsPerHost:    256,
	IdleConnTimeout:        90 * time.Second,
	MaxResponseHeaderBytes: 256 << 10,
	// Pings detect a broken connection before a user's request does.
	HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 10 * time.Second},
}
