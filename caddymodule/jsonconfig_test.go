package caddymodule_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// everyField is a handler with every field of the JSON config, but for the
// switches that would make others of them pointless. FILE, CERT and KEY are
// files.
const everyField = `{
	"handler": "huma_token",
	"config_file": "FILE",
	"api": "https://huma.example/base",
	"project_id": "p1",
	"deployment_id": "d1",
	"client_id": {"ios": "c1", "android": "c2", "web": "c3"},
	"secret": "{env.HUMA_TEST_SECRET}",
	"signature": {
		"algorithm": "hmac-sha512",
		"encoding": "base64url",
		"payload": "{sig.method}\n{sig.path}\n{sig.timestamp}\n{sig.deployment_id}\n{sig.body}",
		"header_name": "X-Signature"
	},
	"header_up": {"X-Timestamp": ["{sig.timestamp}"], "X-Key": ["{env.HUMA_TEST_SECRET}", "two"]},
	"tls": {"ca": "CERT", "client_certificate": "CERT", "client_key": "KEY"},
	"registration": {
		"rate": "30/m",
		"burst": 100,
		"hold": "2m",
		"sign_consent": true,
		"timezone": "Europe/Berlin",
		"language": "de-DE",
		"activation_code": "{env.HUMA_TEST_SECRET}",
		"attribute": {"source": "portal"}
	},
	"client_type": "ios",
	"identity": {
		"preset": "authelia",
		"email": "X-User",
		"user_id": "{http.auth.user.sub}",
		"name": "X-Name",
		"first_name": "X-First-Name",
		"last_name": "X-Last-Name",
		"verified": "X-Verified",
		"domains": ["x.example"]
	},
	"trust": {"mode": "proxies", "ranges": ["127.0.0.1", "10.0.0.0/8", "private_ranges"]},
	"cache": {"ttl": "30s", "max_entries": 10, "negative_ttl": 0, "vary": ["{http.request.header.X-Device-Id}"]},
	"no_cache": "honor",
	"timeout": "8s",
	"attempt_timeout": 2000000000,
	"retries": 0,
	"breaker": {"ratio": 0.25, "requests": 5, "window": "30s", "open": "1m"},
	"max_concurrent": 8,
	"max_waiting": 16,
	"errors": "problem",
	"cross_site": "deny",
	"hash_key": "{env.HUMA_TEST_SECRET}"
}`

// otherFields are the fields that everyField leaves out.
var otherFields = map[string]string{
	"signature.id":          `{"signature": {"algorithm": "hawk", "id": "key1"}}`,
	"registration.disabled": `{"registration": {"disabled": true}}`,
	"trust.upstream":        `{"trust": {"mode": "forward_auth", "upstream": "authelia:9091"}}`,
	"cache.disabled":        `{"cache": {"disabled": true}}`,
	"breaker.disabled":      `{"breaker": {"disabled": true}}`,
}

// wholeHandler is everyField with its files.
func wholeHandler(t *testing.T) map[string]any {
	t.Helper()
	certificate, key := keyPair(t)
	file := writeFile(t, "huma-config.json", `{"organizationId":"o1"}`)
	text := strings.NewReplacer("FILE", file, "CERT", certificate, "KEY", key).Replace(everyField)
	var handler map[string]any
	if err := json.Unmarshal([]byte(text), &handler); err != nil {
		t.Fatal(err)
	}
	return handler
}

