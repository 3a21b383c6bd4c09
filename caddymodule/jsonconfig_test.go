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
		"domains": ["x.example"],
		"name_encoding": "latin1"
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
	"identity.verify.jwks": `{"trust": null, "identity": {"email": "Authorization email", "verify": {
		"jwks": "https://login.example/keys", "issuer": "https://login.example", "audience": ["clinic"]
	}}}`,
	"identity.verify.signer": `{"trust": null, "identity": {"preset": "aws_alb", "verify": {
		"signer": ["arn:aws:elasticloadbalancing:eu-west-2:123456789012:loadbalancer/app/clinic/50dc6c495c0c9188"]
	}}}`,
	"userinfo": `{"trust": null, "identity": null, "userinfo": {
		"url": "http://localhost:3000/api/me",
		"forward_headers": ["Cookie", "X-Csrf-Token"],
		"email": "user.email",
		"user_id": "user.id",
		"name": "user.name",
		"first_name": "user.first",
		"last_name": "user.last",
		"verified": "user.verified",
		"domains": ["x.example"],
		"timeout": "2s"
	}}`,
	"cache.disabled":   `{"cache": {"disabled": true}}`,
	"breaker.disabled": `{"breaker": {"disabled": true}}`,
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
		"identity.verify.colour", "userinfo.colour", "trust.colour", "cache.colour", "breaker.colour",
		"cache.off", "registration.off", "breaker.off",
	} {
		err := validateJSON(t, handlerJSON(t, member, `"red"`))
		name := member[strings.LastIndexByte(member, '.')+1:]
		if err == nil || !strings.Contains(err.Error(), `unknown field "`+name+`"`) {
			t.Errorf("%s: got %v", member, err)
		}
	}
	for member, value := range map[string]string{
		"api":                      `1`,
		"secret":                   `{"env":"X"}`,
		"header_up":                `{"X-Key":"one"}`,
		"signature":                `"hawk"`,
		"registration":             `"off"`,
		"registration.burst":       `"many"`,
		"identity":                 `"authelia"`,
		"identity.domains":         `"x.example"`,
		"identity.email":           `["X-User", "email"]`,
		"identity.verify":          `true`,
		"userinfo":                 `"http://localhost:3000/api/me"`,
		"userinfo.timeout":         `"2"`,
		"identity.verify.audience": `"clinic"`,
		"userinfo.forward_headers": `"Cookie"`,
		"trust":                    `"forward_auth"`,
		"cache":                    `false`,
		"cache.ttl":                `"10sec"`,
		"cache.max_entries":        `1.5`,
		"timeout":                  `"10"`,
		"retries":                  `"1"`,
		"breaker.ratio":            `"half"`,
		"max_concurrent":           `99999999999999999999`,
		"registration.hold":        `{}`,
		"registration.rate":        `50`,
		"breaker.disabled":         `"yes"`,
		"registration.timezone":    `["UTC"]`,
	} {
		if err := validateJSON(t, handlerJSON(t, member, value)); err == nil || !strings.Contains(err.Error(), "decoding module config") {
			t.Errorf("%s %s: got %v", member, value, err)
		}
	}
}

// handlerJSON is a config of one handler that loads, in JSON, but for one
// member; dots are between the names of objects and of their members.
func handlerJSON(t testing.TB, member, value string) []byte {
	t.Helper()
	handler := map[string]any{
		"handler":       "huma_token",
		"api":           "https://huma.example",
		"project_id":    "p1",
		"deployment_id": "d1",
		"client_id":     "c1",
		"secret":        "{env.HUMA_TEST_SECRET}",
		"identity":      map[string]any{"preset": "basic_auth"},
	}
	object := handler
	for {
		outer, inner, nested := strings.Cut(member, ".")
		if !nested {
			break
		}
		within, ok := object[outer].(map[string]any)
		if !ok {
			within = make(map[string]any)
			object[outer] = within
		}
		object, member = within, inner
	}
	if member != "" {
		object[member] = json.RawMessage(value)
	}
	return siteJSON(t, handler)
}

