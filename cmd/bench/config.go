package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-huma/caddy-huma/internal/freeport"
)

// sites are the addresses at which Caddy answers, each in its own way.
type sites struct{ respond, warm, proxy, cold, admin string }

func newSites(ctx context.Context) (s sites, err error) {
	var errs []error
	for _, a := range []*string{&s.respond, &s.warm, &s.proxy, &s.cold, &s.admin} {
		*a, err = freeport.Address(ctx)
		errs = append(errs, err)
	}
	return s, errors.Join(errs...)
}

// object is one of JSON.
type object map[string]any

// config is Caddy's config, in JSON because only there one handler gives headers
// and body: respond shall not pay for a second one. No site has more than its
// handler, so nothing else blurs the comparison.
func (s sites) config(service string, static template) (string, error) {
	// The text is letters: in braces, respond would look for placeholders.
	respond := object{"handler": "static_response", "status_code": http.StatusOK, "headers": static.header, "body": strings.Repeat("x", static.size)}
	proxy := object{"handler": "reverse_proxy", "upstreams": []object{{"dial": service}}}
	text, err := json.Marshal(object{
		"admin":   object{"listen": s.admin, "config": object{"persist": false}},
		"logging": object{"logs": object{"default": object{"level": "WARN"}}},
		"apps": object{"http": object{"servers": object{
			"respond": site(s.respond, respond),
			"warm":    site(s.warm, token(service, object{"ttl": "12h"})),
			"proxy":   site(s.proxy, proxy),
			"cold":    site(s.cold, token(service, object{"disabled": true})),
		}}},
	})
	return string(text), err
}

func site(address string, handler object) object {
	return object{
		"listen":          []string{address},
		"automatic_https": object{"disable": true},
		"routes":          []object{{"handle": []object{handler}}},
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

// template is what respond answers: as much as a token's answer.
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
