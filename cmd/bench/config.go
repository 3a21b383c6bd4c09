package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/caddy-huma/caddy-huma/internal/freeport"
)

// sites are the addresses at which Caddy answers, each in its own way.
type sites struct{ respond, static, warm, proxy, cold, admin string }

func newSites(ctx context.Context) (s sites, err error) {
	var errs []error
	for _, a := range []*string{&s.respond, &s.static, &s.warm, &s.proxy, &s.cold, &s.admin} {
		*a, err = freeport.Address(ctx)
		errs = append(errs, err)
	}
	return s, errors.Join(errs...)
}

// object is one of JSON.
type object map[string]any

// config is Caddy's config, in JSON because only there respond can give headers, too.
// No site has a matcher or anything else that would blur the comparison.
func (s sites) config(service string, like template) (string, error) {
	// In a Caddyfile, headers are another directive's.
	headers := object{"handler": "headers", "response": object{"set": like.header}}
	// The text is letters: in braces, respond would look for placeholders.
	respond := object{"handler": "static_response", "status_code": http.StatusOK, "body": strings.Repeat("x", like.size)}
	static := maps.Clone(respond)
	static["headers"] = like.header
	proxy := object{"handler": "reverse_proxy", "upstreams": []object{{"dial": service}}}
	text, err := json.Marshal(object{
		"admin":   object{"listen": s.admin, "config": object{"persist": false}},
		"logging": object{"logs": object{"default": object{"level": "WARN"}}},
		"apps": object{"http": object{"servers": object{
			"respond": site(s.respond, headers, respond),
			"static":  site(s.static, static),
			"warm":    site(s.warm, token(service, object{"ttl": "12h"})),
			"proxy":   site(s.proxy, proxy),
			"cold":    site(s.cold, token(service, object{"disabled": true})),
		}}},
	})
	return string(text), err
}

func site(address string, handlers ...object) object {
	return object{
		"listen":          []string{address},
		"automatic_https": object{"disable": true},
		"routes":          []object{{"handle": handlers}},
	}
}

func token(service string, cache object) object {
	return object{
		"handler":       "huma_token",
		"api":           "http://" + service,
		"project_id":    "p1",
		"deployment_id": "d1",
		"client_id":     object{"ios": "c1"},
		"secret":        "sandbox-secret",
		"identity":      object{"email": userHeader},
		"trust":         object{"mode": "proxies", "ranges": []string{"127.0.0.1"}},
		"cache":         cache,
	}
}

// template is what respond and static answer: as much as a token's answer.
type template struct {
	header http.Header
	size   int
}

// templateOf is a template of an answer, without what the server adds by itself.
func templateOf(header http.Header, size int64) template {
	header = header.Clone()
	for _, name := range []string{"Date", "Server", "Content-Length"} {
		header.Del(name)
	}
	return template{header, int(size)}
}