// siteJSON is a config with these handlers, in JSON, as no Caddyfile made it.
func siteJSON(t testing.TB, handlers ...any) []byte {
	t.Helper()
	config, err := json.Marshal(map[string]any{
		"admin": map[string]any{"disabled": true, "config": map[string]any{"persist": false}},
		"apps": map[string]any{"http": map[string]any{"servers": map[string]any{"test": map[string]any{
			"listen": []string{"127.0.0.1:0"},
			"routes": []any{map[string]any{"handle": handlers}},
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// TestBadJSONValues are values that the Caddyfile refuses where they stand.
func TestBadJSONValues(t *testing.T) {
	if err := validateJSON(t, handlerJSON(t, "", "")); err != nil {
		t.Fatalf("without a bad value: %v", err)
	}
	certificate, key := keyPair(t)
	for _, c := range []struct{ member, value, option, says string }{
		{"client_id", `{"tv":"c1"}`, "client_id", "tv"},
		{"client_id", `{"*":"c1","ios":"c2"}`, "client_id", ""},
		{"client_type", `"tv"`, "client_type", "ios"},
		{"signature.algorithm", `"md5"`, "signature", "hmac-sha256"},
		{"signature.encoding", `"base32"`, "encoding", "base64url"},
		{"tls.client_certificate", `"` + certificate + `"`, "client_certificate", "key"},
		{"tls.client_key", `"` + key + `"`, "client_certificate", "certificate"},
		{"registration.rate", `"50/d"`, "rate", "50/s"},
		{"registration.rate", `"50"`, "rate", "50/s"},
		{"registration.rate", `"-50/s"`, "rate", "50/s"},
		{"registration.burst", `-1`, "rate", "at least 1"},
		{"registration.hold", `-1`, "hold", "positive"},
		{"trust.mode", `"everybody"`, "trust", "forward_auth"},
		{"trust", `{"mode":"proxies","ranges":["10.0.0.0/33"]}`, "trust", "10.0.0.0/33"},
		{"trust", `{"mode":"proxies","ranges":["nobody"]}`, "trust", "nobody"},
		{"trust", `{"mode":"proxies","upstream":"a:1"}`, "trust", "forward_auth"},
		{"trust", `{"mode":"forward_auth","ranges":["10.0.0.0/8"]}`, "trust", "proxies"},
		{"identity", `{"preset":"nobody"}`, "identity", "authelia"},
		{"identity", `{}`, "email", "<source>"},
		{"identity.name_encoding", `"utf-16"`, "name_encoding", "auto or utf8 or latin1 or rfc2047 or percent or base64"},
		{"identity.email", `" email"`, "email", "name of a header"},
		{"identity.email", `"{http.auth.user.claims} "`, "email", "single dots"},
		{"identity", `{"preset":"google_iap","verify":{}}`, "audience", "(aud)"},
		{"userinfo", `{}`, "userinfo", "leave the other out"},
		{"cache.ttl", `-1`, "ttl", "negative"},
		{"cache.negative_ttl", `-1`, "negative_ttl", "negative"},
		{"cache.max_entries", `-1`, "max_entries", "at least 1"},
		{"cache.vary", `["X-Device"]`, "vary", "placeholder"},
		{"cache.vary", `["{a}{b}"]`, "vary", "placeholder"},
		{"no_cache", `"maybe"`, "no_cache", "honor or ignore"},
		{"timeout", `-1`, "timeout", "positive"},
		{"attempt_timeout", `"-1s"`, "attempt_timeout", "positive"},
		{"retries", `-1`, "retries", "at least 0"},
		{"breaker.ratio", `1.5`, "ratio", "at most 1"},
		{"breaker.ratio", `-0.5`, "ratio", "above 0"},
		{"breaker.requests", `-1`, "requests", "at least 1"},
		{"breaker.window", `-1`, "window", "positive"},
		{"breaker.open", `-1`, "open", "positive"},
		{"max_concurrent", `-1`, "max_concurrent", "at least 1"},
		{"max_waiting", `-1`, "max_waiting", "at least 1"},
		{"errors", `"json"`, "errors", "problem or caddy"},
		{"cross_site", `"maybe"`, "cross_site", "deny or allow"},
	} {
		t.Run(c.member+" "+c.says, func(t *testing.T) {
			theProblem(t, validateJSON(t, handlerJSON(t, c.member, c.value)), c.option, c.says)
		})
	}
}
