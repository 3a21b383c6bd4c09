// Package routes finds the handlers in the routes of Caddy's HTTP servers, and names them
// by the host and the path at which they stand.
package routes

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// Place is where a handler stands in the routes of a server: the innermost host and path
// matchers around it. The zero Place has no matchers.
type Place struct {
	Server string   // the server's name in the JSON config
	Named  string   // name of the named route (&(name) in the Caddyfile), or empty
	Hosts  []string // of the host matcher; nil matches every host
	Paths  []string // of the path matcher, in lower case; nil matches every path
	Around []string // of the path matchers around that of Paths, the first of each, outermost first
	Errors bool     // in the error routes (handle_errors)
	Reply  bool     // in routes for the response of an upstream or handler (handle_response)
	Listen string   // the server's first listener address

	port string // of the site's address; empty for the default ports of HTTP and HTTPS
}

// Name returns the name of a directive at p, for example
// "huma_token app.example.com/private/huma-token". It does not distinguish two directives
// at the same place; Names does.
func (p Place) Name(directive string) string {
	path := first(p.Paths, "/*")
	switch {
	case p.Named != "":
		return directive + " &(" + p.Named + ")" + path
	case len(p.Hosts) > 0:
		if p.port != "" {
			return directive + " " + first(p.Hosts, "") + ":" + p.port + path
		}
		return directive + " " + first(p.Hosts, "") + path
	}
	return directive + " " + p.Listen + path
}

// first returns the first of several values, followed by ",…" if there are more, or
// none if there is no value.
func first(values []string, none string) string {
	switch len(values) {
	case 0:
		return none
	case 1:
		return values[0]
	}
	return values[0] + ",…"
}

// Names makes names unique: it appends " #2" to the second one that is equal, and so on.
// The zero value is not ready for use; create it with make.
type Names map[string]int

// Unique returns name, or name with a number if it was there before.
func (n Names) Unique(name string) string {
	n[name]++
	if n[name] > 1 {
		return name + " #" + strconv.Itoa(n[name])
	}
	return name
}

// newPlace returns the place of a server's routes outside all matchers.
func newPlace(server string, listen []string, httpPort, httpsPort int) Place {
	p := Place{Server: server}
	if len(listen) == 0 {
		return p
	}
	p.Listen = listen[0]
	a, err := caddy.ParseNetworkAddress(p.Listen)
	if err != nil || a.StartPort == 0 {
		return p
	}
	p.Listen = strings.TrimPrefix(p.Listen, "tcp/")
	if port := int(a.StartPort); port != httpPort && port != httpsPort {
		p.port = strconv.Itoa(port)
	}
	if a.Host != "" {
		p.Listen = net.JoinHostPort(a.Host, strconv.Itoa(int(a.StartPort)))
	}
	return p
}

// Within returns the place of the handlers of a route at p with these matchers. Nil: the
// route has no such matcher.
func (p Place) Within(hosts, paths []string) Place {
	if hosts != nil {
		p.Hosts = hosts
	}
	if paths != nil {
		if p.Paths != nil {
			p.Around = append(slices.Clone(p.Around), p.Paths[0])
		}
		p.Paths = paths
	}
	return p
}
