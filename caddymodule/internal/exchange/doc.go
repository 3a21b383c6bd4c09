// Package exchange obtains and caches tokens: concurrent requests for the same user and
// kind of token share one exchange, in this process and with the replicas that share a
// store.
//
// The package knows neither Caddy nor HTTP nor the wire format of a service. An Exchange
// implements the rules by which a service issues tokens; see the packages login and
// connect. Adapters implement the interfaces of this package and return its errors. It
// imports none of them.
package exchange
