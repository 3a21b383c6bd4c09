package routecheck

import (
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// stubMatcher replaces the matchers of a route whose result depends on more than the host
// and the path of a request, such as header or remote_ip.
type stubMatcher struct {
	// Matchers are the replaced matchers. They decide if the trace has no other
	// condition. Those of third-party modules and those that read files are left out:
	// they match.
	Matchers caddy.ModuleMap `json:"matchers,omitempty" caddy:"namespace=http.matchers"`
	// Assumed is true if a matcher was left out.
	Assumed bool `json:"assumed,omitempty"`
	// Route is the number of the route.
	Route int `json:"route,omitempty"`
	// Negated is true within the matcher not.
	Negated bool `json:"negated,omitempty"`

	replaced caddyhttp.MatcherSet
}

// CaddyModule returns the Caddy module information.
func (*stubMatcher) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: matcherID, New: func() caddy.Module { return new(stubMatcher) }}
}

// Provision loads the replaced matchers.
func (m *stubMatcher) Provision(ctx caddy.Context) error {
	if m.Matchers == nil {
		return nil
	}
	loaded, err := ctx.LoadModule(m, "Matchers")
	if err != nil {
		return err
	}
	for _, matcher := range loaded.(map[string]any) {
		m.replaced = append(m.replaced, matcher)
	}
	return nil
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (m *stubMatcher) MatchWithError(r *http.Request) (bool, error) {
	t := traceOf(r.Context())
	t.assumed = t.assumed || m.Assumed
	switch {
	case t.conditions == asWritten:
		if m.replaced == nil {
			return !m.Negated, nil
		}
		return m.replaced.MatchWithError(r)
	case slices.Contains(t.around, m.Route), t.conditions == othersMatch:
		return !m.Negated, nil
	case t.conditions == othersNeverMatch:
		return m.Negated, nil
	case m.replaced == nil:
		return !m.Negated, nil
	}
	return m.replaced.MatchWithError(r)
}

// conditions says how the replaced matchers behave.
type conditions int

const (
	asWritten        conditions = iota // for a GET without special headers from a public address
	othersAsWritten                    // those around the directive match, the others as written
	othersMatch                        // all match
	othersNeverMatch                   // those around the directive match, the others do not
)

// unconditional are the matchers that depend on the host and the path only.
var unconditional = []string{"host", "path", "not"}

// replaceMatchers replaces the matchers of the routes in v, a part of the config. around
// are the numbers of the routes around it.
func (s *stub) replaceMatchers(v any, around []int) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			s.replaceMatchers(e, around)
		}
	case map[string]any:
		if id, ok := v[idKey].(float64); ok {
			s.around[int(id)] = around
		}
		if id, ok := v[invokeKey].(float64); ok {
			s.invocations[int(id)].around = around
		}
		if sets, ok := v["match"].([]any); ok && v["handler"] == nil {
			s.routes++
			around = append(slices.Clone(around), s.routes)
			r := route{s.routes, rewritesToFile(v["handle"])}
			for _, set := range sets {
				r.replaceMatchers(set, false)
			}
		}
		for _, e := range v {
			s.replaceMatchers(e, around)
		}
	}
}

// rewritesToFile reports whether handlers rewrite the path to the result of the matcher
// file, as those of try_files and php_fastcgi do.
func rewritesToFile(handlers any) bool {
	list, _ := handlers.([]any)
	return slices.ContainsFunc(list, func(h any) bool {
		handler, _ := h.(map[string]any)
		uri, _ := handler["uri"].(string)
		return handler["handler"] == "rewrite" && strings.Contains(uri, "{http.matchers.file.")
	})
}

// route is a route whose matchers are replaced.
type route struct {
	number         int
	rewritesToFile bool
}

// replaceMatchers replaces the matchers in a matcher set.
func (r route) replaceMatchers(v any, negated bool) {
	set, ok := v.(map[string]any)
	if !ok {
		return
	}
	matchers, replaced, assumed := make(map[string]any), false, false
	for name, matcher := range set {
		switch {
		case name == "not":
			inner, _ := matcher.([]any)
			for _, set := range inner {
				r.replaceMatchers(set, !negated)
			}
		case name == "file" && r.rewritesToFile:
			if file, ok := matcher.(map[string]any); ok {
				file["fs"] = stubName
			}
		case !slices.Contains(unconditional, name):
			if runs(name, matcher) {
				matchers[name] = matcher
			} else {
				assumed = true
			}
			delete(set, name)
			replaced = true
		}
	}
	if replaced {
		set[stubName] = map[string]any{"matchers": matchers, "assumed": assumed, "route": r.number, "negated": negated}
	}
}

// calls are the names of functions and macros in a CEL expression.
var calls = regexp.MustCompile(`([a-z_]+)\(`)

// runs reports whether a matcher may run in the command: it is one of Caddy's own and
// reads no file.
func runs(name string, matcher any) bool {
	if name == "file" || !isCaddys("http.matchers."+name) {
		return false
	}
	if name != "expression" {
		return true
	}
	return !slices.ContainsFunc(calls.FindAllStringSubmatch(fmt.Sprint(matcher), -1), func(call []string) bool {
		_, err := caddy.GetModule("http.matchers." + call[1])
		return err == nil && !runs(call[1], nil)
	})
}

// isCaddys reports whether a module is one of Caddy's own.
func isCaddys(id string) bool {
	info, err := caddy.GetModule(id)
	if err != nil {
		return false
	}
	t := reflect.TypeOf(info.New())
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return strings.HasPrefix(t.PkgPath(), "github.com/caddyserver/caddy/v2/")
}
