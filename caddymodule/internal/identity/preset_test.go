package identity

import (
	"slices"
	"strings"
	"testing"
)

// presetWant is what a preset makes of a user whose sources are all filled.
var presetWant = map[string]struct {
	filled      map[string]string // by source
	id          string
	first, last string
}{
	"authelia": {
		map[string]string{"Remote-Email": "a@x.io", "Remote-User": "alice", "Remote-Name": "Ren\u00e9 M\u00fcller"},
		"alice", "Ren\u00e9", "M\u00fcller",
	},
	"authentik": {
		map[string]string{"X-Authentik-Email": "a@x.io", "X-Authentik-Uid": "9f86d081", "X-Authentik-Name": "Ren\u00e9 M\u00fcller"},
		"9f86d081", "Ren\u00e9", "M\u00fcller",
	},
	"basic_auth": {
		map[string]string{"{http.auth.user.id}": "a@x.io"},
		"a@x.io", "", "",
	},
	"caddy_security": {
		map[string]string{"{http.auth.user.email}": "a@x.io", "{http.auth.user.sub}": "u-1", "{http.auth.user.name}": "Ren\u00e9 M\u00fcller"},
		"u-1", "Ren\u00e9", "M\u00fcller",
	},
	"oauth2_proxy": {
		map[string]string{
			"X-Auth-Request-Email": "a@x.io", "X-Auth-Request-User": "u-1",
			"X-Auth-Request-Given-Name": "Ren\u00e9", "X-Auth-Request-Family-Name": "M\u00fcller",
		},
		"u-1", "Ren\u00e9", "M\u00fcller",
	},
	"tailscale": {
		map[string]string{"Tailscale-User-Login": "a@x.io", "Tailscale-User-Name": "=?utf-8?q?Ren=C3=A9_M=C3=BCller?="},
		"a@x.io", "Ren\u00e9", "M\u00fcller",
	},
}

func TestPresets(t *testing.T) {
	all := Presets()
	if len(all) != len(presetWant) {
		t.Fatalf("%d presets, %d tested", len(all), len(presetWant))
	}
	if !slices.IsSortedFunc(all, func(a, b Preset) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not by name")
	}
	all[0].Name = "changed"
	if Presets()[0].Name == "changed" {
		t.Error("a caller can change the table")
	}
	for _, p := range Presets() {
		t.Run(p.Name, func(t *testing.T) {
			if p.Note == "" || p.Sources.Email == "" {
				t.Fatal("a row that says too little")
			}
			if strings.HasPrefix(p.Sources.Email, "{") {
				testPlaceholderPreset(t, p)
			} else {
				testHeaderPreset(t, p)
			}
		})
	}
}

func testPlaceholderPreset(t *testing.T, p Preset) {
	want := presetWant[p.Name]
	i := mustNew(t, Config{Preset: p.Name})
	fill := func() placeholders {
		known := placeholders{}
		for source, value := range want.filled {
			known[source[1:len(source)-1]] = value
		}
		return known
	}
	email := p.Sources.Email[1 : len(p.Sources.Email)-1]

	if u := wantUser(t, i, withPlaceholders(fill()), "a@x.io"); u.ID.Reveal() != want.id {
		t.Fatalf("id %q", u.ID.Reveal())
	}
	wantNames(t, i, withPlaceholders(fill()), want.first, want.last)
	wantRejection(t, i, withPlaceholders(nil), ErrNoAuthentication)
	for value, rejection := range map[any]*Rejection{"": ErrEmpty, "alice": ErrNotAddress, "a@x.io,b@x.io": ErrNotAddress, 7: ErrNotText} {
		known := fill()
		known[email] = value
		wantRejection(t, i, withPlaceholders(known), rejection)
	}
	// Headers of the request say nothing here.
	r := withPlaceholders(nil)
	for _, other := range Presets() {
		r.Header.Set(other.Sources.Email, "evil@x.io")
	}
	r.RemoteAddr, r.TrustedProxy = proxyPeer, true
	wantRejection(t, i, r, ErrNoAuthentication)
}

func testHeaderPreset(t *testing.T, p Preset) {
	want := presetWant[p.Name]
	var pairs []string
	for name, value := range want.filled {
		pairs = append(pairs, name, value)
	}
	email := p.Sources.Email

	_, err := New(Config{Preset: p.Name})
	wantError(t, err, "email ("+email+")", `"trust forward_auth"`, `"trust proxies <ranges>"`)

	i := mustNew(t, Config{Preset: p.Name, Trust: trustProxy()})
	if u := wantUser(t, i, fromProxy(pairs...), "a@x.io"); u.ID.Reveal() != want.id {
		t.Fatalf("id %q", u.ID.Reveal())
	}
	wantNames(t, i, fromProxy(pairs...), want.first, want.last)
	wantRejection(t, i, fromProxy(email, ""), ErrEmpty)
	wantRejection(t, i, fromProxy(), ErrNoHeader)
	wantRejection(t, i, fromProxy(email, "a@x.io", email, "a@x.io"), ErrHeaderTwice)
	wantRejection(t, i, fromProxy(strings.ReplaceAll(email, "-", "_"), "evil@x.io"), ErrNoHeader)
	wantRejection(t, i, fromProxy(strings.ReplaceAll(email, "-", "."), "evil@x.io"), ErrNoHeader)
	for _, other := range Presets() {
		if other.Sources.Email != email { // closed: not even another preset's
			wantRejection(t, i, fromProxy(other.Sources.Email, "evil@x.io"), ErrNoHeader)
		}
	}

	asked := mustNew(t, Config{Preset: p.Name, Trust: Trust{Mode: TrustForwardAuth}})
	r := fromProxy(email, "evil@x.io")
	r.Placeholders = answered("auth:9000", pairs...)
	if u := wantUser(t, asked, r, "a@x.io"); u.ID.Reveal() != want.id {
		t.Fatalf("id %q", u.ID.Reveal())
	}
	wantNames(t, asked, r, want.first, want.last)
	r.Placeholders = answered("auth:9000")
	wantRejection(t, asked, r, ErrNotAnswered)
}

func TestConfiguredSourceWinsOverPreset(t *testing.T) {
	i := mustNew(t, Config{Preset: "basic_auth", Email: "{user_email}", Name: "{user_name}"})
	r := withPlaceholders(placeholders{"http.auth.user.id": "alice", "user_email": "a@x.io", "user_name": "Alice Miller"})
	if u := wantUser(t, i, r, "a@x.io"); u.ID.Reveal() != "alice" {
		t.Fatalf("id %q", u.ID.Reveal())
	}
	wantNames(t, i, r, "Alice", "Miller")
	// No source stands in for another.
	wantRejection(t, i, withPlaceholders(placeholders{"http.auth.user.id": "a@x.io"}), ErrUnset)
}
