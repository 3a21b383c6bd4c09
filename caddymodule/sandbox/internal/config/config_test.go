package config

import (
	"strings"
	"testing"
)

func TestInvalidConfigs(t *testing.T) {
	for _, test := range []struct {
		cfg     Config
		problem string
	}{
		{Config{Edition: "old"}, `edition: unknown edition "old"; use one of newest, middle, oldest`},
		{Config{ClientIDs: map[string]string{}}, "client_id: at least one client"},
		{Config{ClientIDs: map[string]string{"ios": ""}}, "client_id ios"},
		{Config{ClientIDs: map[string]string{"tv": "c"}}, `client_id: unknown client type "tv"`},
		{Config{AuthTokenLifetime: 1e6}, "auth_token_lifetime"},
		{Config{RefreshTokenLifetime: -1}, "refresh_token_lifetime"},
		{Config{MaxClockSkew: -1}, "max_clock_skew"},
		{Config{Users: []string{"alice"}}, "user: address 1"},
		{Config{Prefix: "huma"}, "prefix"},
		{Config{Signature: Signature{Algorithm: "md5"}}, "signature"},
		{Config{Signature: Signature{Encoding: "base32"}}, "signature encoding"},
		{Config{Signature: Signature{HeaderName: "a b"}}, "signature header_name"},
		{Config{Signature: Signature{TimestampHeader: "a:"}}, "signature timestamp_header"},
		{Config{Signature: Signature{Payload: "{sig.body}{sig.boddy}"}}, "signature payload"},
		{Config{Signature: Signature{ID: `"`}}, "signature id"},
		{Config{HumanAPI: HumanAPI{Clients: map[string]string{}}}, "human_api client: at least one client"},
		{Config{HumanAPI: HumanAPI{Clients: map[string]string{"": "x"}}}, "human_api client"},
		{Config{HumanAPI: HumanAPI{Clients: map[string]string{"a": ""}}}, `human_api client "a"`},
		{Config{HumanAPI: HumanAPI{SessionLifetime: -1}}, "human_api session_lifetime"},
		{Config{HumanAPI: HumanAPI{IDLifetime: 1}}, "human_api id_lifetime"},
		{Config{HumanAPI: HumanAPI{ExtraScopes: []string{""}}}, "human_api extra_scopes"},
	} {
		_, err := Complete(test.cfg)
		if err == nil || !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%+v: %v, want %s", test.cfg, err, test.problem)
		}
	}
}

func TestCompleteCopies(t *testing.T) {
	cfg := Config{ClientIDs: map[string]string{"ios": "c1"}, Users: []string{"alice@example.com"}, Prefix: "/huma/", HumanAPI: HumanAPI{Clients: map[string]string{"a": "1"}}}
	got, err := Complete(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ClientIDs["ios"] = "x"
	cfg.Users[0] = "x"
	cfg.HumanAPI.Clients["b"] = "2"
	if got.ClientIDs["ios"] != "c1" || got.Users[0] != "alice@example.com" || len(got.HumanAPI.Clients) != 1 || got.Prefix != "/huma" {
		t.Errorf("%+v", got)
	}
}