func TestJSONWithEveryField(t *testing.T) {
	handler := wholeHandler(t)
	fields := structFields(reflect.TypeFor[caddymodule.HumaToken]())
	forget(fields, "", handler)
	for name, text := range otherFields {
		if !fields[name] {
			t.Errorf("%s is no field that is left out", name)
		}
		var other map[string]any
		if err := json.Unmarshal([]byte(text), &other); err != nil {
			t.Fatal(err)
		}
		forget(fields, "", other)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		t.Errorf("the field %s is not tested", name)
	}

	if err := validateJSON(t, siteJSON(t, handler)); err != nil {
		t.Errorf("every field: %v", err)
	}
	for name, text := range otherFields {
		handler := wholeHandler(t)
		if err := json.Unmarshal([]byte(text), &handler); err != nil { // in place of the member that is there
			t.Fatal(err)
		}
		if err := validateJSON(t, siteJSON(t, handler)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestJSONConfigServes uses a config that no Caddyfile made.
func TestJSONConfigServes(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	s := serve(t, "SITE {\nrespond OK\n}")
	for name, c := range map[string]struct{ ids, query, client, code string }{
		"one id":        {`"c2"`, "", "c2", ""},
		"one id, named": {`"c2"`, "?client_type=ios", "c2", ""},
		"an id each":    {`{"ios":"c1","web":"c3"}`, "?client_type=web", "c3", ""},
		"another":       {`{"ios":"c1","web":"c3"}`, "?client_type=ios", "c1", ""},
		"not that one":  {`{"ios":"c1","web":"c3"}`, "?client_type=android", "", "client_type_unknown"},
		"none named":    {`{"ios":"c1","web":"c3"}`, "", "", "client_type_required"},
	} {
		t.Run(name, func(t *testing.T) {
			huma.Reset()
			s.move()
			config := editServer(s, "SITE {\nrespond OK\n}", func(server map[string]any) {
				server["routes"] = []any{map[string]any{"handle": []any{map[string]any{
					"handler":       "huma_token",
					"api":           huma.URL,
					"project_id":    "p1",
					"deployment_id": "d1",
					"client_id":     json.RawMessage(c.ids),
					"secret":        "sandbox-secret",
					"identity":      map[string]any{"email": "X-Test-User"},
					"trust":         map[string]any{"mode": "proxies", "ranges": []string{"127.0.0.1"}},
					"cache":         map[string]any{"disabled": true},
				}}}}
			})
			if err := caddy.Load(config, true); err != nil {
				t.Fatal(err)
			}
			a := s.request("GET", "/anything"+c.query, as("a@x.example"))
			if c.code != "" {
				a.problem(t, 400, c.code)
				return
			}
			a.tokens(t)
			if calls := huma.Calls().Calls; len(calls) != 1 || calls[0].ClientID != c.client {
				t.Errorf("calls %+v, want one with %s", calls, c.client)
			}
		})
	}
}

// TestJSONClientIDs checks both forms of client_id, there and back.
func TestJSONClientIDs(t *testing.T) {
	for text, want := range map[string]caddymodule.ClientIDs{
		`"c1"`:                    {"*": "c1"},
		`{"android":"c2"}`:        {"android": "c2"},
		`{"ios":"c1","web":"c3"}`: {"ios": "c1", "web": "c3"},
	} {
		var got caddymodule.ClientIDs
		if err := json.Unmarshal([]byte(text), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %v, %v", text, got, err)
		}
		if again := mustJSON(t, got); !sameJSON(t, again, []byte(text)) {
			t.Errorf("%s is written as %s", text, again)
		}
	}
	for _, text := range []string{`1`, `true`, `["c1"]`, `{"ios":1}`, `{"ios":{"id":"c1"}}`} {
		var got caddymodule.ClientIDs
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s is read as %v", text, got)
		}
	}
}

// TestJSONRefusesWhatItDoesNotKnow checks Caddy's strict decoding at every
// level, and wrong types.
func TestJSONRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, member := range []string{
		"colour", "Secret_", "verify", "path",
		"signature.colour", "tls.colour", "registration.colour", "identity.colour",
		"trust.colour", "cache.colour", "breaker.colour",
		"cache.off", "registration.off", "breaker.off",
	} {
		err := validateJSON(t, handlerJSON(t, member, `"red"`))
		_, name, nested := strings.Cut(member, ".")
		if !nested {
			name = member
		}
		if err == nil || !strings.Contains(err.Error(), `unknown field "`+name+`"`) {
			t.Errorf("%s: got %v", member, err)
		}
	}
	for member, value := range map[string]string{
		"api":                   `1`,
		"secret":                `{"env":"X"}`,
		"header_up":             `{"X-Key":"one"}`,
		"signature":             `"hawk"`,
		"registration":          `"off"`,
		"registration.burst":    `"many"`,
		"identity":              `"authelia"`,
		"identity.domains":      `"x.example"`,
		"trust":                 `"forward_auth"`,
		"cache":                 `false`,
		"cache.ttl":             `"10sec"`,
		"cache.max_entries":     `1.5`,
		"timeout":               `"10"`,
		"retries":               `"1"`,
		"breaker.ratio":         `"half"`,
		"max_concurrent":        `99999999999999999999`,
		"registration.hold":     `{}`,
		"registration.rate":     `50`,
		"breaker.disabled":      `"yes"`,
		"registration.timezone": `["UTC"]`,
	} {
		if err := validateJSON(t, handlerJSON(t, member, value)); err == nil || !strings.Contains(err.Error(), "decoding module config") {
			t.Errorf("%s %s: got %v", member, value, err)
		}
	}
}
