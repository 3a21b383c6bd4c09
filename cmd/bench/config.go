package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/caddy-huma/caddy-huma/internal/freeport"
)

// sites are the addresses at which Caddy answers, each in its own way.
type sites struct{ respond, letters, static, warm, proxy, cold, admin string }

func newSites(ctx context.Context) (s sites, err error) {
	err = findPorts(ctx, &s.respond, &s.letters, &s.static, &s.warm, &s.proxy, &s.cold, &s.admin)
	return s, err
}

// findPorts makes addresses that nobody listens on.
func findPorts(ctx context.Context, addresses ...*string) error {
	var errs []error
	for _, a := range addresses {
		var err error
		*a, err = freeport.Address(ctx)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// object is one of JSON.
type object map[string]any

// config is Caddy's config, in JSON because only there respond can give headers, too.
// No site has a matcher or anything else that would blur a comparison.
func config(admin string, servers object) (string, error) {
	text, err := json.Marshal(object{
		"admin":   object{"listen": admin, "config": object{"persist": false}},
		"logging": object{"logs": object{"default": object{"level": "WARN"}}},
		"apps":    object{"http": object{"servers": servers}},
	})
	return string(text), err
}

// config is the one with all sites, some of which answer as huma_token does.
func (s sites) config(service string, like template) (string, error) {
	// In a Caddyfile, headers are another directive's.
	headers := object{"handler": "headers", "response": object{"set": like.header}}
	respond := object{"handler": "static_response", "status_code": http.StatusOK, "body": string(like.body)}
	letters := maps.Clone(respond)
	letters["body"] = string(like.letters().body)
	static := maps.Clone(letters)
	static["headers"] = like.header
	proxy := object{"handler": "reverse_proxy", "upstreams": []object{{"dial": service}}}
	return config(s.admin, object{
		"respond": site(s.respond, headers, respond),
		"letters": site(s.letters, headers, letters),
		"static":  site(s.static, static),
		"warm":    site(s.warm, token(service, object{"ttl": "12h"})),
		"proxy":   site(s.proxy, proxy),
		"cold":    site(s.cold, token(service, object{"disabled": true})),
	})
}

func site(address string, handlers ...object) object {
	return object{
		"listen":          []string{address},
		"automatic_https": object{"disable": true},
		"routes":          []object{{"handle": handlers}},
	}
}

// What the sandbox knows us by.
const (
	projectID    = "p1"
	deploymentID = "d1"
	clientID     = "c1"
	secret       = "sandbox-secret"
)

// token is huma_token.
func token(service string, cache object) object {
	return object{
		"handler":       "huma_token",
		"api":           "http://" + service,
		"project_id":    projectID,
		"deployment_id": deploymentID,
		"client_id":     object{"ios": clientID},
		"secret":        secret,
		"identity":      object{"email": userHeader},
		"trust":         object{"mode": "proxies", "ranges": []string{"127.0.0.1"}},
		"cache":         cache,
	}
}

// template is what respond answers: the same as a token's answer.
type template struct {
	header http.Header
	body   []byte
}

// firstAnswer asks for an answer, without what the server adds to it by itself.
func firstAnswer(ctx context.Context, address string) (t template, err error) {
	clients, err := dial(ctx, address, 1)
	if err != nil {
		return t, err
	}
	defer hangUp(clients)
	var body bytes.Buffer
	t.header, _, err = clients[0].answer(http.StatusOK, clients[0].request(address, 0), &body)
	if err != nil {
		return t, err
	}
	for _, name := range []string{"Date", "Server", "Content-Length"} {
		t.header.Del(name)
	}
	t.body = body.Bytes()
	return t, nil
}

// letters is the same with a text of that size that has no braces.
func (t template) letters() template {
	return template{t.header, bytes.Repeat([]byte("x"), len(t.body))}
}

// check says which site does not answer what it is compared for.
func (s sites) check(ctx context.Context, like template) error {
	for _, site := range []struct {
		name, address string
		template
	}{
		{kindRespond, s.respond, like}, {kindLetters, s.letters, like.letters()}, {kindStatic, s.static, like.letters()},
	} {
		if err := site.same(ctx, site.address); err != nil {
			return fmt.Errorf("%s: %w", site.name, err)
		}
	}
	return nil
}

// same says how what an address answers differs.
func (t template) same(ctx context.Context, address string) error {
	got, err := firstAnswer(ctx, address)
	if err != nil {
		return err
	}
	if !bytes.Equal(got.body, t.body) || !maps.EqualFunc(got.header, t.header, slices.Equal[[]string]) {
		return fmt.Errorf("it answers %v, %d bytes, and not the %v, %d bytes, of a token", got.header, len(got.body), t.header, len(t.body))
	}
	return nil
}
