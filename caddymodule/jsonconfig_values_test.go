package caddymodule_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
)

// handlerJSON returns a config with a huma_token and one invalid member.
func handlerJSON(t testing.TB, member, value string) []byte {
	t.Helper()
	return humaToken.handlerJSON(t, member, value)
}

// handlerJSON returns a config with one handler and one invalid member. Dots separate the
// names of nested objects.
func (d *tokenDirective) handlerJSON(t testing.TB, member, value string) []byte {
	t.Helper()
	handler := maps.Clone(d.json)
	handler["handler"] = d.name
	handler["identity"] = map[string]any{"preset": "basic_auth"}
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

// siteJSON returns a config with the given handlers.
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

// badValue is an invalid member, the option in the error, and a hint that the error
// contains.
type badValue struct{ member, value, option, hint string }

// TestBadJSONValues checks values that the Caddyfile parser rejects.
func TestBadJSONValues(t *testing.T) {
	certificate, key := keyPair(t)
	own := map[*tokenDirective][]badValue{
		humaToken: {
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
			{"sign_in.path", `"signin"`, "sign_in:", "slash"},
			{"sign_in.path", `"/api/integration/v1/auth/signup/"`, "sign_in:", "path of sign_up"},
			{"sign_up.body", `{"Email":"a@x.example"}`, "sign_up:", "email identifies the user"},
			{"sign_up.body", `{"ipAddress":"203.0.113.7"}`, "sign_up:", "omit ipAddress"},
			{"sign_up.body", `{"a":12345678901234567890}`, "sign_up:", "more than 15 digits"},
			{"sign_up.body", `{"a":"{sig.timestamp}"}`, "sign_up:", "{sig.*}"},
			{"sign_up.body", `{"a":"` + strings.Repeat("x", 17000) + `"}`, "sign_up:", "16 KiB"},
			{"sign_up.body", `{"":1}`, "sign_up:", "the name of the member"},
			{"sign_in.omit", `["ipAddress"]`, "sign_in:", "only language can"},
		},
		humanAPIToken: {
			{"client_id", `""`, "client_id", "is required"},
			{"client_secret", `""`, "client_secret", "{env.NAME}"},
			{"extra_scopes", `[""]`, "extra_scopes", "empty"},
			{"extra_scopes", `["one",""]`, "extra_scopes", "empty"},
			{"api", `"http://auth.humanapi.example"`, "api", "https"},
		},
	}
	both := []badValue{
		{"trust.mode", `"everyone"`, "trust", "forward_auth"},
		{"trust", `{"mode":"proxies","ranges":["10.0.0.0/33"]}`, "trust", "10.0.0.0/33"},
		{"trust", `{"mode":"proxies","ranges":["no-address"]}`, "trust", "no-address"},
		{"trust", `{"mode":"proxies","upstream":"a:1"}`, "trust", "forward_auth"},
		{"trust", `{"mode":"forward_auth","ranges":["10.0.0.0/8"]}`, "trust", "proxies"},
		{"identity", `{"preset":"unknown"}`, "identity", "authelia"},
		{"identity", `{}`, "email", "<source>"},
		{"identity.name_encoding", `"utf-16"`, "name_encoding", "auto or utf8 or latin1 or rfc2047 or percent or base64"},
		{"identity.email", `" email"`, "email", "not a header name"},
		{"identity.email", `"{http.auth.user.claims} "`, "email", "single dots"},
		{"identity", `{"preset":"google_iap","verify":{}}`, "audience", "(claim aud)"},
		{"userinfo", `{}`, "userinfo", "remove one of them"},
		{"cache.ttl", `-1`, "ttl", "negative"},
		{"cache.negative_ttl", `-1`, "negative_ttl", "negative"},
		{"cache.max_entries", `-1`, "max_entries", "at least 1"},
		{"cache.vary", `["X-Device"]`, "vary", "placeholder"},
		{"cache.vary", `["{a}{b}"]`, "vary", "placeholder"},
		{"no_cache", `"maybe"`, "no_cache", "honor or ignore"},
		{"timeout", `-1`, "timeout", "positive"},
		{"attempt_timeout", `"-1s"`, "attempt_timeout", "positive"},
		{"retries", `-1`, "retries", "at least 0"},
		{"breaker.failures", `-1`, "failures", "at least 1"},
		{"breaker.open", `-1`, "open", "positive"},
		{"max_concurrent", `-1`, "max_concurrent", "at least 1"},
		{"max_waiting", `-1`, "max_waiting", "at least 1"},
		{"errors", `"json"`, "errors", "problem or caddy"},
		{"cross_site", `"maybe"`, "cross_site", "deny or allow"},
		{"allow_origins", `["https://a.example","*"]`, "allow_origins", "must not be *"},
		{"allow_origins", `[""]`, "allow_origins", "empty value"},
		{"allow_origins", `["https://{env.HUMA_TEST_SECRET}/"]`, "allow_origins", "is not one origin"},
	}
	for _, d := range bothDirectives {
		if err := validateJSON(t, d.handlerJSON(t, "", "")); err != nil {
			t.Fatalf("%s without a bad value: %v", d.name, err)
		}
		for _, c := range append(own[d], both...) {
			t.Run(d.name+" "+c.member+" "+c.hint, func(t *testing.T) {
				option := c.option
				if c.member == "identity" {
					option = d.convertOption(option)
				}
				wantProblem(t, validateJSON(t, d.handlerJSON(t, c.member, c.value)), option, d.convertMessages(c.hint)...)
			})
		}
	}
}

// TestJSONDefaults checks values that only JSON can contain and that mean the default.
func TestJSONDefaults(t *testing.T) {
	for _, d := range bothDirectives {
		for member, value := range map[string]string{
			"timeout": `0`, "attempt_timeout": `"0s"`, "max_concurrent": `0`, "max_waiting": `0`,
			"no_cache": `""`, "errors": `""`, "cross_site": `""`, "hash_key": `""`,
			"cache": `{}`, "cache.ttl": `0`, "cache.max_entries": `0`, "cache.vary": `[]`,
			"allow_origins": `[]`,
			"breaker":       `{}`, "breaker.failures": `0`, "trust": `null`, "retries": `null`,
		} {
			if err := validateJSON(t, d.handlerJSON(t, member, value)); err != nil {
				t.Errorf("%s %s of %s: %v", member, value, d.name, err)
			}
		}
	}
	for member, value := range map[string]string{"api": `""`, "extra_scopes": `[]`} {
		if err := validateJSON(t, humanAPIToken.handlerJSON(t, member, value)); err != nil {
			t.Errorf("%s %s: %v", member, value, err)
		}
	}
}
