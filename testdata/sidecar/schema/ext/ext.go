// Package ext stands in for a module of Traefik's repository that is not published. Traefik
// embeds its types in those of its configuration; they have no fields.
package ext

// HTTP extends the configuration of HTTP.
type HTTP struct{}

// Router extends the configuration of a router.
type Router struct{}
