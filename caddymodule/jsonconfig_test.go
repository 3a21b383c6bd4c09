package caddymodule_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// everyField is a huma_token handler with every field of the JSON config except
// those in otherFields. FILE, CERT and KEY stand for names of files.
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
	"sign_in": {"path": "/auth/v1/private/signin", "body": {"method": 4, "__proto__": {"a": ["{env.HUMA_TEST_SECRET}", null]}}, "omit": ["language"]}, "sign_up": {"path": "/auth/v1/private/signup", "body": {"language": "en"}, "omit": ["language", "ipAddress"]},
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
	"cache": {"ttl": "30s", "max_entries": 10, "negative_ttl": 0, "vary": ["{http.request.header.X-Device-Id}"], "store": {"module": "redis",
		"address": ["localhost:6379"], "username": "u", "password": "{env.HUMA_TEST_SECRET}", "db": 1, "key_prefix": "clinic:",
		"tls_enabled": true, "timeout": "80ms", "encryption_keys": ["AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="]
	}},
	"no_cache": "honor",
	"timeout": "8s",
	"attempt_timeout": 2000000000,
	"retries": 0,
	"breaker": {"failures": 5, "open": "1m"},
	"max_concurrent": 8,
	"max_waiting": 16,
	"errors": "problem",
	"cross_site": "deny", "allow_origins": ["https://app.example.com", "capacitor://localhost"],
	"trace_upstream": true,
	"hash_key": "{env.HUMA_TEST_SECRET}"
}`

// everyHumanAPIField is everyField for human_api_token.
const everyHumanAPIField = `{
	"handler": "human_api_token",
	"api": "https://auth.humanapi.example/base",
	"client_id": "hapi1",
	"client_secret": "{env.HUMA_TEST_SECRET}",
	"extra_scopes": ["one", "{env.HUMA_TEST_SECRET}"],
	"refresh_tokens": {"encryption_keys": ["AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="]},
	"identity": {
		"preset": "oauth2_proxy",
		"email": "X-User-Email",
		"user_id": "{http.auth.user.sub}",
		"name": "X-Name",
		"first_name": "X-First-Name",
		"last_name": "X-Last-Name",
		"verified": "X-Verified",
		"domains": ["x.example"],
		"name_encoding": "latin1"
	},
	"trust": {"mode": "proxies", "ranges": ["127.0.0.1", "10.0.0.0/8", "private_ranges"]},
	"cache": {"ttl": "12h", "max_entries": 10, "negative_ttl": 0, "vary": ["{http.request.header.X-Device-Id}"], "store": {"module": "redis",
		"address": ["localhost:6379"], "username": "u", "password": "{env.HUMA_TEST_SECRET}", "db": 1, "key_prefix": "clinic:",
		"tls_enabled": true, "timeout": "80ms", "encryption_keys": ["AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="]
	}},
	"no_cache": "honor",
	"timeout": "8s",
	"attempt_timeout": 2000000000,
	"retries": 0,
	"breaker": {"failures": 5, "open": "1m"},
	"max_concurrent": 8,
	"max_waiting": 16,
	"errors": "problem",
	"cross_site": "deny", "allow_origins": ["https://app.example.com", "capacitor://localhost"],
	"trace_upstream": true,
	"hash_key": "{env.HUMA_TEST_SECRET}"
}`

// otherFields holds the fields that everyField omits, because they exclude or disable
// other fields.
var otherFields = map[string]string{
	"signature.id":          `{"signature": {"algorithm": "hawk", "id": "key1"}}`,
	"registration.disabled": `{"registration": {"disabled": true}}`,
	"trust.upstream":        `{"trust": {"mode": "forward_auth", "upstream": "authelia:9091"}}`,
	"identity.auth_server":  `{"trust": null, "identity": {"preset": "authelia", "auth_server": {"url": "http://authelia:9091", "forward_headers": ["X-Api-Key"], "timeout": "2s", "ca": "CERT"}}}`,
	"identity.verify.jwks": `{"trust": null, "identity": {"email": "Authorization email", "user_id": "Authorization sub", "verify": {
		"jwks": "https://login.example/keys", "issuer": "https://login.example", "audience": ["clinic"],
		"require": [{"claim": "azp", "values": ["clinic-app", "clinic-web"]}], "ca": "CERT"
	}}}`,
	"identity.verify.domain":    `{"trust": null, "identity": {"preset": "auth0", "verify": {"domain": "clinic.eu.auth0.com", "audience": ["https://api.clinic.example"]}}}`,
	"identity.verify.project":   `{"trust": null, "identity": {"preset": "firebase", "verify": {"project": "clinic-1"}}}`,
	"identity.verify.tenant":    `{"trust": null, "identity": {"preset": "entra", "verify": {"tenant": "11111111-2222-3333-4444-555555555555", "audience": ["aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb"]}}}`,
	"identity.verify.user_pool": `{"trust": null, "identity": {"preset": "cognito", "verify": {"user_pool": "eu-central-1_AbC123", "audience": ["client"]}}}`,
	"identity.verify.signer": `{"trust": null, "identity": {"preset": "aws_alb", "verify": {
		"signer": ["arn:aws:elasticloadbalancing:eu-west-2:123456789012:loadbalancer/app/clinic/50dc6c495c0c9188"]
	}}}`,
	"userinfo.forward_headers": `{"trust": null, "identity": null, "userinfo": {
		"url": "http://localhost:3000/api/me",
		"forward_headers": ["Cookie", "X-Csrf-Token"],
		"email": "user.email",
		"user_id": "user.id",
		"name": "user.name",
		"first_name": "user.first",
		"last_name": "user.last",
		"verified": "user.verified",
		"domains": ["x.example"],
		"timeout": "2s",
		"ca": "CERT"
	}}`,
	"userinfo.verify": `{"trust": null, "identity": null, "userinfo": {
		"url": "https://login.example/userinfo", "email": "email", "cache": "5m", "verify": {
			"token": "{http.request.cookie.access_token}", "jwks": "https://login.example/keys", "issuer": "https://login.example",
			"audience": ["clinic"], "require": [{"claim": "azp", "values": ["clinic-app"]}], "ca": "CERT"
		}
	}}`,
	"cache.disabled":   `{"cache": {"disabled": true}}`,
	"breaker.disabled": `{"breaker": {"disabled": true}}`,
}

// wholeHandler returns everyField or everyHumanField, with real files.
func (d *tokenDirective) wholeHandler(t *testing.T) map[string]any {
	t.Helper()
	text := everyHumanAPIField
	if d == humaToken {
		certificate, key := keyPair(t)
		file := writeFile(t, "huma-config.json", `{"organizationId":"o1"}`)
		text = strings.NewReplacer("FILE", file, "CERT", certificate, "KEY", key).Replace(everyField)
	}
	var handler map[string]any
	if err := json.Unmarshal([]byte(text), &handler); err != nil {
		t.Fatal(err)
	}
	return handler
}

func TestJSONWithEveryField(t *testing.T) {
	for _, d := range bothDirectives {
		t.Run(d.name, d.everyField)
	}
}

func (d *tokenDirective) everyField(t *testing.T) {
	handler := d.wholeHandler(t)
	all, fields := structFields(d.config), structFields(d.config)
	removeFields(fields, "", handler)
	certificate, _ := keyPair(t)
	for name, text := range otherFields {
		if !all[name] && d == humanAPIToken {
			continue // only huma_token has it
		}
		if !fields[name] {
			t.Errorf("%s is in otherFields, and in everyField (or everyHumanField) too or not a field", name)
		}
		var other map[string]any
		text = strings.ReplaceAll(text, "CERT", certificate)
		if err := json.Unmarshal([]byte(text), &other); err != nil {
			t.Fatal(err)
		}
		removeFields(fields, "", other)
		changed := d.wholeHandler(t)
		if err := json.Unmarshal([]byte(text), &changed); err != nil { // replaces the member
			t.Fatal(err)
		}
		if err := validateJSON(t, siteJSON(t, changed)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		d.roundTrip(t, changed)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		t.Errorf("the field %s is neither in everyField (or everyHumanField) nor in otherFields", name)
	}
	if err := validateJSON(t, siteJSON(t, handler)); err != nil {
		t.Errorf("every field: %v", err)
	}
	d.roundTrip(t, handler)
}

// roundTrip checks that a handler does not change if it is decoded and encoded again,
// except that durations become numbers.
func (d *tokenDirective) roundTrip(t *testing.T, handler map[string]any) {
	t.Helper()
	read, again := d.new(), d.new()
	for _, step := range []struct {
		from any
		to   any
	}{{handler, read}, {read, again}} {
		fields := mustJSON(t, step.from)
		var members map[string]any
		if err := json.Unmarshal(fields, &members); err != nil {
			t.Fatal(err)
		}
		delete(members, "handler")
		if err := caddy.StrictUnmarshalJSON(mustJSON(t, members), step.to); err != nil {
			t.Fatal(err)
		}
	}
	if first, second := mustJSON(t, read), mustJSON(t, again); !sameJSON(t, first, second) {
		t.Errorf("%s\nis decoded as\n%s", first, second)
	}
	if left := missingMembers(mustJSON(t, handler), mustJSON(t, read)); len(left) != 1 || !left["handler"] {
		t.Errorf("lost members: %v", left)
	}
}

// missingMembers returns the members of one JSON object that another one does not have.
// Members that are null are ignored.
func missingMembers(of, in []byte) map[string]bool {
	var a, b map[string]any
	_ = json.Unmarshal(of, &a)
	_ = json.Unmarshal(in, &b)
	left := make(map[string]bool)
	var walk func(prefix string, a, b map[string]any)
	walk = func(prefix string, a, b map[string]any) {
		for name, v := range a {
			w, ok := b[name]
			if !ok && v != nil {
				left[prefix+name] = true
			}
			inner, isObject := v.(map[string]any)
			if other, ok := w.(map[string]any); ok && isObject {
				walk(prefix+name+".", inner, other)
			}
		}
	}
	walk("", a, b)
	return left
}

// TestJSONConfigServes runs a JSON config that was not adapted from a Caddyfile.
func TestJSONConfigServes(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	s := serve(t, "SITE {\nrespond OK\n}")
	for _, c := range []struct {
		name                     string
		ids, query, client, code string
	}{
		{"one id", `"c2"`, "", "c2", ""},
		{"an id each", `{"ios":"c1","web":"c3"}`, "?client_type=web", "c3", ""},
		{"none named", `{"ios":"c1","web":"c3"}`, "", "", "client_type_required"},
	} {
		t.Run(c.name, func(t *testing.T) {
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
			if err := loadConfig(config); err != nil {
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

// TestJSONUnknownFields checks Caddy's strict decoding at every level, and values that are
// no durations, rates or numbers in range. TestJSONSuggestsFields has other wrong types.
func TestJSONUnknownFields(t *testing.T) {
	unknown := map[*tokenDirective][]string{
		humaToken:     {"client_secret", "extra_scopes", "signature.colour", "tls.colour", "registration.colour", "registration.off"},
		humanAPIToken: {"secret", "project_id", "deployment_id", "config_file", "client_type", "header_up", "sign_in", "sign_up", "signature", "tls", "registration"},
	}
	for _, d := range bothDirectives {
		for _, member := range append(unknown[d],
			"colour", "Secret_", "verify", "path", "matcher", "ttl",
			"identity.colour", "identity.verify.colour", "userinfo.colour", "trust.colour", "cache.colour", "breaker.colour",
			"cache.off", "breaker.off",
		) {
			err := validateJSON(t, d.handlerJSON(t, member, `"red"`))
			name := member[strings.LastIndexByte(member, '.')+1:]
			if err == nil || !strings.Contains(err.Error(), `unknown field "`+name+`"`) {
				t.Errorf("%s of %s: got %v", member, d.name, err)
			}
		}
	}
	own := map[*tokenDirective]map[string]string{humaToken: {"registration.hold": `{}`, "registration.rate": `50`}}
	both := map[string]string{
		"userinfo.timeout": `"2"`,
		"userinfo.cache":   `"5"`,
		"cache.ttl":        `"10sec"`,
		"timeout":          `"10"`,
		"max_concurrent":   `99999999999999999999`,
	}
	for _, d := range bothDirectives {
		for _, wrong := range []map[string]string{both, own[d]} {
			for member, value := range wrong {
				if err := validateJSON(t, d.handlerJSON(t, member, value)); err == nil || !strings.Contains(err.Error(), "decoding module config") {
					t.Errorf("%s %s of %s: got %v", member, value, d.name, err)
				}
			}
		}
	}
}
