// Package exchange turns a user into a token: it caches the tokens that were
// granted, and concurrent requests for the same user and kind of token share one
// exchange, in this process and with the replicas that share a store.
//
// It knows neither Caddy nor HTTP nor a service's wire format, and not the rules by
// which a service gives tokens: those are a Minter's, as in the packages login and
// connect. Adapters implement its interfaces and return its errors; it imports none
// of them.
package exchange
