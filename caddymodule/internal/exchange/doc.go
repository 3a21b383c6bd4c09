// Package exchange turns a user into a token: it keeps the tokens that were
// granted, lets one exchange run per user and kind of token however many ask,
// and holds the rules by which a user is signed in or registered.
//
// It knows neither Caddy nor HTTP nor a service's wire format. Adapters
// implement its interfaces and return its errors; it imports none of them.
package exchange
