package endpoint

import (
	"encoding/json"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Handler is the handler module of a directive.
type Handler interface {
	caddyhttp.MiddlewareHandler
	caddyfile.Unmarshaler
}

// init registers the order of the directives: after request_header, so after everything
// that authenticates, such as forward_auth; before encode, so that a token is not
// compressed together with text that an attacker chooses; and before handle, so that a
// catch-all handle does not match first.
func init() {
	for _, s := range services {
		httpcaddyfile.RegisterDirectiveOrder(s.Directive, httpcaddyfile.After, "request_header")
	}
}

// RegisterDirective registers a directive for the Caddyfile. newHandler returns an empty
// handler. Call it in init.
func RegisterDirective(s *Service, newHandler func() Handler) {
	httpcaddyfile.RegisterDirective(s.Directive, func(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
		return parseDirective(h, s.Path, newHandler())
	})
}

// parseDirective parses a directive into a route. Without a matcher the route matches the
// given path; with the matcher `*` it matches every path.
func parseDirective(h httpcaddyfile.Helper, path string, to Handler) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // the directive's name
	at := location{h.File(), h.Line()}
	matcher, hasMatcher, err := h.MatcherToken()
	if err != nil {
		return nil, h.WrapErr(err)
	}
	if hasMatcher {
		h.Delete()
	} else {
		matcher = caddy.ModuleMap{"path": caddyconfig.JSON(caddyhttp.MatchPath{path}, nil)}
	}
	h.Reset()
	if err := to.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	route := h.NewRoute(matcher, to)
	if markLocations.Load() {
		return route, at.addTo(route)
	}
	return route, nil
}

// markLocations is set by MarkLocations.
var markLocations atomic.Bool

// MarkLocations makes the Caddyfile adapter add a member with the file and the line to
// the JSON of each token directive, for the commands, which adapt the Caddyfile
// themselves. Such a config cannot be loaded: call TakeLocation on each directive first.
func MarkLocations(on bool) { markLocations.Store(on) }

// locationKey is the name of the member that MarkLocations adds.
const locationKey = "@location"

// location is where a directive stands in a Caddyfile.
type location struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

// TakeLocation returns the file and the line of a directive, and deletes them from its
// JSON. Without a location it returns "" and 0.
func TakeLocation(handler map[string]any) (file string, line int) {
	at, _ := handler[locationKey].(map[string]any)
	delete(handler, locationKey)
	file, _ = at["file"].(string)
	if file == "-" {
		file = "stdin"
	}
	number, _ := at["line"].(float64)
	return file, int(number)
}

// addTo adds the location to the JSON of the directive in a route.
func (at location) addTo(route []httpcaddyfile.ConfigValue) error {
	handlers := route[0].Value.(caddyhttp.Route).HandlersRaw
	var members map[string]json.RawMessage
	if err := json.Unmarshal(handlers[0], &members); err != nil {
		return err
	}
	members[locationKey] = caddyconfig.JSON(at, nil)
	handlers[0] = caddyconfig.JSON(members, nil)
	return nil
}
